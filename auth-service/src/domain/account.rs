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

/// What is to be changed of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// The new name.
    pub display_name: Option<DisplayName>,
    /// The revision that the change is meant for; any, if there is none.
    pub expected: Option<Revision>,
}

/// How often a record was changed, as its etag says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

/// What a change comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedAccount {
    /// The account as it is to be.
    Changed(Account),
    /// The account is so already.
    Unchanged,
    /// The account is not the version that the change is meant for.
    EtagMismatch,
}

impl Revision {
    /// The revision that an etag stands for, if it has the form of one of ours.
    #[must_use]
    pub fn parse(etag: &str) -> Option<Self> {
        let digits = etag.strip_prefix('"')?.strip_suffix('"')?;
        let revision = Self(u64::from_str_radix(digits, 16).ok()?);
        (revision.etag() == etag).then_some(revision)
    }

    fn etag(self) -> String {
        format!("\"{:x}\"", self.0)
    }
}

impl Account {
    /// Applies a change.
    #[must_use]
    pub fn apply(&self, change: &AccountChange, now: SystemTime) -> ChangedAccount {
        if change.expected.is_some_and(|expected| expected != Revision(self.revision)) {
            return ChangedAccount::EtagMismatch;
        }
        match &change.display_name {
            Some(name) if *name != self.display_name => ChangedAccount::Changed(Self {
                display_name: name.clone(),
                revision: self.revision + 1,
                // A clock that was set back must not make a change older than the one before it.
                updated_at: self.updated_at.max(now),
                ..self.clone()
            }),
            _ => ChangedAccount::Unchanged,
        }
    }

    /// The opaque version of the record, a quoted string (RFC 9110 §8.8.3).
    #[must_use]
    pub fn etag(&self) -> String {
        Revision(self.revision).etag()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Account").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn account() -> Account {
        Account {
            id: AccountId::from_uuid(Uuid::from_u128(1)),
            email: "alice@example.com".to_owned(),
            display_name: DisplayName::parse("Alice").expect("a name"),
            email_verified: false,
            roles: Vec::new(),
            state: AccountState::Active,
            token_version: 1,
            revision: 27,
            created_at: UNIX_EPOCH,
            updated_at: UNIX_EPOCH + Duration::from_secs(60),
            last_login_at: None,
        }
    }

    fn named(name: &str, expected: Option<&str>) -> AccountChange {
        let expected = expected.map(|etag| Revision::parse(etag).expect("an etag"));
        AccountChange { display_name: Some(DisplayName::parse(name).expect("a name")), expected }
    }

    #[test]
    fn a_change_makes_a_new_version_unless_it_changes_nothing() {
        let later = UNIX_EPOCH + Duration::from_secs(120);
        let ChangedAccount::Changed(changed) = account().apply(&named("Bob", Some("\"1b\"")), later) else {
            panic!("another name")
        };
        assert_eq!((changed.display_name.as_str(), changed.etag().as_str()), ("Bob", "\"1c\""));
        assert_eq!(changed.updated_at, later);
        assert_eq!(account().apply(&named("Alice", None), later), ChangedAccount::Unchanged);
        assert_eq!(account().apply(&AccountChange::default(), later), ChangedAccount::Unchanged);
        assert_eq!(account().apply(&named("Bob", Some("\"1a\"")), later), ChangedAccount::EtagMismatch);
        assert_eq!(account().apply(&named("Alice", Some("\"1a\"")), later), ChangedAccount::EtagMismatch);
    }

    #[test]
    fn a_clock_set_back_makes_no_change_older_than_the_one_before() {
        let ChangedAccount::Changed(changed) = account().apply(&named("Bob", None), UNIX_EPOCH) else {
            panic!("another name")
        };
        assert_eq!(changed.updated_at, account().updated_at);
    }

    #[test]
    fn only_the_canonical_form_is_an_etag() {
        assert_eq!(Revision::parse(&account().etag()), Some(Revision(27)));
        for other in ["", "\"\"", "1b", "\"1B\"", "\"01b\"", "\"+1b\"", "W/\"1b\"", "\"1b", "\"x\""] {
            assert_eq!(Revision::parse(other), None, "{other}");
        }
    }
}
