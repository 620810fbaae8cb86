//! What the repository promises, on the engine under test.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::SessionId;
use futures_util::future::join_all;
use runtime::database::Outcome;
use runtime::testing::Store;
use sea_orm::ConnectionTrait as _;
use uuid::Uuid;

use super::revocations::record;
use super::{AcceptedLogin, Beginning, Registration, Repository};
use crate::domain::{
    Account, AccountId, AccountState, ClientLabel, DisplayName, Email, EmailKey, EmailRules, Generation, Nonce, Origin,
    PasswordHash, Revocation, RevokeReason, Rotation, Session, SessionKey, SessionLimits,
};

const LIMITS: SessionLimits = SessionLimits {
    idle: Duration::from_secs(14 * 86_400),
    absolute: Duration::from_secs(90 * 86_400),
    reuse_grace: Duration::from_secs(10),
};

const MOST: u64 = 100;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_800_000_000_123_456)
}

fn key_of(address: &str) -> EmailKey {
    Email::parse(address, EmailRules::AnyLocalPart).expect("well formed").key().clone()
}

fn hash() -> PasswordHash {
    PasswordHash::from_phc("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g".to_owned())
}

fn account(address: &str) -> Account {
    Account {
        id: AccountId::from_uuid(Uuid::new_v4()),
        email: address.to_owned(),
        display_name: DisplayName::parse("Ålice 🎩").expect("a name"),
        email_verified: false,
        roles: vec!["editor".to_owned()],
        state: AccountState::Active,
        token_version: 1,
        revision: 1,
        created_at: now(),
        updated_at: now(),
        last_login_at: None,
    }
}

fn session(account: &Account) -> Session {
    Session::begin(
        SessionKey { account: account.id, session: SessionId::from_uuid(Uuid::new_v4()) },
        Nonce::from_bytes([7; Nonce::BYTES]),
        ClientLabel::parse("laptop").expect("a label"),
        Origin::new("curl/8", "203.0.113.7".parse().ok()),
        &LIMITS,
        now(),
    )
}

const UNCHANGED: AcceptedLogin = AcceptedLogin { token_version: 1, rehashed: None };

struct Fixture {
    repository: Repository,
    _store: Store,
}

impl Fixture {
    async fn start() -> Self {
        let store = Store::fresh().await;
        let repository = Repository::open(&store.config()).await.expect("opens");
        Self { repository, _store: store }
    }

    async fn registered(&self, address: &str) -> Account {
        let account = account(address);
        let registration = self.repository.register(&account, &key_of(address), &hash()).await.expect("stored");
        assert_eq!(registration, Registration::Registered);
        account
    }

    async fn logged_in(&self, account: &Account) -> Session {
        let session = session(account);
        assert!(self.begin(&session, UNCHANGED).await);
        session
    }

    async fn begin(&self, session: &Session, login: AcceptedLogin) -> bool {
        let beginning = self.repository.begin_session(session, login, MOST).await.expect("no failure");
        beginning != Beginning::AccountChanged
    }

    async fn stored(&self, session: &Session) -> Session {
        self.repository.find_session(session.key).await.expect("read").expect("it is there").0
    }

    async fn execute(&self, sql: &'static str) {
        self.repository.execute(sql).await;
    }
}

fn rotated(session: &Session, at: SystemTime) -> Session {
    match session.rotate(session.generation, &LIMITS, at) {
        Rotation::Rotated(next) => *next,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_account_is_found_by_its_id_and_by_any_spelling_of_its_address() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("Alice@Straße.example").await;
    let repository = &fixture.repository;
    assert_eq!(repository.find_account(alice.id).await.expect("read"), Some(alice.clone()));
    let found = repository.find_credentials(&key_of("ALICE@strasse.EXAMPLE")).await.expect("read");
    assert_eq!(found, Some((alice, hash())));
    assert_eq!(repository.find_credentials(&key_of("bob@strasse.example")).await.expect("read"), None);
    let nobody = AccountId::from_uuid(Uuid::new_v4());
    assert_eq!(repository.find_account(nobody).await.expect("read"), None);
}

#[tokio::test]
async fn of_many_registrations_of_one_address_at_once_exactly_one_succeeds() {
    let fixture = Fixture::start().await;
    let spellings = ["alice@straße.example", "ALICE@STRASSE.EXAMPLE", "alice@strasse.example", "Alice@ﬆrasse.example"];
    let attempts = (0..20).map(|attempt| {
        let address = spellings[attempt % spellings.len()];
        let account = account(address);
        let repository = fixture.repository.clone();
        tokio::spawn(async move {
            let registration = repository.register(&account, &key_of(address), &hash()).await.expect("no failure");
            (account, registration)
        })
    });
    let results: Vec<_> = join_all(attempts).await.into_iter().map(|result| result.expect("no panic")).collect();
    let winners: Vec<_> = results.iter().filter(|(_, result)| *result == Registration::Registered).collect();
    assert_eq!(winners.len(), 1, "one account");
    for (account, result) in &results {
        let found = fixture.repository.find_account(account.id).await.expect("read");
        assert_eq!(found.is_some(), *result == Registration::Registered, "a loser leaves nothing behind");
    }
}

#[tokio::test]
async fn a_session_is_stored_whole_and_the_login_is_noted() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let begun = fixture.logged_in(&alice).await;
    let (stored, owner) = fixture.repository.find_session(begun.key).await.expect("read").expect("it is there");
    assert_eq!(stored, begun);
    assert_eq!(owner, Account { last_login_at: Some(now()), ..alice });
}

