use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
#[cfg(test)]
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::config::Secret;
use runtime::kept_secret;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::task::{JoinError, spawn_blocking};

use super::KeyEncryptionKey;
use crate::domain::{KeyId, PublicHalf, SealedKey};

/// Sizes of a key that is made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyBits {
    /// 2,048 bits.
    Rsa2048,
    /// 3,072 bits.
    Rsa3072,
    /// 4,096 bits.
    Rsa4096,
}

/// The RSA key that signs access tokens, parsed once.
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    jwk: PublicJwk,
}

/// The public half of a signing key with the member names of RFC 7517 and RFC 7518 §6.3.1, and no others.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct PublicJwk {
    /// Key type.
    pub(crate) kty: &'static str,
    /// Modulus, base64url.
    pub(crate) n: String,
    /// Public exponent, base64url.
    pub(crate) e: String,
    /// Key id: the RFC 7638 SHA-256 thumbprint.
    pub(crate) kid: String,
    /// Algorithm.
    pub(crate) alg: &'static str,
    /// Use.
    #[serde(rename = "use")]
    pub(crate) usage: &'static str,
}

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// Not PEM, or not an RSA private key.
    #[error("the signing key is not an RSA private key in PEM, PKCS#8 or PKCS#1")]
    Malformed,
    /// Not RSA, or not of 2,048 to 8,192 bits (RFC 7518 §3.3 asks for 2,048), or damaged.
    #[error("the signing key is no RSA private key of 2,048 to 8,192 bits: {0}")]
    Rejected(#[from] KeyRejected),
    /// Its halves do not belong together, or signing fails.
    #[error("a signature of the signing key is not verified by its published half")]
    Inconsistent,
    /// None could be made.
    #[error("no signing key could be made")]
    NotMade,
    /// The store has it encrypted under another secret, or damaged.
    #[error(
        "signing key {0} cannot be decrypted: signing_keys.encryption_key is not the one that it was encrypted under"
    )]
    Sealed(KeyId),
    /// Its file cannot be read.
    #[error("the signing key cannot be read: {0}")]
    Storage(#[from] io::Error),
    /// The work was lost.
    #[error("the making of the signing key did not end")]
    Lost(#[from] JoinError),
}

impl SigningKey {
    /// Reads the key that an operator has given as PEM, PKCS#8 or PKCS#1, off the async threads.
    ///
    /// # Errors
    /// If it is no good key.
    pub(crate) async fn given(pem: Secret) -> Result<Self, KeyError> {
        spawn_blocking(move || Self::from_pem(pem.expose())).await?
    }

    /// Reads the key of a PEM file, off the async threads; nothing if there is no such file.
    ///
    /// # Errors
    /// If it is no good key, or its file is open to others.
    pub(crate) async fn kept(path: PathBuf) -> Result<Option<Self>, KeyError> {
        let read = move || match kept_secret::read(&path) {
            Ok(pem) => Self::from_pem(&pem).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        };
        spawn_blocking(read).await?
    }

    /// Makes a key, off the async threads: it takes a tenth of a second or several.
    ///
    /// # Errors
    /// If none can be made.
    pub(crate) async fn make(bits: KeyBits) -> Result<Self, KeyError> {
        spawn_blocking(move || Self::proven(generate(bits)?)).await?
    }

    /// Decrypts a key of the store, off the async threads.
    ///
    /// # Errors
    /// If it was encrypted under another secret, or is not the key with this id.
    pub(crate) async fn open(sealed: Vec<u8>, id: KeyId, under: Arc<KeyEncryptionKey>) -> Result<Self, KeyError> {
        let open = move || {
            let private = under.open(id, &sealed).ok_or(KeyError::Sealed(id))?;
            let key = Self::proven(RsaKeyPair::from_pkcs8(&private)?)?;
            if key.jwk.kid == id.as_str() { Ok(key) } else { Err(KeyError::Inconsistent) }
        };
        spawn_blocking(open).await?
    }

    /// Its public half, and its private half encrypted for the store.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub(crate) fn seal(&self, under: &KeyEncryptionKey) -> Result<SealedKey, KeyError> {
        let public = self.jwk.half()?;
        // The encoding is wiped when it is dropped.
        let private: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| KeyError::NotMade)?;
        let sealed = under.seal(public.id, private.as_ref());
        Ok(SealedKey { public, sealed })
    }

    /// Reads a key.
    ///
    /// # Errors
    /// If it is no RSA key of at least 2,048 bits whose halves belong together.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Malformed)? {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())?,
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())?,
            _ => return Err(KeyError::Malformed),
        };
        Self::proven(pair)
    }

    /// The public half.
    pub(crate) const fn public(&self) -> &PublicJwk {
        &self.jwk
    }

    /// Signs with RSASSA-PKCS1-v1_5 and SHA-256: `RS256` (RFC 7518 §3.3).
    ///
    /// # Errors
    /// If the signature fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| KeyError::Inconsistent)?;
        Ok(signature)
    }

    /// The key, once a signature has shown that its halves belong together.
    fn proven(pair: RsaKeyPair) -> Result<Self, KeyError> {
        let jwk = PublicJwk::of(&pair);
        let key = Self { pair, jwk };
        key.prove()?;
        Ok(key)
    }

    /// Signs, and verifies with what verifiers will read in the published key set.
    fn prove(&self) -> Result<(), KeyError> {
        let message = b"is this key whole?";
        let signature = self.sign(message)?;
        let member = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Inconsistent);
        RsaPublicKeyComponents { n: member(&self.jwk.n)?, e: member(&self.jwk.e)? }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature)
            .map_err(|_| KeyError::Inconsistent)
    }
}

