use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use super::{Generation, Session, SessionLimits};

/// How many of its latest rotations a session remembers the time of.
pub const REMEMBERED_ROTATIONS: usize = 4;

/// Told to a client that rotates too fast, beyond the exact time: timers count whole milliseconds.
const RETRY_MARGIN: Duration = Duration::from_millis(1);

/// When the latest rotations of a session happened, the latest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RotationTimes(pub [Option<SystemTime>; REMEMBERED_ROTATIONS]);

/// What becomes of an authentic refresh token that is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It is the current one: the session moves on to this state, unless somebody else was faster.
    Rotated(Box<Session>),
    /// It was spent a moment ago, by another tab or by a call that is repeated: it yields the tokens of the present
    /// generation, and nothing moves.
    Concurrent,
    /// As `Concurrent`, but the password was changed meanwhile: it yields nothing, and the session goes on.
    Superseded,
    /// It was spent longer ago, and nobody was seen to have what it yielded: it yields the same again, unless somebody
    /// else was faster. The session is to become this state, which counts as spending it anew: several tabs of a laptop
    /// that wakes up come with it at once, and the first may use what it got before the last has been answered.
    ResponseLost(Box<Session>),
    /// It was spent and came back: the session is to be revoked.
    Reused(Reuse),
    /// It is the current one, but if the session moved on now it would forget a token that may still come again.
    TooFast {
        /// When it may move on.
        retry_after: Duration,
    },
    /// The session had ended by its idle or its absolute limit.
    Expired,
    /// The session was revoked before.
    Revoked,
    /// It is newer than the session: the store was set back. Nothing changes.
    Ahead,
}

/// How a spent token shows that two parties hold tokens of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// Its child was seen in use.
    ConfirmedChild,
    /// Its child was spent too, or a change of password lies between.
    StaleLineage,
}

impl Session {
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
        match presented.cmp(&self.generation) {
            Ordering::Equal => self.move_on(limits, now),
            Ordering::Less => self.judge_spent(presented, limits.reuse_grace, now),
            Ordering::Greater => Rotation::Ahead,
        }
    }

    /// Moves on with new tokens of the caller's own, without a refresh token: the password was changed. No token of
    /// before yields anything from now on.
    #[must_use]
    pub fn rotate_behind_barrier(&self, limits: &SessionLimits, now: SystemTime) -> Rotation {
        match self.rotate(self.generation, limits, now) {
            Rotation::Rotated(next) => Rotation::Rotated(Box::new(Self { barrier: Some(next.generation), ..*next })),
            refused => refused,
        }
    }

    fn move_on(&self, limits: &SessionLimits, now: SystemTime) -> Rotation {
        if let Some(at) = self.rotated_at.oldest().filter(|at| is_within(limits.reuse_grace, *at, now)) {
            let free_at = at + limits.reuse_grace + RETRY_MARGIN;
            return Rotation::TooFast { retry_after: free_at.duration_since(now).unwrap_or(RETRY_MARGIN) };
        }
        let Some(generation) = self.generation.next() else {
            return Rotation::Expired;
        };
        // A clock that was set back must not make the session look younger than it is.
        let last_used_at = self.last_used_at.max(now);
        Rotation::Rotated(Box::new(Self {
            generation,
            rotated_at: self.rotated_at.and(now),
            child_confirmed: false,
            last_used_at,
            idle_expires_at: last_used_at + limits.idle,
            ..self.clone()
        }))
    }

    fn judge_spent(&self, presented: Generation, grace: Duration, now: SystemTime) -> Rotation {
        let behind = self.generation.number() - presented.number();
        let behind_barrier = self.barrier.is_some_and(|barrier| presented < barrier);
        if self.rotated_at.spent(behind).is_some_and(|at| is_within(grace, at, now)) {
            return if behind_barrier { Rotation::Superseded } else { Rotation::Concurrent };
        }
        if behind > 1 || behind_barrier {
            return Rotation::Reused(Reuse::StaleLineage);
        }
        if self.child_confirmed {
            return Rotation::Reused(Reuse::ConfirmedChild);
        }
        Rotation::ResponseLost(Box::new(Self { rotated_at: self.rotated_at.again(now), ..self.clone() }))
    }
}

impl RotationTimes {
    /// When the token that is `behind` generations behind the present one was spent, if that is remembered.
    fn spent(&self, behind: u64) -> Option<SystemTime> {
        let index = usize::try_from(behind.checked_sub(1)?).ok()?;
        self.0.get(index).copied().flatten()
    }

    /// The one that is forgotten next.
    const fn oldest(&self) -> Option<SystemTime> {
        self.0[REMEMBERED_ROTATIONS - 1]
    }

    fn again(mut self, now: SystemTime) -> Self {
        self.0[0] = Some(now);
        self
    }

    fn and(mut self, now: SystemTime) -> Self {
        self.0.rotate_right(1);
        self.0[0] = Some(now);
        self
    }
}

impl Reuse {
    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfirmedChild => "confirmed_child",
            Self::StaleLineage => "stale_lineage",
        }
    }
}

