//! A verifier on a machine whose clock is set, ahead and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::testing::TestIssuer;
use authn::{
    KeySet, ManualClock, Rejection, Revocation, Revoked, SessionId, Trust, TrustFeed, Verifier, VerifierConfig,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// How long the auth service keeps a revocation.
const KEPT: Duration = Duration::from_secs(11 * 60);

/// A verifier on a machine of its own, and an issuer whose clock is right.
struct Machines {
    issuer: TestIssuer,
    right: ManualClock,
    verifiers: ManualClock,
    verifier: Verifier,
    feed: TrustFeed,
}

impl Machines {
    fn start() -> Self {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let issuer = TestIssuer::new("https://login.example", "notes-service");
        let (right, verifiers) = (ManualClock::starting_at(start), ManualClock::starting_at(start));
        let (feed, trust) = Trust::fed();
        feed.replace(&KeySet { trusted: vec![issuer.public_key()], revoked: Vec::new() }, &[], start);
        let config = VerifierConfig::new("https://login.example", "notes-service");
        let verifier = Verifier::new(config, trust, verifiers.machine());
        Self { issuer, right, verifiers, verifier, feed }
    }

    fn now(&self) -> SystemTime {
        self.right.clock().now()
    }

    /// A token of this moment.
    fn token(&self) -> String {
        self.token_of(self.now())
    }

    fn token_of(&self, moment: SystemTime) -> String {
        self.issuer.sign(&self.issuer.claims(moment))
    }

    fn advance(&self, by: Duration) {
        self.right.advance(by);
        self.verifiers.advance(by);
        // As every service does that serves, each second.
        let _looked = self.verifier.staleness();
    }

    fn set_ahead(&self, by: Duration) {
        self.verifiers.set(self.verifiers.clock().now() + by);
    }

    fn set_back(&self, by: Duration) {
        self.verifiers.set(self.verifiers.clock().now() - by);
    }
}

#[test]
fn a_token_that_has_expired_stays_refused_when_the_clock_is_set_back_an_hour() {
    let machines = Machines::start();
    let (seen, unseen) = (machines.token(), machines.token());
    machines.verifier.verify(&seen).expect("good");
    machines.advance(305 * SECOND);
    machines.set_back(HOUR);
    for _ in 0..20 {
        for token in [&seen, &unseen] {
            assert_eq!(machines.verifier.verify(token), Err(Rejection::TokenExpired));
        }
        machines.advance(5 * MINUTE);
    }
}

#[test]
fn a_revoked_token_stays_refused_when_the_clock_is_set_back_after_its_revocation_is_forgotten() {
    let machines = Machines::start();
    let claims = machines.issuer.claims(machines.now());
    let token = machines.issuer.sign(&claims);
    machines.verifier.verify(&token).expect("good");
    let session = Revocation::Session(SessionId::from_uuid(claims.sid.expect("a session")));
    let now = machines.now();
    machines.feed.extend(None, &[Revoked { revocation: session, revoked_at: now, expires_at: now + KEPT }], now);
    assert_eq!(machines.verifier.verify(&token), Err(Rejection::TokenRevoked));
    machines.advance(KEPT);
    machines.feed.heard(machines.now());
    assert_eq!(machines.verifier.trust().status().revocations, 0, "it is forgotten");

    machines.set_back(HOUR);
    for _ in 0..20 {
        assert_eq!(machines.verifier.verify(&token), Err(Rejection::TokenExpired));
        machines.advance(5 * MINUTE);
    }
}

#[test]
fn tokens_of_an_issuer_whose_clock_is_right_are_good_while_ones_own_is_set_back() {
    let machines = Machines::start();
    machines.set_back(HOUR);
    for _ in 0..10 {
        machines.verifier.verify(&machines.token()).expect("good");
        machines.advance(5 * MINUTE);
    }
    machines.set_ahead(HOUR);
    machines.verifier.verify(&machines.token()).expect("and when it is put right");
}

#[test]
fn a_wrong_time_ahead_is_over_when_the_clock_is_put_right() {
    let machines = Machines::start();
    for ahead in [HOUR, 24 * 365 * HOUR] {
        machines.set_ahead(ahead);
        assert_eq!(machines.verifier.verify(&machines.token()), Err(Rejection::TokenExpired));
        machines.advance(9 * MINUTE);
        machines.set_back(ahead);
        machines.verifier.verify(&machines.token()).expect("good");
    }
    // One that has stood for longer is defended, and not for ever.
    machines.set_ahead(HOUR);
    for _ in 0..4 {
        machines.advance(5 * MINUTE);
    }
    machines.set_back(HOUR);
    assert_eq!(machines.verifier.verify(&machines.token()), Err(Rejection::TokenExpired));
    machines.advance(HOUR + 15 * MINUTE);
    machines.verifier.verify(&machines.token()).expect("good");
}

#[test]
fn an_issuer_that_begins_with_the_time_set_back_is_believed_when_all_of_before_has_expired() {
    let machines = Machines::start();
    let old = machines.token();
    machines.set_back(HOUR);
    let set_back = || machines.verifiers.clock().now();
    assert_eq!(machines.verifier.verify(&machines.token_of(set_back())), Err(Rejection::TokenExpired));
    machines.advance(MINUTE);
    for _ in 0..15 {
        machines.advance(5 * MINUTE);
        assert_eq!(machines.verifier.verify(&old), Err(Rejection::TokenExpired), "by either time");
    }
    machines.verifier.verify(&machines.token_of(set_back())).expect("good");
}