#[tokio::test]
async fn a_session_is_found_by_its_full_key_alone() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let bob = fixture.registered("bob@example.com").await;
    let begun = fixture.logged_in(&alice).await;
    let foreign = SessionKey { account: bob.id, ..begun.key };
    assert!(fixture.repository.find_session(foreign).await.expect("read").is_none());
    assert!(!fixture.repository.revoke(foreign, RevokeReason::Logout, now()).await.expect("no failure"));
    assert_eq!(fixture.stored(&begun).await.revoked, None);
}

#[tokio::test]
async fn a_login_is_not_accepted_once_the_account_was_disabled_or_changed() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let late = session(&alice);
    let outdated = AcceptedLogin { token_version: 2, rehashed: None };
    assert!(!fixture.begin(&late, outdated).await);
    fixture.execute("UPDATE accounts SET state = 'disabled'").await;
    assert!(!fixture.begin(&late, UNCHANGED).await);
    assert!(fixture.repository.find_session(late.key).await.expect("read").is_none());
    let account = fixture.repository.find_account(alice.id).await.expect("read").expect("it is there");
    assert_eq!((account.state, account.last_login_at), (AccountState::Disabled, None));
    fixture.execute("UPDATE accounts SET state = 'active'").await;
    assert!(fixture.begin(&late, UNCHANGED).await, "the allowed twin");
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_unless_it_was_changed_meanwhile() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let phc = |name: &str| PasswordHash::from_phc(name.to_owned());
    let login = |old, new| AcceptedLogin { token_version: 1, rehashed: Some((old, new)) };
    let stored = || async {
        let found = fixture.repository.find_credentials(&key_of("alice@example.com")).await.expect("read");
        found.expect("it is there").1
    };
    assert!(fixture.begin(&session(&alice), login(hash(), phc("new"))).await);
    assert_eq!(stored().await, phc("new"));
    assert!(fixture.begin(&session(&alice), login(hash(), phc("late"))).await);
    assert_eq!(stored().await, phc("new"), "the second of two logins at once changes nothing and is good too");
}

#[tokio::test]
async fn a_rotation_moves_the_session_on_and_keeps_what_login_fixed() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let mut session = fixture.logged_in(&alice).await;
    for minute in 1..=6 {
        session = rotated(&session, now() + Duration::from_secs(60 * minute));
        assert!(fixture.repository.advance(&session).await.expect("no failure"));
        assert_eq!(fixture.stored(&session).await, session);
    }
    assert_eq!(session.generation, Generation::from_number(7).expect("a generation"));
    assert_eq!(session.absolute_expires_at, now() + LIMITS.absolute);
}

#[tokio::test]
async fn a_confirmation_is_for_the_present_generation_alone_and_ends_with_the_next() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let begun = fixture.logged_in(&alice).await;
    let next = rotated(&begun, now());
    assert!(fixture.repository.advance(&next).await.expect("no failure"));
    fixture.repository.confirm(begun.key, begun.generation).await.expect("no failure");
    assert!(!fixture.stored(&begun).await.child_confirmed, "that was its parent");
    fixture.repository.confirm(begun.key, next.generation).await.expect("no failure");
    let confirmed = Session { child_confirmed: true, ..next };
    assert_eq!(fixture.stored(&begun).await, confirmed);
    let after = rotated(&confirmed, now() + Duration::from_secs(60));
    assert!(fixture.repository.advance(&after).await.expect("no failure"));
    assert_eq!(fixture.stored(&begun).await, after);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_noted_unless_it_was_seen_in_use_or_the_session_has_moved_on_or_ended() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let next = rotated(&fixture.logged_in(&alice).await, now());
    assert!(fixture.repository.advance(&next).await.expect("no failure"));
    let again = |session: &Session, hour: u64| {
        let mut session = session.clone();
        session.rotated_at.0[0] = Some(now() + Duration::from_secs(3600 * hour));
        session
    };
    let reissue = |session| {
        let repository = fixture.repository.clone();
        async move { repository.reissue(&session).await.expect("no failure") }
    };
    assert!(reissue(again(&next, 1)).await);
    assert_eq!(fixture.stored(&next).await, again(&next, 1));
    fixture.repository.confirm(next.key, next.generation).await.expect("no failure");
    assert!(!reissue(again(&next, 2)).await, "it was seen in use");
    let after = rotated(&fixture.stored(&next).await, now() + Duration::from_secs(7200));
    assert!(fixture.repository.advance(&after).await.expect("no failure"));
    assert!(!reissue(again(&next, 3)).await, "it has moved on");
    assert!(fixture.repository.revoke(next.key, RevokeReason::Logout, now()).await.expect("no failure"));
    assert!(!reissue(again(&after, 4)).await, "it has ended");
    assert_eq!(fixture.stored(&next).await.rotated_at, after.rotated_at);
}

