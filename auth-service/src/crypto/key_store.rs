use std::fmt;
use std::io;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use runtime::config::Secret;
use runtime::kept_secret;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::task::{JoinError, spawn_blocking};
use zeroize::Zeroizing;

/// Where the signing key comes from.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// The operator has given it as PEM, PKCS#8 or PKCS#1.
    Given(Secret),
    /// It is kept as PEM in this file, and made with this many bits at the first start.
    Kept(PathBuf, KeyBits),
}

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
    /// It could not be read or kept.
    #[error("the signing key cannot be kept: {0}")]
    Storage(#[from] io::Error),
    /// The work was lost.
    #[error("the making of the signing key did not end")]
    Lost(#[from] JoinError),
}

impl SigningKey {
    /// Reads or makes the key, off the async threads, and proves it by a signature before anything is signed with it.
    ///
    /// # Errors
    /// If there is no good key, or its file is open to others.
    pub(crate) async fn load(source: KeySource) -> Result<Self, KeyError> {
        spawn_blocking(move || match source {
            KeySource::Given(pem) => Self::from_pem(pem.expose()),
            KeySource::Kept(path, bits) => {
                let pem = kept_secret::read_or_keep(&path, || make(bits).map_err(io::Error::other))?;
                Self::from_pem(&pem)
            }
        })
        .await?
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
        let jwk = PublicJwk::of(&pair);
        let key = Self { pair, jwk };
        key.prove()?;
        Ok(key)
    }

    /// The public half.
    pub(crate) const fn public(&self) -> &PublicJwk {
        &self.jwk
    }

    /// The public half as PEM (`RSA PUBLIC KEY`).
    #[cfg(test)]
    pub(crate) fn public_pem(&self) -> String {
        pem("RSA PUBLIC KEY", self.pair.public_key().as_ref())
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

/// A new private key as PEM (PKCS#8). Takes a second or so.
fn make(bits: KeyBits) -> Result<Zeroizing<String>, KeyError> {
    let size = match bits {
        KeyBits::Rsa2048 => KeySize::Rsa2048,
        KeyBits::Rsa3072 => KeySize::Rsa3072,
        KeyBits::Rsa4096 => KeySize::Rsa4096,
    };
    let pair = RsaKeyPair::generate(size).map_err(|_| KeyError::NotMade)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::NotMade)?;
    Ok(Zeroizing::new(pem("PRIVATE KEY", der.as_ref())))
}

/// RFC 7468: base64 in lines of 64 characters.
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = Zeroizing::new(STANDARD.encode(der));
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

    fn der_of(key: &str) -> Vec<u8> {
        match PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM") {
            PrivateKeyDer::Pkcs8(der) => der.secret_pkcs8_der().to_vec(),
            _ => panic!("made as PKCS#8"),
        }
    }

    #[test]
    fn a_made_key_is_read_again_as_pkcs8_and_as_pkcs1() {
        let made = make(KeyBits::Rsa2048).expect("made");
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
        let public = SigningKey::from_pem(&make(KeyBits::Rsa2048).expect("made")).expect("good").public_pem();
        assert!(matches!(SigningKey::from_pem(&public), Err(KeyError::Malformed)));
    }

    #[test]
    fn a_damaged_key_signs_nothing() {
        let good = der_of(&make(KeyBits::Rsa2048).expect("made"));
        assert!(SigningKey::from_pem(&pem("PRIVATE KEY", &good)).is_ok(), "the allowed twin");
        // Somewhere in each half: the modulus, the private exponent, a prime.
        for position in [100, 400, 700] {
            let mut damaged = good.clone();
            damaged[position] ^= 1;
            assert!(SigningKey::from_pem(&pem("PRIVATE KEY", &damaged)).is_err(), "byte {position}");
        }
    }

    #[tokio::test]
    async fn a_kept_key_is_the_same_after_a_restart_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("signing-key.pem");
        let load = || SigningKey::load(KeySource::Kept(path.clone(), KeyBits::Rsa2048));
        let first = load().await.expect("made");
        assert_eq!(load().await.expect("read").public(), first.public());
        assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
        assert!(matches!(load().await, Err(KeyError::Storage(_))));
    }

    #[test]
    fn only_public_members_are_published() {
        let key = SigningKey::from_pem(&make(KeyBits::Rsa2048).expect("made")).expect("good");
        let json = serde_json::to_value(key.public()).expect("JSON");
        let mut members: Vec<_> = json.as_object().expect("an object").keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!((&json["e"], &json["alg"], &json["use"]), (&"AQAB".into(), &"RS256".into(), &"sig".into()));
    }
}
