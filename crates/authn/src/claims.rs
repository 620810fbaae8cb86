//! The claims of an access token: the one definition for issuer and verifier.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The `typ` header of an access token (RFC 9068 §2.1).
pub const TOKEN_TYPE: &str = "at+jwt";

/// The claims of an access token, with the names of RFC 7519, RFC 9068 and OpenID Connect. Times are whole seconds
/// since 1970. Everything beyond the required ones may be absent in tokens of other issuers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Roles of the account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// When the person was last authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// How the person was authenticated (RFC 8176).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
}
