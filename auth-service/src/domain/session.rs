use std::fmt;
use std::time::{Duration, SystemTime};

use authn::SessionId;

use super::line::{self, LineViolation};
use super::{AccountId, Origin, RotationTimes};

/// The full key of a session: the account comes first, so that a sharded store finds it on one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// Whose session it is.
    pub account: AccountId,
    /// Its id, the `sid` of its access tokens.
    pub session: SessionId,
}

/// The number of a refresh token inside its session; the token of the login is number 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u64);

/// Random bytes of one session that enter the MAC of its refresh tokens: without them the server's secret alone makes
/// no token, and without the secret they make none either.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; Nonce::BYTES]);

/// What a client calls itself in the list of sessions: 0 to 100 code points after NFC, no control characters.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientLabel(String);

/// How long a session lives, and how long a token that was just spent still yields something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without use.
    pub idle: Duration,
    /// In all; rotation never extends it.
    pub absolute: Duration,
    /// How long after its rotation a token may come again from a second tab or a retry, inclusive.
    pub reuse_grace: Duration,
}

/// Why a session was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevokeReason {
    /// Its owner logged out.
    Logout,
    /// Its owner ended it from another session, or all at once.
    SignOut,
    /// Its owner changed the password in another session.
    PasswordChange,
    /// Its owner logged in so often that this, unused for longest, was one too many.
    Evicted,
    /// One of its spent refresh tokens came back: two parties hold it (RFC 9700 §4.14.2).
    Reuse,
    /// An operator ended it.
    Operator,
}

/// One login on one device. Its refresh tokens, numbered by generation, are its family.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Its key.
    pub key: SessionKey,
    /// What enters the MAC of its tokens.
    pub nonce: Nonce,
    /// The generation whose token is good now; all before it are spent.
    pub generation: Generation,
    /// When its latest rotations happened.
    pub rotated_at: RotationTimes,
    /// Whether the tokens of the present generation were seen in use, so that their answer was not lost.
    pub child_confirmed: bool,
    /// No token before this generation yields one of it or of a later one: the password was changed here.
    pub barrier: Option<Generation>,
    /// When the login happened.
    pub created_at: SystemTime,
    /// When it last yielded tokens.
    pub last_used_at: SystemTime,
    /// When it ends unless it is used before.
    pub idle_expires_at: SystemTime,
    /// When it ends whatever happens, fixed at login.
    pub absolute_expires_at: SystemTime,
    /// When the person was last authenticated.
    pub authenticated_at: SystemTime,
    /// How the person was authenticated (RFC 8176).
    pub auth_methods: Vec<String>,
    /// What the client called itself.
    pub client_label: ClientLabel,
    /// Where the login came from.
    pub origin: Origin,
    /// When and why it was revoked, if it was.
    pub revoked: Option<(SystemTime, RevokeReason)>,
}

impl Session {
    /// The session of a login with a password.
    #[must_use]
    pub fn begin(
        key: SessionKey,
        nonce: Nonce,
        client_label: ClientLabel,
        origin: Origin,
        limits: &SessionLimits,
        now: SystemTime,
    ) -> Self {
        Self {
            key,
            nonce,
            generation: Generation::FIRST,
            rotated_at: RotationTimes::default(),
            child_confirmed: false,
            barrier: None,
            created_at: now,
            last_used_at: now,
            idle_expires_at: now + limits.idle,
            absolute_expires_at: now + limits.absolute,
            authenticated_at: now,
            auth_methods: vec!["pwd".to_owned()],
            client_label,
            origin,
            revoked: None,
        }
    }

    /// When the session ends unless it is used before: the earlier of its two limits.
    #[must_use]
    pub fn ends_at(&self) -> SystemTime {
        self.idle_expires_at.min(self.absolute_expires_at)
    }

    /// Whether a token of `seen`, met in use, is the first proof that the present generation reached its client.
    #[must_use]
    pub fn is_confirmed_by(&self, seen: Generation) -> bool {
        seen == self.generation && seen > Generation::FIRST && !self.child_confirmed
    }

