use std::fmt;
use std::time::{Duration, SystemTime};

use authn::SessionId;

use super::line::{self, LineViolation};
use super::{AccountId, Origin};

/// How many of its latest rotations a session remembers the time of.
pub const REMEMBERED_ROTATIONS: usize = 4;

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

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without use.
    pub idle: Duration,
    /// In all; rotation never extends it.
    pub absolute: Duration,
}

/// Why a session was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeReason {
    /// Its owner logged out.
    Logout,
    /// One of its spent refresh tokens came back: two parties hold it (RFC 9700 §4.14.2).
    Reuse,
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

/// What becomes of an authentic refresh token that is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It is the current one: the session moves on to this state, unless somebody else was faster.
    Rotated(Box<Session>),
    /// It was spent before: the session is to be revoked.
    Reused,
    /// The session had ended by its idle or its absolute limit.
    Expired,
    /// The session was revoked before.
    Revoked,
    /// It is newer than the session: the store was set back. Nothing changes.
    Ahead,
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

    /// Decides what becomes of an authentic token of generation `presented`.
    ///
    /// Source: RFC 9700 §4.14.2: rotation, and revocation of the family when a spent token comes back.
    #[must_use]
    pub fn rotate(&self, presented: Generation, limits: &SessionLimits, now: SystemTime) -> Rotation {
        if self.revoked.is_some() {
            return Rotation::Revoked;
        }
        if now >= self.ends_at() {
            return Rotation::Expired;
        }
        if presented < self.generation {
            return Rotation::Reused;
        }
        if presented > self.generation {
            return Rotation::Ahead;
        }
        let Some(generation) = self.generation.next() else {
            return Rotation::Expired;
        };
        // A clock that was set back must not make the session look younger than it is.
        let last_used_at = self.last_used_at.max(now);
        Rotation::Rotated(Box::new(Self {
            generation,
            last_used_at,
            idle_expires_at: last_used_at + limits.idle,
            ..self.clone()
        }))
    }

    /// When the session ends unless it is used before: the earlier of its two limits.
    #[must_use]
    pub fn ends_at(&self) -> SystemTime {
        self.idle_expires_at.min(self.absolute_expires_at)
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

    const fn next(self) -> Option<Self> {
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
    /// Its name in the store and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "reuse",
        }
    }

    /// The reason with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Logout, Self::Reuse].into_iter().find(|reason| reason.name() == name)
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
mod tests {
    use std::time::UNIX_EPOCH;

    use uuid::Uuid;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MICROSECOND: Duration = Duration::from_micros(1);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const LIMITS: SessionLimits = SessionLimits { idle: DAY, absolute: Duration::from_secs(3 * 24 * 60 * 60) };

    fn login_time() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn session() -> Session {
        let key = SessionKey {
            account: AccountId::from_uuid(Uuid::from_u128(1)),
            session: SessionId::from_uuid(Uuid::from_u128(2)),
        };
        let label = ClientLabel::parse("laptop").expect("a label");
        Session::begin(key, Nonce::from_bytes([7; 32]), label, Origin::default(), &LIMITS, login_time())
    }

    fn generation(number: u64) -> Generation {
        Generation::from_number(number).expect("a generation")
    }

    /// The session after `times` rotations, one a second.
    fn rotated(times: u32) -> Session {
        (1..=times).fold(session(), |session, count| {
            match session.rotate(session.generation, &LIMITS, login_time() + SECOND * count) {
                Rotation::Rotated(next) => *next,
                other => panic!("{other:?}"),
            }
        })
    }

    #[track_caller]
    fn check(session: &Session, presented: u64, after_login: Duration, expected: &str) {
        let outcome = match session.rotate(generation(presented), &LIMITS, login_time() + after_login) {
            Rotation::Rotated(_) => "rotated",
            Rotation::Reused => "reused",
            Rotation::Expired => "expired",
            Rotation::Revoked => "revoked",
            Rotation::Ahead => "ahead",
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn the_current_token_is_rotated_and_every_older_one_is_reuse() {
        let session = rotated(3);
        assert_eq!(session.generation, generation(4));
        check(&session, 4, SECOND * 10, "rotated");
        for older in 1..=3 {
            check(&session, older, SECOND * 10, "reused");
        }
        check(&session, 5, SECOND * 10, "ahead");
    }

    #[test]
    fn a_revoked_session_stays_revoked_whatever_is_presented() {
        let mut session = rotated(1);
        session.revoked = Some((login_time() + SECOND, RevokeReason::Logout));
        for presented in 1..=3 {
            check(&session, presented, SECOND * 2, "revoked");
            check(&session, presented, LIMITS.absolute, "revoked");
        }
    }

    #[test]
    fn an_unused_session_ends_exactly_at_its_idle_limit() {
        check(&session(), 1, LIMITS.idle - MICROSECOND, "rotated");
        check(&session(), 1, LIMITS.idle, "expired");
        check(&rotated(1), 1, LIMITS.idle + SECOND, "expired");
    }

    #[test]
    fn use_extends_the_idle_limit_and_never_the_absolute_one() {
        let mut session = session();
        for days in [DAY - SECOND, DAY * 2 - SECOND * 2, DAY * 3 - SECOND * 3] {
            match session.rotate(session.generation, &LIMITS, login_time() + days) {
                Rotation::Rotated(next) => session = *next,
                other => panic!("{other:?}"),
            }
            assert_eq!(session.absolute_expires_at, login_time() + LIMITS.absolute);
        }
        assert_eq!(session.ends_at(), login_time() + LIMITS.absolute);
        check(&session, 4, LIMITS.absolute - MICROSECOND, "rotated");
        check(&session, 4, LIMITS.absolute, "expired");
    }

    #[test]
    fn a_clock_set_back_makes_no_session_younger() {
        let session = rotated(2);
        let Rotation::Rotated(next) = session.rotate(session.generation, &LIMITS, login_time() - DAY) else {
            panic!("the token is current");
        };
        assert_eq!(next.last_used_at, session.last_used_at);
        assert_eq!(next.idle_expires_at, session.idle_expires_at);
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
    fn generations_fit_the_store() {
        assert_eq!(Generation::from_number(0), None);
        assert_eq!(Generation::from_number(u64::MAX), None);
        let mut last = session();
        last.generation = generation(i64::MAX.unsigned_abs());
        check(&last, i64::MAX.unsigned_abs(), SECOND, "expired");
    }

    #[test]
    fn every_reason_is_found_by_its_name() {
        for reason in [RevokeReason::Logout, RevokeReason::Reuse] {
            assert_eq!(RevokeReason::from_name(reason.name()), Some(reason));
        }
        assert_eq!(RevokeReason::from_name("whim"), None);
    }
}
