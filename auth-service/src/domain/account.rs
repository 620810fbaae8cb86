use std::fmt;
use std::time::SystemTime;

use authn::Subject;
use uuid::Uuid;

use super::line::{self, LineViolation};

/// The id of an account: the `sub` of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Uuid);

impl AccountId {
    /// The account with this id.
    #[must_use]
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// The id itself.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Subject> for AccountId {
    fn from(subject: Subject) -> Self {
        Self(subject.as_uuid())
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A name to show to people: 0 to 100 code points after NFC, no control characters.
#[derive(Clone, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Reads a name.
    ///
    /// # Errors
    /// If it is too long or holds a control character.
    pub fn parse(text: &str) -> Result<Self, LineViolation> {
        line::parse(text).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DisplayName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DisplayName")
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// It may.
    Active,
    /// An operator has switched it off: no login, no refresh.
    Disabled,
}

/// A person's record.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The e-mail address as it was typed at registration.
    pub email: String,
    /// The name to show to people.
    pub display_name: DisplayName,
    /// Whether the address has been shown to belong to the account.
    pub email_verified: bool,
    /// Roles, copied into each access token.
    pub roles: Vec<String>,
    /// Whether it may be used.
    pub state: AccountState,
    /// The least `ver` of an access token that is still good; raised to end all of them at once.
    pub token_version: u64,
    /// How often the record was changed, beginning at 1.
    pub revision: u64,
    /// When it was registered.
    pub created_at: SystemTime,
    /// When it was last changed.
    pub updated_at: SystemTime,
    /// When a password was last accepted.
    pub last_login_at: Option<SystemTime>,
}

impl Account {
    /// The opaque version of the record, a quoted string (RFC 9110 §8.8.3).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{:x}\"", self.revision)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Account").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}
