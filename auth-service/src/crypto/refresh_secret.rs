use std::fmt;
use std::io;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::{self, SystemRandom};

use super::secret_source::SecretSource;
use crate::domain::{Generation, HeaderCheck, Mac, Nonce, PresentedToken, RefreshToken, SessionKey, TokenHeader};

/// A shorter secret could be guessed, in bytes.
const LEAST_BYTES: usize = 32;

/// The server's secret behind all refresh tokens. It is never in the database: a copy of the database makes no
/// token, and neither does the secret without the session's nonce.
#[derive(Clone)]
pub(crate) struct RefreshSecret {
    key_id: [u8; 4],
    check_key: hmac::Key,
    mac_key: hmac::Key,
}

impl RefreshSecret {
    /// Reads or makes the secret.
    ///
    /// # Errors
    /// If it is shorter than [`LEAST_BYTES`], or its file cannot be read, written, or is open to others.
    pub(crate) async fn load(source: SecretSource) -> io::Result<Self> {
        Self::from_text(&source.read_or_make().await?)
    }

    /// A token of this generation of a session.
    pub(crate) fn issue(&self, session: SessionKey, generation: Generation, nonce: &Nonce) -> RefreshToken {
        let header = TokenHeader { key_id: self.key_id, session, generation };
        let check = self.check(&header);
        RefreshToken::assemble(&header, &check, &self.mac(&header, &check, nonce))
    }

    /// Reads a text that claims to be one of our tokens. Its header is ours if this succeeds, for the keyed check is
    /// good; whether the whole is, only the session's nonce can tell. Rubbish costs no look at the store.
    pub(crate) fn open(&self, text: &str) -> Option<PresentedToken> {
        let token = PresentedToken::parse(text).ok()?;
        let ours = token.header.key_id == self.key_id
            && verify_slices_are_equal(&self.check(&token.header), &token.check).is_ok();
        ours.then_some(token)
    }

    /// Whether an opened token was issued for the session that has this nonce.
    pub(crate) fn is_authentic(&self, token: &PresentedToken, nonce: &Nonce) -> bool {
        verify_slices_are_equal(&self.mac(&token.header, &token.check, nonce), &token.mac).is_ok()
    }

    fn from_text(text: &str) -> io::Result<Self> {
        let secret = text.trim().as_bytes();
        if secret.len() < LEAST_BYTES {
            let why = format!("the refresh secret has {} bytes and needs at least {LEAST_BYTES}", secret.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let root = hmac::Key::new(HMAC_SHA256, secret);
        // One key, one use: each is derived from the secret under its own label.
        let derive = |label: &str| hmac::sign(&root, format!("refresh token v1: {label}").as_bytes());
        let id = derive("key id");
        Ok(Self {
            key_id: *id.as_ref().first_chunk().expect("a SHA-256 tag has 32 bytes"),
            check_key: hmac::Key::new(HMAC_SHA256, derive("header check").as_ref()),
            mac_key: hmac::Key::new(HMAC_SHA256, derive("mac").as_ref()),
        })
    }

    fn check(&self, header: &TokenHeader) -> HeaderCheck {
        *hmac::sign(&self.check_key, &header.to_bytes()).as_ref().first_chunk().expect("a SHA-256 tag has 32 bytes")
    }

    fn mac(&self, header: &TokenHeader, check: &HeaderCheck, nonce: &Nonce) -> Mac {
        let mut mac = hmac::Context::with_key(&self.mac_key);
        mac.update(&header.to_bytes());
        mac.update(check);
        mac.update(nonce.as_bytes());
        *mac.sign().as_ref().first_chunk().expect("a SHA-256 tag has 32 bytes")
    }
}

impl fmt::Debug for RefreshSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RefreshSecret")
    }
}

/// The nonce of a new session.
///
/// # Errors
/// If the system gives no randomness.
pub(crate) fn new_nonce() -> Result<Nonce, NoRandomness> {
    let bytes = rand::generate::<[u8; Nonce::BYTES]>(&SystemRandom::new()).map_err(|_| NoRandomness)?;
    Ok(Nonce::from_bytes(bytes.expose()))
}

/// The system gives no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness")]
pub(crate) struct NoRandomness;

#[cfg(test)]
mod tests {
    use authn::SessionId;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use uuid::Uuid;

    use super::*;
    use crate::domain::AccountId;

    const NONCE: Nonce = Nonce::from_bytes([9; Nonce::BYTES]);

    fn secret(text: &str) -> RefreshSecret {
        RefreshSecret::from_text(text).expect("long enough")
    }

    fn ours() -> RefreshSecret {
        secret("a secret of the tests that has more than thirty-two bytes")
    }

    fn session() -> SessionKey {
        SessionKey {
            account: AccountId::from_uuid(Uuid::from_u128(1)),
            session: SessionId::from_uuid(Uuid::from_u128(2)),
        }
    }

    #[test]
    fn a_token_is_opened_by_its_own_secret_and_proved_by_its_own_nonce() {
        let token = ours().issue(session(), Generation::FIRST, &NONCE);
        let opened = ours().open(token.expose()).expect("ours");
        assert_eq!((opened.header.session, opened.header.generation), (session(), Generation::FIRST));
        assert!(ours().is_authentic(&opened, &NONCE));
        assert!(!ours().is_authentic(&opened, &Nonce::from_bytes([8; Nonce::BYTES])));
        assert!(secret("another secret, which is also of more than thirty-two bytes").open(token.expose()).is_none());
    }

    #[test]
    fn the_same_generation_is_the_same_token_and_the_next_is_another() {
        let second = Generation::from_number(2).expect("a generation");
        let issue = |generation| ours().issue(session(), generation, &NONCE).expose().to_owned();
        assert_eq!(issue(Generation::FIRST), issue(Generation::FIRST));
        assert_ne!(issue(Generation::FIRST), issue(second));
    }

    #[test]
    fn a_flip_of_any_bit_is_found() {
        let token = ours().issue(session(), Generation::FIRST, &NONCE);
        let bytes = URL_SAFE_NO_PAD.decode(token.expose()).expect("base64url");
        let header_and_check = bytes.len() - 32;
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[position] ^= 1 << bit;
                let opened = ours().open(&URL_SAFE_NO_PAD.encode(&flipped));
                assert_eq!(opened.is_some(), position >= header_and_check, "byte {position}: no look at the store");
                assert!(opened.is_none_or(|opened| !ours().is_authentic(&opened, &NONCE)), "byte {position}");
            }
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(RefreshSecret::from_text(&"s".repeat(31)).is_err());
        assert!(RefreshSecret::from_text(&format!("{}\n", "s".repeat(31))).is_err());
        assert!(RefreshSecret::from_text(&format!("{}\n", "s".repeat(32))).is_ok());
    }

    #[tokio::test]
    async fn a_kept_secret_is_the_same_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = SecretSource::Kept(folder.path().join("refresh-secret"));
        let before = RefreshSecret::load(source.clone()).await.expect("made");
        let after = RefreshSecret::load(source).await.expect("read");
        let token = before.issue(session(), Generation::FIRST, &NONCE);
        let opened = after.open(token.expose()).expect("ours");
        assert!(after.is_authentic(&opened, &NONCE));
    }
}