/// Whether the two times are at most `grace` apart, whichever comes first: replicas do not agree to the millisecond, and
/// a clock that was set back an hour must not lend a spent token an hour.
fn is_within(grace: Duration, at: SystemTime, now: SystemTime) -> bool {
    let distance = now.duration_since(at).unwrap_or_else(|ahead| ahead.duration());
    distance <= grace
}

#[cfg(test)]
mod tests {
    use super::super::RevokeReason;
    use super::super::session::tests::{LIMITS, generation, login_time, session};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    const MICROSECOND: Duration = Duration::from_micros(1);
    const GRACE: Duration = LIMITS.reuse_grace;

    #[track_caller]
    fn moved_on(session: &Session, after_login: Duration) -> Session {
        match session.rotate(session.generation, &LIMITS, login_time() + after_login) {
            Rotation::Rotated(next) => *next,
            other => panic!("{other:?}"),
        }
    }

    /// The session after `times` rotations, one a minute, the last of them `times` minutes after the login.
    fn rotated(times: u32) -> Session {
        (1..=times).fold(session(), |session, count| moved_on(&session, MINUTE * count))
    }

    fn confirmed(session: Session) -> Session {
        Session { child_confirmed: true, ..session }
    }

    fn with_barrier(session: Session) -> Session {
        Session { barrier: Some(session.generation), ..session }
    }

    #[test]
    fn a_change_of_password_moves_the_session_on_behind_a_barrier() {
        let session = rotated(2);
        let Rotation::Rotated(next) = session.rotate_behind_barrier(&LIMITS, login_time() + MINUTE * 3) else {
            panic!("the session goes on")
        };
        assert_eq!(*next, with_barrier(moved_on(&session, MINUTE * 3)));
        let over = session.rotate_behind_barrier(&LIMITS, login_time() + LIMITS.absolute);
        assert_eq!(over, Rotation::Expired);
    }