impl PublicJwk {
    fn of(pair: &RsaKeyPair) -> Self {
        let n = URL_SAFE_NO_PAD.encode(pair.public_key().modulus().big_endian_without_leading_zero());
        let e = URL_SAFE_NO_PAD.encode(pair.public_key().exponent().big_endian_without_leading_zero());
        let kid = thumbprint(&n, &e);
        Self { kty: "RSA", n, e, kid, alg: "RS256", usage: "sig" }
    }

    fn half(&self) -> Result<PublicHalf, KeyError> {
        let id = KeyId::parse(&self.kid).ok_or(KeyError::Inconsistent)?;
        Ok(PublicHalf { id, n: self.n.clone(), e: self.e.clone() })
    }
}

impl From<&PublicHalf> for PublicJwk {
    fn from(key: &PublicHalf) -> Self {
        let (kid, n, e) = (key.id.to_string(), key.n.clone(), key.e.clone());
        Self { kty: "RSA", n, e, kid, alg: "RS256", usage: "sig" }
    }
}

/// RFC 7638 §3.2: a digest of the required members in lexical order, without white space.
fn thumbprint(n: &str, e: &str) -> String {
    let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("kid", &self.jwk.kid).finish_non_exhaustive()
    }
}

fn generate(bits: KeyBits) -> Result<RsaKeyPair, KeyError> {
    let size = match bits {
        KeyBits::Rsa2048 => KeySize::Rsa2048,
        KeyBits::Rsa3072 => KeySize::Rsa3072,
        KeyBits::Rsa4096 => KeySize::Rsa4096,
    };
    RsaKeyPair::generate(size).map_err(|_| KeyError::NotMade)
}

#[cfg(test)]
impl SigningKey {
    /// The private key as PEM (PKCS#8).
    pub(crate) fn private_pem(&self) -> String {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().expect("encoded");
        pem("PRIVATE KEY", der.as_ref())
    }

    /// The public half as PEM (`RSA PUBLIC KEY`).
    pub(crate) fn public_pem(&self) -> String {
        pem("RSA PUBLIC KEY", self.pair.public_key().as_ref())
    }
}

