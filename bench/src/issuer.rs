//! Tokens of people that no auth service knows: they are made by the hundred thousand, and whose notes are written is what
//! a verified token says, here as everywhere.

use std::time::{SystemTime, UNIX_EPOCH};

use authn::claims::{Claims, TOKEN_TYPE};
use authn::{Clock, PublicKey, Subject, Trust, Verifier, VerifierConfig};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::Failure;

/// What the notes service expects by default.
const ISSUER: &str = "http://127.0.0.1:50051";
const AUDIENCE: &str = "notes-service";

/// How long a token is good for, in seconds: as long as the notes service accepts by default.
const LIFETIME: u64 = 600;

/// Signs access tokens with a key of its own.
pub(crate) struct Issuer {
    key: KeyPair,
    pem: String,
    key_id: String,
    verifier: Verifier,
    clock: Clock,
}

impl Issuer {
    /// An issuer with a new key.
    ///
    /// # Errors
    /// If no key can be made.
    pub(crate) fn new() -> Result<Self, Failure> {
        let key = KeyPair::generate(KeySize::Rsa2048)?;
        let der: PublicKeyX509Der<'_> = key.public_key().as_der()?;
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()));
        let public = PublicKey::from_pem(pem.as_bytes())?;
        let key_id = public.key_id().to_owned();
        let config = VerifierConfig::new(ISSUER, AUDIENCE);
        let clock = Clock::system();
        let verifier = Verifier::new(config, Trust::fixed(vec![public]), clock.clone());
        Ok(Self { key, pem, key_id, verifier, clock })
    }

    /// The present.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// The public key, for the service.
    pub(crate) fn public_pem(&self) -> &str {
        &self.pem
    }

    /// A token of this person, good for ten minutes.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub(crate) fn token(&self, person: Uuid) -> Result<String, Failure> {
        let now = self.now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: vec![AUDIENCE.to_owned()],
            sub: person,
            exp: now + LIFETIME,
            iat: now,
            nbf: None,
            jti: Some(Uuid::new_v4().to_string()),
            sid: None,
            generation: None,
            account_version: None,
            scope: "notes.read notes.write".to_owned(),
            roles: Vec::new(),
            auth_time: None,
            amr: Vec::new(),
        };
        let header = format!(r#"{{"alg":"RS256","typ":"{TOKEN_TYPE}","kid":"{}"}}"#, self.key_id);
        let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let signed = format!("{}.{}", encode(&header), encode(&serde_json::to_string(&claims)?));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// This person, as a verified token says.
    ///
    /// # Errors
    /// If the token does not verify.
    pub(crate) fn subject(&self, person: Uuid) -> Result<Subject, Failure> {
        Ok(self.verifier.verify(&self.token(person)?).map_err(|rejection| format!("{rejection:?}"))?.subject())
    }
}
