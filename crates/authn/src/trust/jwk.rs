//! JSON Web Keys and sets of them (RFC 7517), read strictly.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess};

use super::{PublicKey, TrustError};
use crate::json::{self, Members, Object};

/// The key of a JSON text.
pub(super) fn read_key(json: &[u8]) -> Result<PublicKey, TrustError> {
    let jwk: Jwk = serde_json::from_slice(json).map_err(|_| TrustError::Jwk)?;
    jwk.read()
}

/// The keys of a set that verify RS256 signatures, at least one; those for other purposes are skipped (RFC 7517 §5).
///
/// # Errors
/// Refuses the whole set if any key that is for us is broken, if two of them have one id, and if there is a secret
/// key among all of them: whoever publishes that has more amiss than one entry.
pub(super) fn read_set(json: &[u8]) -> Result<Vec<PublicKey>, TrustError> {
    let Object(set) = serde_json::from_slice::<Object<Set>>(json).map_err(|_| TrustError::Jwk)?;
    let mut ids = HashSet::new();
    let mut keys = Vec::new();
    for jwk in set.keys.ok_or(TrustError::Jwk)? {
        match jwk.read() {
            Ok(key) if !ids.insert(key.key_id().to_owned()) => {
                return Err(TrustError::DuplicateKeyId(key.key_id().to_owned()));
            }
            Ok(key) => keys.push(key),
            Err(TrustError::OtherPurpose) => {}
            Err(error) => return Err(error),
        }
    }
    if keys.is_empty() { Err(TrustError::NoKeys) } else { Ok(keys) }
}

#[derive(Default)]
struct Set {
    keys: Option<Vec<Jwk>>,
}

impl Members for Set {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if name == "keys" {
            self.keys = Some(map.next_value()?);
        }
        Ok(name == "keys")
    }
}

/// A key as it stands in a set. Of each member its presence counts, since `null` is refused.
#[derive(Default)]
struct Jwk {
    kty: Option<String>,
    purpose: Option<String>,
    operations: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    is_private: bool,
}

impl Members for Jwk {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "kty" => self.kty = Some(map.next_value()?),
            "use" => self.purpose = Some(map.next_value()?),
            "key_ops" => self.operations = Some(map.next_value()?),
            "alg" => self.alg = Some(map.next_value()?),
            "kid" => self.kid = Some(map.next_value()?),
            "n" => self.n = Some(map.next_value()?),
            "e" => self.e = Some(map.next_value()?),
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" => {
                self.is_private = true;
                json::skip(map)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer).map(|object| object.0)
    }
}

impl Jwk {
    fn read(&self) -> Result<PublicKey, TrustError> {
        let kty = self.kty.as_deref().ok_or(TrustError::Jwk)?;
        if kty == "oct" || self.is_private {
            return Err(TrustError::SecretKey);
        }
        if kty != "RSA" || !self.is_for_verifying_rs256() {
            return Err(TrustError::OtherPurpose);
        }
        let key = PublicKey::from_components(&number(self.n.as_deref())?, &number(self.e.as_deref())?)?;
        match &self.kid {
            Some(id) => key.with_key_id(id),
            None => Ok(key),
        }
    }

    fn is_for_verifying_rs256(&self) -> bool {
        self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.operations.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"))
            && self.alg.as_deref().is_none_or(|alg| alg == "RS256")
    }
}

/// A Base64urlUInt (RFC 7518 §2): big-endian, in as few bytes as it takes.
fn number(text: Option<&str>) -> Result<Vec<u8>, TrustError> {
    let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(TrustError::Jwk)?;
    match bytes.first() {
        None | Some(0) => Err(TrustError::Jwk),
        Some(_) => Ok(bytes),
    }
}