#[tokio::test]
async fn a_barrier_is_kept() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let begun = fixture.logged_in(&alice).await;
    let mut next = rotated(&begun, now());
    next.barrier = Some(next.generation);
    assert!(fixture.repository.advance(&next).await.expect("no failure"));
    assert_eq!(fixture.stored(&begun).await, next);
}

#[tokio::test]
async fn of_many_rotations_of_one_generation_at_once_exactly_one_happens() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let begun = fixture.logged_in(&alice).await;
    let attempts = (0..100).map(|second| {
        let repository = fixture.repository.clone();
        let next = rotated(&begun, now() + Duration::from_secs(second));
        tokio::spawn(async move { repository.advance(&next).await.expect("no failure") })
    });
    let advanced = join_all(attempts).await.into_iter().filter(|result| *result.as_ref().expect("no panic")).count();
    assert_eq!(advanced, 1);
    assert_eq!(fixture.stored(&begun).await.generation, Generation::from_number(2).expect("a generation"));
}

#[tokio::test]
async fn a_revoked_session_is_never_moved_on_and_keeps_its_first_reason() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let begun = fixture.logged_in(&alice).await;
    let next = rotated(&begun, now());
    assert!(fixture.repository.revoke(begun.key, RevokeReason::Logout, now()).await.expect("no failure"));
    assert!(!fixture.repository.revoke(begun.key, RevokeReason::Reuse, now()).await.expect("no failure"));
    assert!(!fixture.repository.advance(&next).await.expect("no failure"));
    let stored = fixture.stored(&begun).await;
    assert_eq!(stored, Session { revoked: Some((now(), RevokeReason::Logout)), ..begun });
}

#[tokio::test]
async fn an_operator_finds_a_session_by_its_id_alone() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    let begun = fixture.logged_in(&alice).await;
    let find = |session| fixture.repository.find_session_key(session);
    assert_eq!(find(begun.key.session).await.expect("read"), Some(begun.key));
    assert_eq!(find(SessionId::from_uuid(Uuid::new_v4())).await.expect("read"), None);
}

#[tokio::test]
async fn the_schema_refuses_what_no_rule_allows() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    fixture.logged_in(&alice).await;
    for sql in [
        "UPDATE sessions SET generation = 0",
        "UPDATE sessions SET revoked_at = 1",
        "UPDATE sessions SET revoke_reason = 'whim'",
        "UPDATE sessions SET barrier_generation = generation + 1",
        "UPDATE sessions SET last_used_at = created_at - 1",
        "UPDATE accounts SET email = 'a'",
        "UPDATE accounts SET token_version = 0",
        "UPDATE accounts SET state = NULL",
        "UPDATE email_claims SET email_key = ''",
        "INSERT INTO revocations (kind, created_at, expires_at) VALUES ('whim', 1, 2)",
        "INSERT INTO revocations (kind, created_at, expires_at) VALUES ('session', 1, 2)",
        "INSERT INTO revocations (kind, created_at, expires_at) VALUES ('subject', 1, 2)",
        "INSERT INTO revocations (kind, created_at, expires_at) VALUES ('key', 1, 2)",
        "INSERT INTO revocations (kind, kid, created_at, expires_at) VALUES ('all', 'a', 1, 2)",
        "INSERT INTO revocations (kind, created_at, expires_at) VALUES ('all', 2, 1)",
    ] {
        let work = fixture.repository.database().write(move |transaction| {
            Box::pin(async move { transaction.execute_unprepared(sql).await.map(Outcome::Commit) })
        });
        assert!(work.await.is_err(), "{sql}");
    }
    fixture.execute("UPDATE sessions SET generation = 2, barrier_generation = 2").await;
    fixture.execute("INSERT INTO revocations (kind, created_at, expires_at) VALUES ('all', 1, 2)").await;
}

#[tokio::test]
async fn a_revocation_of_every_kind_is_kept_in_the_order_in_which_they_came() {
    let fixture = Fixture::start().await;
    let (account, session) = (AccountId::from_uuid(Uuid::new_v4()), SessionId::from_uuid(Uuid::new_v4()));
    let all = [
        Revocation::Subject { account, minimum_version: 7 },
        Revocation::All,
        Revocation::Session { account, session },
        Revocation::Key { kid: "a-key".to_owned() },
    ];
    for revocation in all.clone() {
        let work = fixture.repository.database().write(move |transaction| {
            let revocation = revocation.clone();
            Box::pin(async move { record(transaction, &[revocation], now()).await.map(Outcome::Commit) })
        });
        work.await.expect("written");
    }
    assert_eq!(fixture.repository.revocations().await, all);
}

#[tokio::test]
async fn a_damaged_row_is_a_failure_and_not_a_guess() {
    let fixture = Fixture::start().await;
    let alice = fixture.registered("alice@example.com").await;
    fixture.execute("UPDATE accounts SET state = 'bewitched'").await;
    let failure = fixture.repository.find_account(alice.id).await.expect_err("no such state");
    assert_eq!(failure.to_string(), "a row of accounts has an impossible state");
}
