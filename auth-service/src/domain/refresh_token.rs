use std::fmt;

use authn::SessionId;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{AccountId, Generation, SessionKey};

/// Longest text that is looked at as a refresh token, in bytes.
pub(crate) const MAX_BYTES: usize = 256;
/// Length of a real one: 85 bytes in base64url.
pub(crate) const ENCODED_BYTES: usize = ((HEADER_BYTES + CHECK_BYTES + MAC_BYTES) * 4).div_ceil(3);
/// Version, key id, account, session, generation.
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + 16 + 16 + 8;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const CHECK_BYTES: usize = 8;
const MAC_BYTES: usize = 32;

/// A short keyed check over the header, which tells rubbish without a look at the store.
pub type HeaderCheck = [u8; CHECK_BYTES];
/// HMAC-SHA-256 over everything before it and the session's nonce, which proves the token.
pub type Mac = [u8; MAC_BYTES];

/// What a refresh token says in clear: which key made it, and which generation of which session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHeader {
    /// Which server secret made it.
    pub key_id: [u8; KEY_ID_BYTES],
    /// The session, by its full key.
    pub session: SessionKey,
    /// The number of the token inside its session.
    pub generation: Generation,
}

/// A well-formed text whose check and MAC have not been looked at yet.
#[derive(Clone)]
pub struct PresentedToken {
    /// What it says.
    pub header: TokenHeader,
    /// The check that came with it.
    pub check: HeaderCheck,
    /// The MAC that came with it.
    pub mac: Mac,
}

/// A refresh token to hand out: `base64url(version ‖ key id ‖ account ‖ session ‖ generation ‖ check ‖ MAC)`.
#[derive(Clone)]
pub struct RefreshToken(Zeroizing<String>);

/// The text has not the form of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedToken;

impl TokenHeader {
    /// The bytes that check and MAC cover.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let account = self.session.account.as_uuid().into_bytes();
        let session = self.session.session.as_uuid().into_bytes();
        let generation = self.generation.number().to_be_bytes();
        [[VERSION].as_slice(), &self.key_id, &account, &session, &generation].concat()
    }
}

impl PresentedToken {
    /// Takes a text apart. Only the canonical base64url of the right length and version passes, so one token is one
    /// text.
    ///
    /// # Errors
    /// If it has any other form.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        if text.len() != ENCODED_BYTES {
            return Err(MalformedToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| MalformedToken)?;
        let rest = bytes.as_slice();
        let (version, rest) = take::<1>(rest)?;
        let (key_id, rest) = take::<KEY_ID_BYTES>(rest)?;
        let (account, rest) = take::<16>(rest)?;
        let (session, rest) = take::<16>(rest)?;
        let (generation, rest) = take::<8>(rest)?;
        let (check, rest) = take::<CHECK_BYTES>(rest)?;
        let (mac, rest) = take::<MAC_BYTES>(rest)?;
        if version != [VERSION] || !rest.is_empty() {
            return Err(MalformedToken);
        }
        let session = SessionKey {
            account: AccountId::from_uuid(Uuid::from_bytes(account)),
            session: SessionId::from_uuid(Uuid::from_bytes(session)),
        };
        let generation = Generation::from_number(u64::from_be_bytes(generation)).ok_or(MalformedToken)?;
        Ok(Self { header: TokenHeader { key_id, session, generation }, check, mac })
    }
}

impl RefreshToken {
    /// Puts a token together.
    #[must_use]
    pub fn assemble(header: &TokenHeader, check: &HeaderCheck, mac: &Mac) -> Self {
        let bytes = [header.to_bytes().as_slice(), check, mac].concat();
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(Zeroizing::new(bytes))))
    }

    /// The token as it is sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PresentedToken").field("header", &self.header).finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RefreshToken")
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), MalformedToken> {
    bytes.split_first_chunk::<N>().map(|(field, rest)| (*field, rest)).ok_or(MalformedToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> TokenHeader {
        TokenHeader {
            key_id: [1, 2, 3, 4],
            session: SessionKey {
                account: AccountId::from_uuid(Uuid::from_u128(0xA11C_E000)),
                session: SessionId::from_uuid(Uuid::from_u128(0x5E55_1000)),
            },
            generation: Generation::from_number(7).expect("a generation"),
        }
    }

    #[test]
    fn what_is_put_together_comes_apart_again() {
        let token = RefreshToken::assemble(&header(), &[5; CHECK_BYTES], &[6; MAC_BYTES]);
        assert_eq!(token.expose().len(), ENCODED_BYTES);
        let presented = PresentedToken::parse(token.expose()).expect("well formed");
        assert_eq!(presented.header, header());
        assert_eq!((presented.check, presented.mac), ([5; CHECK_BYTES], [6; MAC_BYTES]));
    }

    #[test]
    fn anything_but_the_canonical_text_is_malformed() {
        let token = RefreshToken::assemble(&header(), &[5; CHECK_BYTES], &[6; MAC_BYTES]);
        let good = token.expose();
        let with_last = |last: char| format!("{}{last}", &good[..good.len() - 1]);
        // The last character carries two bits; the other four must be zero.
        let strays = ('A'..='Z').map(with_last).filter(|text| PresentedToken::parse(text).is_ok()).count();
        assert_eq!(strays, 2, "of A to Z only A and Q end a token of this length");
        for malformed in [
            String::new(),
            "a".repeat(ENCODED_BYTES),
            good[1..].to_owned(),
            format!("{good}="),
            format!(" {}", &good[1..]),
            format!("{}é", &good[2..]),
            good.replacen('A', "+", 1),
        ] {
            assert!(PresentedToken::parse(&malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn another_version_is_malformed() {
        let mut bytes = header().to_bytes();
        bytes.extend([0; CHECK_BYTES + MAC_BYTES]);
        assert!(PresentedToken::parse(&URL_SAFE_NO_PAD.encode(&bytes)).is_ok());
        bytes[0] = 2;
        assert!(PresentedToken::parse(&URL_SAFE_NO_PAD.encode(&bytes)).is_err());
    }

    #[test]
    fn nothing_usable_is_in_the_debug_output() {
        let token = RefreshToken::assemble(&header(), &[5; CHECK_BYTES], &[6; MAC_BYTES]);
        let presented = PresentedToken::parse(token.expose()).expect("well formed");
        assert_eq!(format!("{token:?}"), "RefreshToken");
        assert!(!format!("{presented:?}").contains("6, 6"));
    }
}
