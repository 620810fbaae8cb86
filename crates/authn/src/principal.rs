use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

/// Who a verified token speaks for: its `sub` (RFC 7519 §4.1.2). Only a [`Verifier`](crate::Verifier) makes one, so
/// a function that asks for a `Subject` cannot be reached without a verified token.
///
/// ```compile_fail
/// let forged = authn::Subject(uuid::Uuid::nil()); // the field is private
/// ```
///
/// ```
/// fn read(subject: authn::Subject) -> uuid::Uuid { subject.as_uuid() }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(pub(crate) Uuid);

impl Subject {
    /// The account's id.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One login on one device: the `sid` claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Uuid);

impl SessionId {
    /// The session with this id. A name, not a proof: unlike [`Subject`] anybody may make one.
    #[must_use]
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// The session's id.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Whoever a verified access token speaks for, and what the token allows. Only a [`Verifier`](crate::Verifier) makes one.
///
/// ```compile_fail
/// fn raised(caller: authn::Principal) -> authn::Principal {
///     authn::Principal { scopes: vec!["everything".to_owned()], ..caller } // the fields are private
/// }
/// ```
///
/// ```
/// fn may_read(caller: authn::Principal) -> bool {
///     caller.has_scope("notes.read")
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub(crate) subject: Subject,
    pub(crate) session: Option<SessionId>,
    pub(crate) generation: Option<u64>,
    pub(crate) account_version: Option<u64>,
    pub(crate) token_id: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) roles: Vec<String>,
    /// `iat`, since 1970.
    pub(crate) issued_at: Duration,
    pub(crate) expires_at: SystemTime,
    /// `kid`.
    pub(crate) key_id: Arc<str>,
}

impl Principal {
    /// Who the token speaks for.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        self.subject
    }

    /// The session that the token belongs to, if its issuer names one (`sid`).
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The generation of the session's refresh token that came with this access token (`gen`).
    #[must_use]
    pub const fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// The account's token version when the token was issued (`ver`).
    #[must_use]
    pub const fn account_version(&self) -> Option<u64> {
        self.account_version
    }

    /// The id of the token (`jti`).
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// The scopes of the token, in its order (RFC 6749 §3.3).
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether the token carries `scope`.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope)
    }

    /// The roles of the account when the token was issued.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// When the token expires (`exp`), without leeway.
    #[must_use]
    pub const fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}