/// RFC 7468: base64 in lines of 64 characters.
#[cfg(test)]
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for start in (0..base64.len()).step_by(64) {
        pem.push_str(&base64[start..base64.len().min(start + 64)]);
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

    use super::super::SecretSource;
    use super::*;

    /// A key of 1,024 bits that signs nothing.
    const SMALL_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAJuW3XH8E8KhUyvm\n\
        VNmcTPBC4+dqqu5H6kQfxjrQncOCSvFBVcliPUG923f6VnustgSW2tosMMUkvI5U\n\
        KMCnJsXI5Cu8XIh/GHNfLJSiqI2sIonnxD9tdisRFOmJYWl+bGUWDCnVBjxElqTW\n\
        HJPBWkAQ4VkzVzrs6Ns/snqVRWWTAgMBAAECgYB/sarfMO6az0JuhiRfUMtIaO2Y\n\
        8U+GLpmS/az4elzwp4+QP3oDxM/Xk9V6u4edCxt72r+VTa1dL5BdE686pjTH2SgM\n\
        cukPaxyTiWEIvpLb9+F/iv/PV49xVodJvTwGHwzVFTx3wsCA9NGR+rXUOYecBpl4\n\
        D6Zu8LcO2PXbn6pA6QJBAM0XIyx8PPYhy0qqCznii7b3SRxrP0quruoQYfJOVlKU\n\
        ntAxYuGQfnms2G4/1ERjj7IkfAfTF81apm1/h7n2+WcCQQDCNhZa8+NvIP5+e4e4\n\
        tOY9UPOByG28dwkO11T/r1yCoMmF9m9I00gQg49vXASJl2acYqiScDTQTNFEKFAo\n\
        4dr1AkEAtkSN2gdAFm7KQT0GZRdVm/IBY+Rch37frN2KbtH4HcQ/sD9z5YuJG5Hl\n\
        d3X6rBzfpC6QnFOan8KkjkP81+UKmQJAXfjL4mCGWPxPCCZ/qnklut+To+W2a23x\n\
        nRPGVh2lFrP0LvTqLgPFp+/wlIKi02zFwr/eL1VJyMySqXcUKmP2jQJAAO0j8x1D\n\
        tIUCJYyS3KzSHhajVvbL5pZpUsABIeZl4iww//KI//JQ9jwtbEc+2RgO3PVeHprP\n\
        856RL7lofWTrng==\n\
        -----END PRIVATE KEY-----\n";

    /// A new key as PEM.
    fn made() -> String {
        SigningKey::proven(generate(KeyBits::Rsa2048).expect("made")).expect("whole").private_pem()
    }

    fn der_of(key: &str) -> Vec<u8> {
        match PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM") {
            PrivateKeyDer::Pkcs8(der) => der.secret_pkcs8_der().to_vec(),
            _ => panic!("made as PKCS#8"),
        }
    }

    #[test]
    fn a_made_key_is_read_again_as_pkcs8_and_as_pkcs1() {
        let made = made();
        let key = SigningKey::from_pem(&made).expect("good");
        assert_eq!(key.pair.public_modulus_len() * 8, 2048);
        // PKCS#8 wraps the PKCS#1 form of a key of this size behind 26 bytes.
        let pkcs1 = pem("RSA PRIVATE KEY", &der_of(&made)[26..]);
        assert_eq!(SigningKey::from_pem(&pkcs1).expect("good").public(), key.public());
    }

    #[test]
    fn the_key_id_is_the_thumbprint_of_the_example_in_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi\
                 FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnY\
                 b9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0\
                 Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        assert_eq!(thumbprint(n, "AQAB"), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn what_is_no_good_key_is_refused() {
        assert!(matches!(SigningKey::from_pem(SMALL_KEY), Err(KeyError::Rejected(_))));
        for malformed in ["", "no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(SigningKey::from_pem(malformed).is_err(), "{malformed}");
        }
        let elliptic = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let elliptic = pem("PRIVATE KEY", elliptic.expect("made").as_ref());
        assert!(matches!(SigningKey::from_pem(&elliptic), Err(KeyError::Rejected(_))));
        let public = SigningKey::from_pem(&made()).expect("good").public_pem();
        assert!(matches!(SigningKey::from_pem(&public), Err(KeyError::Malformed)));
    }

    #[test]
    fn a_damaged_key_signs_nothing() {
        let good = der_of(&made());
        assert!(SigningKey::from_pem(&pem("PRIVATE KEY", &good)).is_ok(), "the allowed twin");
        // Somewhere in each half: the modulus, the private exponent, a prime.
        for position in [100, 400, 700] {
            let mut damaged = good.clone();
            damaged[position] ^= 1;
            assert!(SigningKey::from_pem(&pem("PRIVATE KEY", &damaged)).is_err(), "byte {position}");
        }
    }

    #[tokio::test]
    async fn a_key_of_a_file_is_read_if_it_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("signing-key.pem");
        let read = || SigningKey::kept(path.clone());
        assert!(read().await.expect("no failure").is_none(), "there is none");
        let made = made();
        std::fs::write(&path, &made).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
        assert!(matches!(read().await, Err(KeyError::Storage(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
        let key = read().await.expect("read").expect("it is there");
        assert_eq!(key.public(), SigningKey::from_pem(&made).expect("good").public());
    }

    #[tokio::test]
    async fn a_sealed_key_signs_again_once_it_is_opened_as_what_it_is() {
        let under = |text: &str| {
            let secret = Secret::new(format!("{text} that has more than thirty-two bytes"));
            Arc::new(KeyEncryptionKey::load_existing(&SecretSource::Given(secret)).expect("long enough"))
        };
        let (ours, other) = (under("a secret"), under("another"));
        let key = SigningKey::make(KeyBits::Rsa2048).await.expect("made");
        let SealedKey { public, sealed } = key.seal(&ours).expect("sealed");
        assert_eq!(PublicJwk::from(&public), *key.public());
        let opened = SigningKey::open(sealed.clone(), public.id, Arc::clone(&ours)).await.expect("opened");
        assert_eq!(opened.sign(b"message").expect("signed"), key.sign(b"message").expect("signed"));

        let refused = SigningKey::open(sealed, public.id, other).await.expect_err("another secret");
        assert!(matches!(refused, KeyError::Sealed(id) if id == public.id), "{refused}");
        let stranger = SigningKey::make(KeyBits::Rsa2048).await.expect("made");
        let private = der_of(&stranger.private_pem());
        let planted = ours.seal(public.id, &private);
        let refused = SigningKey::open(planted, public.id, ours).await.expect_err("not this key");
        assert!(matches!(refused, KeyError::Inconsistent), "{refused}");
    }

    #[test]
    fn only_public_members_are_published() {
        let key = SigningKey::from_pem(&made()).expect("good");
        let json = serde_json::to_value(key.public()).expect("JSON");
        let mut members: Vec<_> = json.as_object().expect("an object").keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!((&json["e"], &json["alg"], &json["use"]), (&"AQAB".into(), &"RS256".into(), &"sig".into()));
    }
}
