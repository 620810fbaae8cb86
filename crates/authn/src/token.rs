//! The compact form of a signed token (RFC 7515 §3.1), taken apart; nothing here is believed before its signature
//! is verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::MapAccess;

use crate::claims::TOKEN_TYPE;
use crate::fault::Fault;
use crate::json::{self, Members, Object};
use crate::trust::is_key_id;

/// A token in its three parts.
pub(crate) struct Token<'t> {
    /// What the signature covers: header and claims as they were sent.
    pub(crate) signed: &'t str,
    /// The header, an unverified JSON text.
    pub(crate) header: Vec<u8>,
    /// The claims, an unverified JSON text.
    pub(crate) claims: Vec<u8>,
    /// The signature.
    pub(crate) signature: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Splits a token. Its parts must be canonical base64url, without padding, white space or stray bits, so that one
    /// token has one form.
    pub(crate) fn split(compact: &'t str) -> Result<Self, Fault> {
        let (signed, signature) = compact.rsplit_once('.').ok_or(Fault::NotThreeParts)?;
        let (header, claims) = signed.split_once('.').ok_or(Fault::NotThreeParts)?;
        if claims.contains('.') {
            return Err(Fault::NotThreeParts);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::NotBase64);
        Ok(Self { signed, header: decode(header)?, claims: decode(claims)?, signature: decode(signature)? })
    }

    /// Checks the header and returns its key id. `jku`, `x5u`, `jwk`, `x5c` and whatever else it says are ignored:
    /// keys come from the trust source and from nowhere else.
    pub(crate) fn key_id(&self) -> Result<String, Fault> {
        let Object(header) =
            serde_json::from_slice::<Object<Header>>(&self.header).map_err(|_| Fault::HeaderNotStrictJson)?;
        if header.alg.as_deref() != Some("RS256") {
            return Err(Fault::OtherAlgorithm);
        }
        if !header.typ.as_deref().is_some_and(is_access_token_type) {
            return Err(Fault::OtherType);
        }
        if header.extended {
            return Err(Fault::ExtendedHeader);
        }
        header.kid.filter(|kid| is_key_id(kid)).ok_or(Fault::NoKeyId)
    }
}

/// Compares as a media type (RFC 7515 §4.1.9): without regard to case, `application/` may be left out.
fn is_access_token_type(typ: &str) -> bool {
    const PREFIX: &str = "application/";
    let short = match typ.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &typ[PREFIX.len()..],
        _ => typ,
    };
    short.eq_ignore_ascii_case(TOKEN_TYPE)
}

#[derive(Default)]
struct Header {
    alg: Option<String>,
    typ: Option<String>,
    kid: Option<String>,
    /// Says something that changes how the rest is to be read: `crit` (RFC 7515 §4.1.11), `b64` (RFC 7797) or
    /// `zip` (RFC 7516 §4.1.3). We understand none of them.
    extended: bool,
}

impl Members for Header {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "alg" => self.alg = Some(map.next_value()?),
            "typ" => self.typ = Some(map.next_value()?),
            "kid" => self.kid = Some(map.next_value()?),
            "crit" | "b64" | "zip" => {
                self.extended = true;
                json::skip(map)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
