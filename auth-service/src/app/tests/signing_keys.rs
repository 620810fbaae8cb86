//! Which key signs when, who agrees on it, and what is left of those that sign no more.

use std::collections::BTreeSet;

use authn::{ManualClock, Rejection};
use runtime::database::Engine;
use runtime::testing::Store;

use super::super::SigningKeys;
use super::super::testing::{KEY_RULES, SECRET, app, keeper};
use super::super::watch_trust::Progress;
use super::*;
use crate::crypto::{KeyBits, KeyError, SigningKey, TokenSettings, TokenSigner};
use crate::domain::{AuditFilter, KeyId, KeyRefusal, KeySet, KeyWish, Revocation};

const ROTATION: Duration = KEY_RULES.rotation_interval;
const MOST_STEPS: usize = 5;

/// The states of the keys, in the order in which they were made.
async fn states(app: &App) -> Vec<&'static str> {
    app.repository.signing_keys().await.expect("read").records().iter().map(|record| record.state.name()).collect()
}

async fn keys(app: &App) -> KeySet {
    app.repository.signing_keys().await.expect("read")
}

async fn current(app: &App) -> KeyId {
    keys(app).await.current().expect("one signs").id()
}

/// Does what the schedule says until there is nothing left to do.
async fn rotate(app: &App) {
    for _ in 0..MOST_STEPS {
        app.rotate_keys().await.expect("done");
    }
}

/// Does as an operator does with `authctl`.
async fn wish(fixture: &Fixture, wish: KeyWish) -> Result<(), KeyRefusal> {
    let changed = fixture.app.repository.change_keys(wish, KEY_RULES, None, fixture.clock.clock().now()).await;
    changed.expect("no failure").map(|_| ())
}

/// The id of the key that signed a token.
fn kid(tokens: &Tokens) -> KeyId {
    let header = tokens.access.split('.').next().expect("three parts");
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    let header: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
    KeyId::parse(header["kid"].as_str().expect("a key id")).expect("a thumbprint")
}

#[tokio::test]
async fn a_key_signs_a_month_and_is_published_until_its_last_token_has_expired() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    assert_eq!(states(app).await, ["current"], "the first one signs at once");
    rotate(app).await;
    assert_eq!(states(app).await, ["current", "standby"]);
    let first = current(app).await;
    let before = fixture.alice().await.tokens;
    assert_eq!(kid(&before), first);

    fixture.clock.advance(ROTATION - SECOND);
    rotate(app).await;
    assert_eq!(current(app).await, first);
    let last = fixture.login("alice@example.com", PASSWORD).await.expect("logged in").tokens;
    fixture.clock.advance(SECOND);
    rotate(app).await;
    assert_eq!(states(app).await, ["retired", "current", "standby"]);
    let after = fixture.refresh(&last).await.expect("rotated");
    assert_eq!(kid(&after), current(app).await);
    app.look_at_trust(&mut Progress::default()).await.expect("read");
    for tokens in [&last, &after] {
        app.verifier.verify(&tokens.access).expect("both are good");
    }
    let published: Vec<_> = app.published_keys().into_iter().map(|key| key.kid).collect();
    assert_eq!(published.len(), 3, "those that sign, did and will");

    fixture.clock.advance(KeySet::RETIRED_FOR - SECOND);
    rotate(app).await;
    assert!(app.published_keys().iter().any(|key| key.kid == first.as_str()));
    fixture.clock.advance(SECOND);
    rotate(app).await;
    assert_eq!(states(app).await, ["current", "standby"]);
    assert!(!app.published_keys().iter().any(|key| key.kid == first.as_str()));
}

#[tokio::test]
async fn a_private_half_is_encrypted_while_it_is_needed_and_gone_afterwards() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    rotate(app).await;
    let (first, second) = (current(app).await, keys(app).await.standby().expect("one stands by").id());
    for id in [first, second] {
        let sealed = app.repository.sealed_key(id).await.expect("read").expect("it is there");
        let is_plain = |plain: &[u8]| sealed.windows(plain.len()).any(|part| part == plain);
        // What every PKCS#8 form of an RSA key has in it: its algorithm's identifier.
        assert!(!is_plain(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]));
    }
    fixture.clock.advance(ROTATION);
    rotate(app).await;
    assert_eq!(app.repository.sealed_key(first).await.expect("read"), None, "it signs no more");
    wish(&fixture, KeyWish::Revoke(second)).await.expect("revoked");
    assert_eq!(app.repository.sealed_key(second).await.expect("read"), None, "nor does this one");
}