    /// Whether the session is neither revoked nor over.
    #[must_use]
    pub fn is_live(&self, now: SystemTime) -> bool {
        self.revoked.is_none() && now < self.ends_at()
    }
}

impl Generation {
    /// That of the login.
    pub const FIRST: Self = Self(1);
    /// The last one that a store can hold.
    const LAST: u64 = i64::MAX.unsigned_abs();

    /// The generation with this number, if it can be one.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        if number >= 1 && number <= Self::LAST { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    pub(super) const fn next(self) -> Option<Self> {
        Self::from_number(self.0 + 1)
    }
}

impl Nonce {
    /// How many bytes it has.
    pub const BYTES: usize = 32;

    /// The nonce of these random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl ClientLabel {
    /// Reads a label.
    ///
    /// # Errors
    /// If it is too long or holds a control character.
    pub fn parse(text: &str) -> Result<Self, LineViolation> {
        line::parse(text).map(Self)
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RevokeReason {
    /// Every reason.
    const ALL: [Self; 6] =
        [Self::Logout, Self::SignOut, Self::PasswordChange, Self::Evicted, Self::Reuse, Self::Operator];

    /// Its name in the store and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::SignOut => "sign_out",
            Self::PasswordChange => "password_change",
            Self::Evicted => "evicted",
            Self::Reuse => "reuse",
            Self::Operator => "operator",
        }
    }

    /// The reason with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Nonce")
    }
}

impl fmt::Debug for ClientLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientLabel")
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("key", &self.key)
            .field("generation", &self.generation)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::UNIX_EPOCH;

    use uuid::Uuid;

    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    pub(in crate::domain) const LIMITS: SessionLimits = SessionLimits {
        idle: DAY,
        absolute: Duration::from_secs(3 * 24 * 60 * 60),
        reuse_grace: Duration::from_secs(10),
    };

    pub(in crate::domain) fn login_time() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    pub(in crate::domain) fn session() -> Session {
        let key = SessionKey {
            account: AccountId::from_uuid(Uuid::from_u128(1)),
            session: SessionId::from_uuid(Uuid::from_u128(2)),
        };
        let label = ClientLabel::parse("laptop").expect("a label");
        Session::begin(key, Nonce::from_bytes([7; 32]), label, Origin::default(), &LIMITS, login_time())
    }

    pub(in crate::domain) fn generation(number: u64) -> Generation {
        Generation::from_number(number).expect("a generation")
    }

    #[test]
    fn a_session_is_live_until_it_ends_or_is_revoked() {
        let mut session = session();
        assert!(session.is_live(login_time()));
        assert!(session.is_live(login_time() + LIMITS.idle - MICROSECOND));
        assert!(!session.is_live(login_time() + LIMITS.idle));
        session.revoked = Some((login_time(), RevokeReason::Reuse));
        assert!(!session.is_live(login_time()));
    }

    #[test]
    fn only_the_present_generation_with_a_parent_is_news_when_it_is_seen_in_use() {
        let mut session = session();
        assert!(!session.is_confirmed_by(generation(1)), "nothing comes before the login");
        session.generation = generation(3);
        assert!(session.is_confirmed_by(generation(3)));
        assert!(!session.is_confirmed_by(generation(2)) && !session.is_confirmed_by(generation(4)));
        session.child_confirmed = true;
        assert!(!session.is_confirmed_by(generation(3)), "it is known already");
    }

    #[test]
    fn generations_fit_the_store() {
        assert_eq!(Generation::from_number(0), None);
        assert_eq!(Generation::from_number(u64::MAX), None);
        assert_eq!(generation(i64::MAX.unsigned_abs()).next(), None);
    }

    #[test]
    fn every_reason_is_found_by_its_name() {
        for reason in RevokeReason::ALL {
            assert_eq!(RevokeReason::from_name(reason.name()), Some(reason));
        }
        assert_eq!(RevokeReason::from_name("whim"), None);
    }
}