    #[track_caller]
    fn check(session: &Session, presented: u64, after_login: Duration, expected: &str) {
        let outcome = match session.rotate(generation(presented), &LIMITS, login_time() + after_login) {
            Rotation::Rotated(_) => "rotated",
            Rotation::Concurrent => "concurrent",
            Rotation::Superseded => "superseded",
            Rotation::ResponseLost(_) => "response lost",
            Rotation::Reused(reuse) => reuse.name(),
            Rotation::TooFast { .. } => "too fast",
            Rotation::Expired => "expired",
            Rotation::Revoked => "revoked",
            Rotation::Ahead => "ahead",
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn a_token_is_judged_by_its_generation_its_age_and_what_was_seen_of_its_child() {
        // Generation 4 since minute 3, generation 3 since minute 2.
        let (soon, late) = (MINUTE * 3 + GRACE, MINUTE * 3 + GRACE + MICROSECOND);
        for (session, presented, after_login, expected) in [
            (rotated(3), 4, soon, "rotated"),
            (rotated(3), 4, late, "rotated"),
            (confirmed(rotated(3)), 4, late, "rotated"),
            (with_barrier(rotated(3)), 4, late, "rotated"),
            (rotated(3), 3, MINUTE * 3, "concurrent"),
            (rotated(3), 3, soon, "concurrent"),
            (confirmed(rotated(3)), 3, soon, "concurrent"),
            (with_barrier(rotated(3)), 3, soon, "superseded"),
            (rotated(3), 3, late, "response lost"),
            (confirmed(rotated(3)), 3, late, "confirmed_child"),
            (with_barrier(rotated(3)), 3, late, "stale_lineage"),
            (rotated(3), 2, MINUTE * 3, "stale_lineage"),
            (rotated(3), 2, late, "stale_lineage"),
            (rotated(3), 1, late, "stale_lineage"),
            (rotated(3), 5, late, "ahead"),
            (rotated(3), i64::MAX.unsigned_abs(), late, "ahead"),
        ] {
            check(&session, presented, after_login, expected);
        }
    }

    #[test]
    fn an_ancient_token_right_after_a_rotation_is_reuse() {
        let session = rotated(20);
        for ancient in 1..=19 {
            check(&session, ancient, MINUTE * 20, "stale_lineage");
        }
        check(&session, 20, MINUTE * 20, "concurrent");
    }

    #[test]
    fn every_token_spent_within_the_grace_yields_the_present_generation() {
        let fast = (1..=4).fold(session(), |session, count| moved_on(&session, SECOND * count));
        assert_eq!(fast.generation, generation(5));
        for spent in 1..=4 {
            check(&fast, spent, SECOND * u32::try_from(spent).expect("small") + GRACE, "concurrent");
        }
        check(&fast, 1, SECOND + GRACE + MICROSECOND, "stale_lineage");
        check(&fast, 4, SECOND * 4 + GRACE + MICROSECOND, "response lost");
    }

    #[test]
    fn what_a_repetition_yields_never_extends_its_window() {
        let session = rotated(1);
        check(&session, 1, MINUTE + GRACE, "concurrent");
        check(&confirmed(session), 1, MINUTE + GRACE + MICROSECOND, "confirmed_child");
    }

    #[test]
    fn tabs_that_repeat_a_lost_answer_at_once_are_no_theft_though_the_first_uses_it() {
        let session = rotated(3);
        let woken = MINUTE * 500;
        let Rotation::ResponseLost(again) = session.rotate(generation(3), &LIMITS, login_time() + woken) else {
            panic!("its answer was lost")
        };
        let expected =
            RotationTimes([Some(login_time() + woken), session.rotated_at.0[1], session.rotated_at.0[2], None]);
        assert_eq!(*again, Session { rotated_at: expected, ..session.clone() });
        let used = confirmed(*again);
        check(&used, 3, woken + GRACE, "concurrent");
        check(&used, 3, woken + GRACE + MICROSECOND, "confirmed_child");
        check(&used, 2, woken + SECOND, "stale_lineage");
        check(&moved_on(&used, woken + SECOND), 3, woken + GRACE, "concurrent");
        check(&confirmed(session), 3, woken, "confirmed_child");
    }

    #[test]
    fn a_fifth_rotation_within_the_grace_waits_until_nothing_is_forgotten_too_early() {
        let fast = (1..=4).fold(session(), |session, count| moved_on(&session, SECOND * count));
        let at = |after_login| fast.rotate(fast.generation, &LIMITS, login_time() + after_login);
        assert_eq!(at(SECOND * 5), Rotation::TooFast { retry_after: GRACE - SECOND * 4 + RETRY_MARGIN });
        assert_eq!(at(SECOND + GRACE), Rotation::TooFast { retry_after: RETRY_MARGIN });
        check(&fast, 5, SECOND + GRACE + RETRY_MARGIN, "rotated");
        check(&fast, 5, SECOND + GRACE + MICROSECOND, "rotated");
        check(&fast, 4, SECOND * 5, "concurrent");
    }

    #[test]
    fn a_barrier_holds_for_all_that_was_before_it_and_for_nothing_after() {
        let mut session = with_barrier(rotated(3));
        for after_login in [SECOND, SECOND * 2] {
            session = moved_on(&session, MINUTE * 3 + after_login);
        }
        let soon = MINUTE * 3 + SECOND * 3;
        check(&session, 3, soon, "superseded");
        check(&session, 4, soon, "concurrent");
        check(&session, 5, soon, "concurrent");
        check(&session, 6, soon, "rotated");
        check(&session, 5, MINUTE * 4, "response lost");
    }

    #[test]
    fn a_revoked_session_stays_revoked_whatever_is_presented() {
        let mut session = rotated(1);
        session.revoked = Some((login_time() + SECOND, RevokeReason::Logout));
        for presented in 1..=3 {
            check(&session, presented, MINUTE + SECOND, "revoked");
            check(&session, presented, LIMITS.absolute, "revoked");
        }
    }

    #[test]
    fn an_unused_session_ends_exactly_at_its_idle_limit() {
        check(&session(), 1, LIMITS.idle - MICROSECOND, "rotated");
        check(&session(), 1, LIMITS.idle, "expired");
        check(&rotated(1), 1, LIMITS.idle + MINUTE, "expired");
    }

    #[test]
    fn use_extends_the_idle_limit_and_never_the_absolute_one() {
        let mut session = session();
        for day in 1..=3 {
            session = moved_on(&session, (LIMITS.idle - SECOND) * day);
            assert_eq!(session.absolute_expires_at, login_time() + LIMITS.absolute);
        }
        assert_eq!(session.ends_at(), login_time() + LIMITS.absolute);
        check(&session, 4, LIMITS.absolute - MICROSECOND, "rotated");
        check(&session, 4, LIMITS.absolute, "expired");
    }

    #[test]
    fn a_clock_set_back_makes_no_session_younger_and_lends_no_spent_token_time() {
        let session = rotated(120);
        let back = MINUTE * 60;
        check(&session, 120, MINUTE * 120 - GRACE, "concurrent");
        check(&confirmed(session.clone()), 120, back, "confirmed_child");
        check(&session, 120, back, "response lost");
        let next = moved_on(&session, back);
        assert_eq!((next.last_used_at, next.idle_expires_at), (session.last_used_at, session.idle_expires_at));
        check(&next, 121, back + GRACE, "concurrent");
        check(&next, 121, back + GRACE + MICROSECOND, "response lost");
    }

    #[test]
    fn a_rotation_remembers_the_last_four_times_and_begins_unconfirmed() {
        let session = rotated(6);
        let times = [6, 5, 4, 3].map(|minutes| Some(login_time() + MINUTE * minutes));
        assert_eq!(session.rotated_at, RotationTimes(times));
        assert!(!moved_on(&confirmed(session), MINUTE * 7).child_confirmed);
    }

    #[test]
    fn the_last_generation_that_a_store_can_hold_is_the_end() {
        let last = Session { generation: generation(i64::MAX.unsigned_abs()), ..session() };
        check(&last, i64::MAX.unsigned_abs(), SECOND, "expired");
    }
}