#[tokio::test]
async fn a_revoked_key_signs_no_more_and_its_tokens_are_refused_and_the_next_ones_are_good() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    rotate(app).await;
    let alice = fixture.alice().await;
    let stolen = current(app).await;
    let mut progress = Progress::default();
    app.look_at_trust(&mut progress).await.expect("read");
    app.verifier.verify(&alice.tokens.access).expect("good, and remembered");

    wish(&fixture, KeyWish::Revoke(stolen)).await.expect("revoked");
    assert_eq!(app.repository.revocations().await, [Revocation::Key { kid: stolen.to_string() }]);
    app.look_at_trust(&mut progress).await.expect("read");
    let refused = app.verifier.verify(&alice.tokens.access).map(|_| ());
    assert_eq!(refused, Err(Rejection::TokenKeyRevoked));
    let fresh = fixture.refresh(&alice.tokens).await.expect("the session goes on");
    assert_ne!(kid(&fresh), stolen);
    app.verifier.verify(&fresh.access).expect("good at once");
    assert!(!app.published_keys().iter().any(|key| key.kid == stolen.as_str()));
    rotate(app).await;
    assert_eq!(states(app).await, ["revoked", "current", "standby"]);
}

#[tokio::test]
async fn what_was_revoked_twice_or_is_not_there_changes_nothing() {
    let fixture = Fixture::start().await;
    rotate(&fixture.app).await;
    let stranger = KeyId::parse(&"x".repeat(43)).expect("an id");
    assert_eq!(wish(&fixture, KeyWish::Revoke(stranger)).await, Err(KeyRefusal::Unknown));
    let id = current(&fixture.app).await;
    wish(&fixture, KeyWish::Revoke(id)).await.expect("revoked");
    let once = keys(&fixture.app).await;
    wish(&fixture, KeyWish::Revoke(id)).await.expect("it is already");
    assert_eq!(keys(&fixture.app).await, once);
    assert_eq!(fixture.app.repository.revocations().await.len(), 1);
}

#[tokio::test]
async fn every_change_of_a_key_leaves_its_record_with_the_change_itself() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    rotate(app).await;
    let (first, second) = (current(app).await, keys(app).await.standby().expect("one stands by").id());
    fixture.clock.advance(ROTATION);
    wish(&fixture, KeyWish::Rotate).await.expect("its turn");
    let records = || async { app.repository.audit_records(&AuditFilter::default(), 100).await.expect("read") };
    let told: Vec<_> = records().await.into_iter().map(|record| (record.event, record.kid)).collect();
    let expected =
        [("created", first), ("activated", first), ("created", second), ("retired", first), ("activated", second)];
    let expected = expected.map(|(event, id)| (format!("signing_key_{event}"), Some(id.to_string())));
    assert_eq!(told, expected);

    fixture.execute("ALTER TABLE audit_events RENAME TO lost").await;
    let refused = app.repository.change_keys(KeyWish::Revoke(first), KEY_RULES, None, fixture.clock.clock().now());
    refused.await.expect_err("what cannot be kept is not done");
    fixture.execute("ALTER TABLE lost RENAME TO audit_events").await;
    assert_eq!(states(app).await, ["retired", "current"]);
    assert!(app.repository.revocations().await.is_empty());
}

#[tokio::test]
async fn a_key_that_was_encrypted_under_another_secret_is_refused_and_none_is_made_in_its_place() {
    let fixture = Fixture::start().await;
    let keeper = keeper("another secret that has more than thirty-two bytes").await;
    let stranger = Arc::new(App {
        keys: SigningKeys::kept(keeper),
        signer: TokenSigner::new(TokenSettings {
            issuer: "http://auth.test".to_owned(),
            audiences: Vec::new(),
            scopes: Vec::new(),
        }),
        ..Arc::into_inner(fixture.app).expect("nobody else has it")
    });
    let refused = stranger.begin_keys().await.expect_err("it cannot be read");
    assert!(matches!(refused, Error::Key(KeyError::Sealed(_))), "{refused:?}");
    assert!(refused.to_string().contains("signing_keys.encryption_key"), "{refused}");
    assert!(matches!(stranger.rotate_keys().await, Err(Error::Key(KeyError::Sealed(_)))));
    assert_eq!(states(&stranger).await, ["current"]);
}

/// On PostgreSQL each has its own connections; on SQLite one process has the store, and they share it.
#[tokio::test]
async fn five_that_start_at_once_end_with_one_set_of_keys() {
    for _ in 0..4 {
        let store = Store::fresh().await;
        let clock = ManualClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let first = app(&store, &clock, CHEAP).await;
        first.repository.database().ready().await;
        let mut apps = Vec::new();
        for _ in 0..4 {
            let repository = first.repository.clone();
            apps.push(match store.engine() {
                Engine::Postgres => app(&store, &clock, CHEAP).await,
                Engine::Sqlite => App { repository, ..another(&clock).await },
            });
        }
        apps.push(first);
        join_all(apps.iter().map(|app| app.repository.database().ready())).await;
        join_all(apps.iter().map(|app| async { app.begin_keys().await.expect("begun") })).await;
        join_all(apps.iter().map(rotate)).await;
        assert_eq!(states(&apps[0]).await, ["current", "standby"]);
        let signers: BTreeSet<_> = apps.iter().map(|app| app.signer.public_key().expect("it signs").kid).collect();
        assert_eq!(signers.len(), 1, "all sign with the same");
        let published: BTreeSet<_> =
            apps.iter().map(|app| app.published_keys().into_iter().map(|key| key.kid).collect::<Vec<_>>()).collect();
        assert_eq!(published.len(), 1, "and publish the same");
    }
}

