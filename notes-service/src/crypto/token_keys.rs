use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Longest token that is looked at; those of this service are far shorter.
const LONGEST: usize = 1_024;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;

/// Seals what a token holds with AES-256-GCM-SIV, so that nobody can read it, alter it, or use it for anything but what
/// it was sealed for.
pub struct TokenKeys {
    /// The first one seals, all of them open, so that a secret can be replaced without breaking readers.
    keys: Vec<Key>,
}

struct Key {
    id: [u8; KEY_ID_BYTES],
    cipher: RandomizedNonceKey,
}

impl TokenKeys {
    /// Keys that are derived from `secret`; what was sealed by the secrets before it is still opened.
    #[must_use]
    pub fn new<'a>(secret: &'a [u8], before: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self { keys: std::iter::once(secret).chain(before).map(Key::derive).collect() }
    }

    /// The token that holds `content` and is good for `purpose` only, which is authenticated and not part of it.
    pub(super) fn seal(&self, purpose: &[u8], mut content: Vec<u8>) -> String {
        let key = self.keys.first().expect("there is a key");
        let nonce = key.cipher.seal_in_place_append_tag(Aad::from(purpose), &mut content);
        let nonce = nonce.expect("a few bytes can be sealed");
        URL_SAFE_NO_PAD.encode([&key.id[..], nonce.as_ref(), &content].concat())
    }

    /// What a token holds that was sealed for the same purpose; none of any other.
    pub(super) fn open(&self, purpose: &[u8], token: &str) -> Option<Vec<u8>> {
        if token.len() > LONGEST {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, rest) = bytes.split_first_chunk::<KEY_ID_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let key = self.keys.iter().find(|key| key.id == *id)?;
        let mut sealed = sealed.to_vec();
        let opened = key.cipher.open_in_place(Nonce::from(nonce), Aad::from(purpose), &mut sealed).ok()?.len();
        sealed.truncate(opened);
        Some(sealed)
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenKeys").finish_non_exhaustive()
    }
}

impl Key {
    /// Derives a key and its id, so that neither says anything of the secret or of the other (RFC 5869).
    fn derive(secret: &[u8]) -> Self {
        let prk = Salt::new(HKDF_SHA256, b"notes-service page tokens").extract(secret);
        let (mut id, mut key) = ([0; KEY_ID_BYTES], [0; 32]);
        expand(&prk, b"key id", &mut id);
        expand(&prk, b"AES-256-GCM-SIV", &mut key);
        let cipher = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key).expect("the key has 32 bytes");
        Self { id, cipher }
    }
}

fn expand(prk: &Prk, purpose: &[u8], output: &mut [u8]) {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let purpose = [purpose];
    let material = prk.expand(&purpose, Length(output.len())).and_then(|okm| okm.fill(output));
    material.expect("far fewer bytes than HKDF gives");
}
