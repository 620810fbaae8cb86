//! For tests: an issuer that signs real tokens with a throw-away key, subjects out of thin air, and every broken token.
//!
//! Behind the feature `testing`, which belongs into `[dev-dependencies]`: here alone a [`Subject`] can be had without a
//! verified token.

mod broken;

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::broken::BrokenToken;
use crate::claims::{Claims, TOKEN_TYPE};
use crate::{Clock, PublicKey, Subject, Trust, Verifier, VerifierConfig};

/// Making a key takes a good part of a second, so a process makes each once.
static KEYS: [LazyLock<RsaKeyPair>; 2] = [LazyLock::new(new_key), LazyLock::new(new_key)];

fn new_key() -> RsaKeyPair {
    RsaKeyPair::generate(KeySize::Rsa2048).expect("a key can be made")
}

/// A subject that is nobody else.
#[must_use]
pub fn subject() -> Subject {
    subject_of(Uuid::new_v4())
}

/// The subject with this id.
#[must_use]
pub fn subject_of(id: Uuid) -> Subject {
    Subject(id)
}

/// Header and claims of a token as JSON, after its signature has been verified with `key`.
///
/// # Panics
/// If the token is not what `key` signed.
#[must_use]
#[track_caller]
pub fn header_and_claims(token: &str, key: &PublicKey) -> (Value, Value) {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    assert!(key.verifies(signed.as_bytes(), &decode(signature)), "the token was signed by another key");
    let json = |part: &str| serde_json::from_slice(&decode(part)).expect("JSON");
    (json(header), json(claims))
}

/// Signs real access tokens with a key that lives as long as the process.
#[derive(Clone, Debug)]
pub struct TestIssuer {
    issuer: String,
    audience: String,
    key: &'static RsaKeyPair,
    public_key: PublicKey,
}

impl TestIssuer {
    /// An issuer of tokens with this `iss` and `aud`. All issuers of a process share one key.
    #[must_use]
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self::with(issuer, audience, &KEYS[0])
    }

    /// The same issuer with another key, the same for all issuers of a process.
    #[must_use]
    pub fn with_another_key(&self) -> Self {
        Self::with(&self.issuer, &self.audience, &KEYS[1])
    }

    fn with(issuer: &str, audience: &str, key: &'static RsaKeyPair) -> Self {
        let public = key.public_key();
        let public_key = PublicKey::from_components(
            public.modulus().big_endian_without_leading_zero(),
            public.exponent().big_endian_without_leading_zero(),
        );
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            key,
            public_key: public_key.expect("a sound key"),
        }
    }

    /// The public key; its key id is the thumbprint.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key.clone()
    }

    /// The key id, as it stands in the header of the tokens.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.public_key.key_id()
    }

    /// The public key as a PEM file.
    #[must_use]
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public_der())
    }

    /// The private key as a PEM file (PKCS #8), for a service that is to sign with it.
    #[must_use]
    pub fn private_pem(&self) -> String {
        let der: Pkcs8V1Der<'_> = self.key.as_der().expect("a key has a form");
        pem("PRIVATE KEY", der.as_ref())
    }

    /// The public key as a JSON Web Key with `kid`, `use` and `alg`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let public = self.key.public_key();
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.key_id(),
            "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// A key set of the public key alone.
    #[must_use]
    pub fn jwks(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    /// A verifier of this issuer's tokens, with the defaults.
    #[must_use]
    pub fn verifier(&self, clock: Clock) -> Verifier {
        let config = VerifierConfig::new(self.issuer.as_str(), self.audience.as_str());
        Verifier::new(config, Trust::fixed(vec![self.public_key()]), clock)
    }

    /// Claims of somebody new, good from `now` on for five minutes, without a scope.
    #[must_use]
    pub fn claims(&self, now: SystemTime) -> Claims {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        Claims {
            iss: self.issuer.clone(),
            aud: vec![self.audience.clone()],
            sub: Uuid::new_v4(),
            exp: now + 300,
            iat: now,
            nbf: Some(now),
            jti: Some(Uuid::new_v4().to_string()),
            sid: Some(Uuid::new_v4()),
            generation: Some(1),
            account_version: Some(1),
            scope: String::new(),
            roles: Vec::new(),
            auth_time: Some(now),
            amr: vec!["pwd".to_owned()],
        }
    }

    /// A good token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        self.sign_json(&self.header(), &serde_json::to_string(claims).expect("claims are JSON"))
    }

    /// The header of a good token.
    #[must_use]
    pub fn header(&self) -> String {
        format!(r#"{{"alg":"RS256","typ":"{TOKEN_TYPE}","kid":"{}"}}"#, self.key_id())
    }

    /// A token with these texts for header and claims, whatever they are, and a good signature.
    #[must_use]
    pub fn sign_json(&self, header: &str, claims: &str) -> String {
        self.sign_parts(&URL_SAFE_NO_PAD.encode(header), &URL_SAFE_NO_PAD.encode(claims))
    }

    /// A token with these parts as they are, and a good signature.
    #[must_use]
    pub fn sign_parts(&self, header: &str, claims: &str) -> String {
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.signature(&RSA_PKCS1_SHA256, &signed));
        format!("{signed}.{signature}")
    }

    fn signature(&self, padding: &'static dyn RsaEncoding, message: &str) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature);
        signed.expect("a key signs");
        signature
    }

    fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.key.public_key().as_der().expect("a key has a form");
        der.as_ref().to_vec()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for start in (0..text.len()).step_by(LINE) {
        pem.push_str(&text[start..text.len().min(start + LINE)]);
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}
