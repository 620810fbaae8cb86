use std::fmt;
use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use runtime::config::Secret;
use zeroize::Zeroizing;

use super::secret_source::SecretSource;
use crate::domain::KeyId;

/// A shorter secret could be guessed, in bytes.
const LEAST_BYTES: usize = 32;
/// What a sealed key begins with, so that another form can follow.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;

/// Encrypts the private halves of signing keys for the store, where it never is.
///
/// AES-256-GCM with a random nonce under a key derived from the operator's secret (RFC 5869). The key's id is
/// authenticated with it, so that one sealed key cannot stand in for another.
pub(crate) struct KeyEncryptionKey {
    /// The first one seals, all of them open, so that a secret can be replaced while keys are sealed under it.
    ciphers: Vec<RandomizedNonceKey>,
}

impl KeyEncryptionKey {
    /// Reads or makes the secret.
    ///
    /// # Errors
    /// If it is shorter than [`LEAST_BYTES`], or its file cannot be read, written, or is open to others.
    pub(crate) async fn load(source: SecretSource) -> io::Result<Self> {
        Self::from_text(&source.read_or_make().await?)
    }

    /// Reads the secret and makes none. Blocks.
    ///
    /// # Errors
    /// As [`KeyEncryptionKey::load`], and if there is none.
    pub(crate) fn load_existing(source: &SecretSource) -> io::Result<Self> {
        Self::from_text(&source.read()?)
    }

    /// The same, which opens also what was sealed under the secret before it.
    ///
    /// # Errors
    /// If that is shorter than [`LEAST_BYTES`].
    pub(crate) fn after(mut self, previous: Option<&Secret>) -> io::Result<Self> {
        if let Some(previous) = previous {
            self.ciphers.push(cipher(previous.expose())?);
        }
        Ok(self)
    }

    /// Encrypts the private half of a key.
    pub(crate) fn seal(&self, id: KeyId, private: &[u8]) -> Vec<u8> {
        // The plain text is encrypted where it is, and grows by a tag: no copy of it is left behind.
        let mut content = Zeroizing::new(Vec::with_capacity(private.len() + AES_256_GCM.tag_len()));
        content.extend_from_slice(private);
        let cipher = self.ciphers.first().expect("there is one");
        let nonce = cipher.seal_in_place_append_tag(aad(id), &mut *content);
        let nonce = nonce.expect("a few kilobytes can be sealed");
        [&[VERSION][..], nonce.as_ref(), &content].concat()
    }

    /// Decrypts the private half of a key; nothing if it was sealed by another secret or for another key, or is damaged.
    pub(crate) fn open(&self, id: KeyId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&VERSION, rest) = sealed.split_first()? else { return None };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        self.ciphers.iter().find_map(|cipher| {
            let mut content = Zeroizing::new(sealed.to_vec());
            let length = cipher.open_in_place(Nonce::from(nonce), aad(id), &mut content).ok()?.len();
            content.truncate(length);
            Some(content)
        })
    }

    fn from_text(text: &str) -> io::Result<Self> {
        Ok(Self { ciphers: vec![cipher(text)?] })
    }
}

/// What a secret encrypts with.
fn cipher(text: &str) -> io::Result<RandomizedNonceKey> {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            AES_256_GCM.key_len()
        }
    }
    let secret = text.trim().as_bytes();
    if secret.len() < LEAST_BYTES {
        let why = format!("the key encryption key has {} bytes and needs at least {LEAST_BYTES}", secret.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let prk = Salt::new(HKDF_SHA256, b"auth-service signing keys").extract(secret);
    let mut key = Zeroizing::new([0; 32]);
    let info: [&[u8]; 1] = [b"AES-256-GCM"];
    let output = prk.expand(&info, Length).expect("32 bytes are not too many");
    output.fill(key.as_mut_slice()).expect("it is as long as was said");
    Ok(RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).expect("the key has 32 bytes"))
}

fn aad(id: KeyId) -> Aad<Vec<u8>> {
    Aad::from(format!("signing key v{VERSION}: {id}").into_bytes())
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyEncryptionKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of the tests that has more than thirty-two bytes";

    fn id(letter: &str) -> KeyId {
        KeyId::parse(&letter.repeat(43)).expect("an id")
    }

    fn key(text: &str) -> KeyEncryptionKey {
        KeyEncryptionKey::from_text(text).expect("long enough")
    }

    #[test]
    fn what_was_sealed_is_opened_by_the_same_secret_for_the_same_key_alone() {
        let sealed = key(SECRET).seal(id("a"), b"private");
        let opened = |text: &str, letter: &str| key(text).open(id(letter), &sealed).map(|private| private.to_vec());
        assert_eq!(opened(SECRET, "a").as_deref(), Some(&b"private"[..]));
        assert_eq!(opened(&format!(" {SECRET}\n"), "a").as_deref(), Some(&b"private"[..]), "as editors leave it");
        assert_eq!(opened(SECRET, "b"), None);
        assert_eq!(opened(&format!("{SECRET}!"), "a"), None);
    }

    #[test]
    fn a_secret_is_replaced_while_keys_are_sealed_under_the_one_before() {
        let before = Secret::new(format!("{SECRET} once"));
        let replaced = key(SECRET).after(Some(&before)).expect("long enough");
        let old = key(before.expose()).seal(id("a"), b"private");
        assert!(key(SECRET).open(id("a"), &old).is_none());
        assert_eq!(replaced.open(id("a"), &old).expect("opened").as_slice(), b"private");
        assert!(key(SECRET).open(id("a"), &replaced.seal(id("a"), b"private")).is_some(), "it seals by the new one");
        assert!(key(SECRET).after(Some(&Secret::new("short".to_owned()))).is_err());
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let sealed = key(SECRET).seal(id("a"), b"private");
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert!(key(SECRET).open(id("a"), &damaged).is_none(), "byte {position}");
            assert!(key(SECRET).open(id("a"), &sealed[..position]).is_none(), "cut at {position}");
        }
    }

    #[test]
    fn a_key_is_sealed_differently_each_time_and_nowhere_readable() {
        let sealed = || key(SECRET).seal(id("a"), b"private");
        assert_ne!(sealed(), sealed());
        assert!(!sealed().windows(7).any(|part| part == b"private"));
    }

    #[test]
    fn a_secret_that_could_be_guessed_is_refused_without_being_told() {
        let refused = KeyEncryptionKey::from_text("a short secret").expect_err("too short").to_string();
        assert!(refused.contains("needs at least 32") && !refused.contains("short secret"), "{refused}");
    }
}
