//! The claims of an access token: the one definition for issuer and verifier.

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::json::{Members, Object};

/// The `typ` header of an access token (RFC 9068 §2.1).
pub const TOKEN_TYPE: &str = "at+jwt";

/// The claims of an access token, with the names of RFC 7519, RFC 9068 and OpenID Connect. Times are whole seconds
/// since 1970. Everything beyond the required ones may be absent in tokens of other issuers.
///
/// Reading is strict: a claim that comes twice or whose value has the wrong JSON type is refused, never taken for
/// absent; so is a fraction of a second, and an id that is not a UUID in its hyphenated form. `aud` may be a single
/// string (RFC 7519 §4.1.3). Claims that are not listed here are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience: the services that the token is for.
    pub aud: Vec<String>,
    /// Subject: the account's id.
    pub sub: Uuid,
    /// Expiration time, exclusive.
    pub exp: u64,
    /// Issued at.
    pub iat: u64,
    /// Not before, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Token id, at least 128 random bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Session id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    /// Generation of the session's refresh token.
    #[serde(rename = "gen", skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The account's token version.
    #[serde(rename = "ver", skip_serializing_if = "Option::is_none")]
    pub account_version: Option<u64>,
    /// Scopes, separated by single spaces (RFC 6749 §3.3).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Roles of the account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// When the person was last authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// How the person was authenticated (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(read) = Object::<ClaimsRead>::deserialize(deserializer)?;
        Ok(Self {
            iss: read.iss.ok_or_else(|| D::Error::missing_field("iss"))?,
            aud: read.aud.ok_or_else(|| D::Error::missing_field("aud"))?,
            sub: read.sub.ok_or_else(|| D::Error::missing_field("sub"))?,
            exp: read.exp.ok_or_else(|| D::Error::missing_field("exp"))?,
            iat: read.iat.ok_or_else(|| D::Error::missing_field("iat"))?,
            nbf: read.nbf,
            jti: read.jti,
            sid: read.sid,
            generation: read.generation,
            account_version: read.account_version,
            scope: read.scope.unwrap_or_default(),
            roles: read.roles.unwrap_or_default(),
            auth_time: read.auth_time,
            amr: read.amr.unwrap_or_default(),
        })
    }
}

#[derive(Default)]
struct ClaimsRead {
    iss: Option<String>,
    aud: Option<Vec<String>>,
    sub: Option<Uuid>,
    exp: Option<u64>,
    iat: Option<u64>,
    nbf: Option<u64>,
    jti: Option<String>,
    sid: Option<Uuid>,
    generation: Option<u64>,
    account_version: Option<u64>,
    scope: Option<String>,
    roles: Option<Vec<String>>,
    auth_time: Option<u64>,
    amr: Option<Vec<String>>,
}

impl Members for ClaimsRead {
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "iss" => self.iss = Some(map.next_value()?),
            "aud" => self.aud = Some(map.next_value::<OneOrMany>()?.0),
            "sub" => self.sub = Some(id(map)?),
            "exp" => self.exp = Some(map.next_value()?),
            "iat" => self.iat = Some(map.next_value()?),
            "nbf" => self.nbf = Some(map.next_value()?),
            "jti" => self.jti = Some(map.next_value()?),
            "sid" => self.sid = Some(id(map)?),
            "gen" => self.generation = Some(map.next_value()?),
            "ver" => self.account_version = Some(map.next_value()?),
            "scope" => self.scope = Some(map.next_value()?),
            "roles" => self.roles = Some(map.next_value()?),
            "auth_time" => self.auth_time = Some(map.next_value()?),
            "amr" => self.amr = Some(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn id<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Uuid, A::Error> {
    let text: String = map.next_value()?;
    text.parse::<Hyphenated>().map(Hyphenated::into_uuid).map_err(|_| A::Error::custom("not a UUID"))
}

struct OneOrMany(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor;

        impl<'de> Visitor<'de> for OneOrManyVisitor {
            type Value = OneOrMany;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or an array of strings")
            }

            fn visit_str<E>(self, one: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![one.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(many)).map(OneOrMany)
            }
        }

        deserializer.deserialize_any(OneOrManyVisitor)
    }
}