/// A service whose own store nobody uses.
async fn another(clock: &ManualClock) -> App {
    app(&Store::in_folder(), clock, CHEAP).await
}

#[tokio::test]
async fn whoever_has_not_read_the_keys_for_a_while_reads_them_before_it_signs() {
    let fixture = Fixture::start().await;
    if !fixture.is_shared() {
        return;
    }
    rotate(&fixture.app).await;
    let replica = fixture.replica().await;
    fixture.register("alice@example.com").await.expect("registered");
    fixture.clock.advance(ROTATION);
    rotate(&fixture.app).await;
    let login = fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
    let early = replica.refresh(login.tokens.refresh.expose()).await.expect("rotated");
    assert_ne!(kid(&early), current(&replica).await, "the key that signed a moment ago is still good");
    replica.forget_when_keys_were_read();
    let late = replica.refresh(early.refresh.expose()).await.expect("rotated");
    assert_eq!(kid(&late), current(&replica).await);
}

#[tokio::test]
async fn replicas_that_rotate_at_once_rotate_once() {
    let fixture = Fixture::start().await;
    if !fixture.is_shared() {
        return;
    }
    rotate(&fixture.app).await;
    let replicas = [fixture.replica().await, fixture.replica().await, Arc::clone(&fixture.app)];
    for round in 1..4 {
        fixture.clock.advance(ROTATION);
        join_all(replicas.iter().map(|app| rotate(app))).await;
        let signers: BTreeSet<_> = replicas.iter().map(|app| app.signer.public_key().expect("it signs").kid).collect();
        assert_eq!(signers.len(), 1, "round {round}");
        assert_eq!(states(&fixture.app).await, ["retired", "current", "standby"], "round {round}");
    }
}

#[tokio::test]
async fn the_schedule_is_kept_without_being_asked() {
    let fixture = Fixture::start().await;
    let app = Arc::clone(&fixture.app);
    let keeping = tokio::spawn(async move { app.keep_rotating_keys().await });
    let becomes = |expected: &'static [&'static str]| {
        let app = Arc::clone(&fixture.app);
        tokio::time::timeout(Duration::from_secs(30), async move {
            while states(&app).await != expected {
                tokio::task::yield_now().await;
            }
        })
    };
    becomes(&["current", "standby"]).await.expect("another one stands by");
    fixture.clock.advance(ROTATION);
    becomes(&["retired", "current", "standby"]).await.expect("its turn");
    fixture.clock.advance(KeySet::RETIRED_FOR);
    becomes(&["current", "standby"]).await.expect("one is forgotten");
    keeping.abort();
}

#[tokio::test]
async fn a_store_begins_with_the_key_that_signed_before() {
    let fixture = Fixture::start().await;
    let key = SigningKey::make(KeyBits::Rsa2048).await.expect("made");
    let kid = key.public().kid.clone();
    let store = Store::fresh().await;
    let mut begun = app(&store, &fixture.clock, CHEAP).await;
    begun.repository.database().ready().await;
    let mut keeper = keeper(SECRET).await;
    keeper.first = Some(key.seal(keeper.encryption.as_ref().expect("it has one")).expect("sealed"));
    begun.keys = SigningKeys::kept(keeper);
    begun.begin_keys().await.expect("begun");
    assert_eq!(current(&begun).await.as_str(), kid);
    rotate(&begun).await;
    assert_eq!(states(&begun).await, ["current", "standby"]);
    assert_ne!(keys(&begun).await.standby().expect("one stands by").id().as_str(), kid, "the next one is made");
}

#[tokio::test]
async fn a_store_of_the_version_before_gets_its_keys_at_the_next_start() {
    let mut fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    for undo in [
        "DROP TABLE signing_keys",
        "DROP TABLE signing_key_turns",
        "ALTER TABLE audit_events DROP COLUMN kid",
        "DELETE FROM seaql_migrations WHERE version = 'm0006_make_signing_keys'",
    ] {
        fixture.execute(undo).await;
    }
    fixture.restart().await;
    rotate(&fixture.app).await;
    assert_eq!(states(&fixture.app).await, ["current", "standby"]);
    let tokens = fixture.refresh(&alice.tokens).await.expect("sessions go on");
    assert_eq!(kid(&tokens), current(&fixture.app).await);
}
