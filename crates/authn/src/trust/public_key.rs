use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::pem::{PemObject as _, SectionKind};

use super::{TrustError, jwk};

const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const MAX_EXPONENT_BYTES: usize = 4;
const MAX_KEY_ID_BYTES: usize = 64;

/// A public RSA key with its key id, parsed once. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey {
    id: Arc<str>,
    rsa: Arc<Rsa>,
}

struct Rsa {
    /// RFC 7638, in base64url.
    thumbprint: String,
    parsed: ParsedPublicKey,
}

impl PublicKey {
    /// Reads a public key from PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`); its key id is the RFC 7638 thumbprint.
    ///
    /// # Errors
    /// If it is no RSA key of 2,048 to 8,192 bits with an odd exponent above 1, if there is more than one block, or if
    /// the block is a private key, which has no business at a verifier.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TrustError> {
        // Both forms are read alike further down; the reader of blocks knows only one of their names.
        let pem = String::from_utf8_lossy(pem).replace("RSA PUBLIC KEY", "PUBLIC KEY");
        let mut blocks = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes());
        let der = match blocks.next() {
            Some(Ok((SectionKind::PublicKey, der))) => der,
            Some(Ok((SectionKind::PrivateKey | SectionKind::RsaPrivateKey, _))) => return Err(TrustError::SecretKey),
            _ => return Err(TrustError::Pem),
        };
        if blocks.next().is_some() {
            return Err(TrustError::Pem);
        }
        let key = rsa::PublicKey::from_der(&der).map_err(|_| TrustError::Pem)?;
        Self::from_components(
            key.modulus().big_endian_without_leading_zero(),
            key.exponent().big_endian_without_leading_zero(),
        )
    }

    /// Reads a public key from a JSON Web Key (RFC 7517). Its key id is its `kid`, or its RFC 7638 thumbprint if it has
    /// none.
    ///
    /// # Errors
    /// If it is not for verifying RS256 signatures (`kty`, `use`, `key_ops`, `alg`), if it is private, or as for PEM.
    pub fn from_jwk(json: &str) -> Result<Self, TrustError> {
        jwk::read_key(json.as_bytes())
    }

    /// The same key under another id, for an issuer whose tokens name it otherwise.
    ///
    /// # Errors
    /// If `id` is empty, longer than 64 bytes, or has characters outside of base64, base64url, `.` and `~`.
    pub fn with_key_id(self, id: &str) -> Result<Self, TrustError> {
        if !is_key_id(id) {
            return Err(TrustError::KeyId);
        }
        Ok(Self { id: id.into(), ..self })
    }

    /// The key id: the RFC 7638 SHA-256 thumbprint, or what its key set says.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.id
    }

    /// The key id, shared.
    pub(crate) fn shared_key_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    /// The key of this modulus and exponent, big-endian, without leading zeros. Its key id is the RFC 7638 thumbprint.
    ///
    /// # Errors
    /// If it is no RSA key of 2,048 to 8,192 bits with an odd exponent above 1.
    pub fn from_components(n: &[u8], e: &[u8]) -> Result<Self, TrustError> {
        let bits = bits(n);
        if !BITS.contains(&bits) {
            return Err(TrustError::KeySize(bits));
        }
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !is_odd(n)
            || !is_odd(e)
            || e == [1]
            || e.len() > MAX_EXPONENT_BYTES
            || n.first() == Some(&0)
            || e.first() == Some(&0)
        {
            return Err(TrustError::Unsound);
        }
        let parsed = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| TrustError::Unsound)?;
        let thumbprint = thumbprint(n, e);
        Ok(Self { id: thumbprint.as_str().into(), rsa: Arc::new(Rsa { thumbprint, parsed }) })
    }

    /// Whether `signature` is this key's RS256 signature of `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.rsa.parsed.verify_sig(message, signature).is_ok()
    }
}

/// The same numbers under the same id.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.rsa.thumbprint == other.rsa.thumbprint
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PublicKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whether this may be the id of a key: 1 to 64 characters of base64, base64url, `.` and `~`. It is a name to look up and
/// nothing else, never a path or a part of a query.
pub(crate) fn is_key_id(id: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=.~".contains(&byte);
    (1..=MAX_KEY_ID_BYTES).contains(&id.len()) && id.bytes().all(is_safe)
}

/// RFC 7638: the digest of the required members in lexicographic order, without white space.
fn thumbprint(n: &[u8], e: &[u8]) -> String {
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

fn bits(number: &[u8]) -> usize {
    match number.iter().position(|byte| *byte != 0) {
        Some(first) => (number.len() - first) * 8 - number[first].leading_zeros() as usize,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        // RFC 7638 §3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn\
                 jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6\
                 qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8aw\
                 apJzKnqDKgw";
        let n = URL_SAFE_NO_PAD.decode(n).expect("base64url");
        let key = PublicKey::from_components(&n, &[1, 0, 1]).expect("a key");
        assert_eq!(key.key_id(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
