//! What the use cases promise, on the engine under test, with the time in our hands.

mod agreement;
mod audit;
mod model;
mod refresh;
mod revocations;
mod sessions;
mod signing_keys;
mod trust;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;

use super::login::LoggedIn;
use super::testing::{ABSOLUTE, ACCESS_TTL, CHEAP, DAY, Fixture, GRACE, IDLE, LIMITS, PASSWORD, email};
use super::{ActiveToken, App, Caller, Error, Tokens};
use crate::crypto::{HashingSettings, PasswordHasher};
use crate::domain::{DisplayName, Password, PasswordRules, PresentedPassword, RevokeReason, Rotation, Session};

const MICROSECOND: Duration = Duration::from_micros(1);
const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn assert_refused<T>(result: Result<T, Error>, expected: &str) {
    let refused = result.err().map(|error| format!("{error:?}"));
    let name = refused.as_deref().map(|debug| debug.split([' ', '(', '{']).next().unwrap_or_default());
    assert_eq!(name, Some(expected), "{refused:?}");
}

#[tokio::test]
async fn somebody_registers_logs_in_and_refreshes() {
    let fixture = Fixture::start().await;
    let account = fixture.register("Alice@Example.com").await.expect("registered");
    assert_eq!(account.email, "Alice@Example.com");
    fixture.clock.advance(SECOND);
    let alice = fixture.login("alice@example.COM", PASSWORD).await.expect("any spelling");
    assert_eq!(alice.account.id, account.id);
    assert_eq!(alice.account.last_login_at, Some(fixture.clock.clock().now()));

    let principal = fixture.app.verifier.verify(&alice.tokens.access).expect("our own token");
    assert_eq!(principal.subject().as_uuid(), account.id.as_uuid());
    assert_eq!(principal.session(), Some(alice.session.key.session));
    assert_eq!((principal.generation(), principal.account_version()), (Some(1), Some(1)));
    let caller = fixture.caller(&alice.tokens).await.expect("admitted");
    assert_eq!((caller.account, caller.session), (alice.account, alice.session));

    let second = fixture.refresh(&alice.tokens).await.expect("rotated");
    let third = fixture.refresh(&second).await.expect("rotated again");
    assert_eq!(fixture.app.verifier.verify(&third.access).expect("our own token").generation(), Some(3));
    assert!(fixture.is_active(&alice.tokens.access).await, "a rotation ends no access token");
}

#[tokio::test]
async fn an_address_is_taken_in_every_spelling() {
    let fixture = Fixture::start().await;
    fixture.register("alice@example.com").await.expect("registered");
    assert_refused(fixture.register("ALICE@EXAMPLE.COM").await, "EmailTaken");
    fixture.register("alicia@example.com").await.expect("another address");
}

#[tokio::test]
async fn a_wrong_password_an_unknown_address_and_a_disabled_account_are_one_refusal() {
    let fixture = Fixture::start().await;
    fixture.alice().await;
    assert_refused(fixture.login("alice@example.com", "a loud teapot!").await, "CredentialsInvalid");
    assert_refused(fixture.login("nobody@example.com", PASSWORD).await, "CredentialsInvalid");
    fixture.execute("UPDATE accounts SET state = 'disabled'").await;
    assert_refused(fixture.login("alice@example.com", PASSWORD).await, "CredentialsInvalid");
    fixture.execute("UPDATE accounts SET state = 'active'").await;
    fixture.login("alice@example.com", PASSWORD).await.expect("the allowed twin");
}

#[tokio::test]
async fn a_planted_hash_of_four_gibibytes_is_a_wrong_password() {
    let fixture = Fixture::start().await;
    fixture.alice().await;
    let planted = "UPDATE accounts SET password_hash = \
                   '$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g'";
    fixture.execute(planted).await;
    assert_refused(fixture.login("alice@example.com", PASSWORD).await, "CredentialsInvalid");
}

#[tokio::test]
async fn a_hash_with_old_parameters_is_replaced_at_the_next_login() {
    let fixture = Fixture::start().await;
    fixture.register("alice@example.com").await.expect("registered");
    let before = fixture.app.repository.find_credentials(email("alice@example.com").key()).await.expect("read");
    let stronger = PasswordHasher::start(HashingSettings { iterations: 2, ..CHEAP }).await.expect("good settings");
    let Fixture { app, clock, store } = fixture;
    let app = Arc::into_inner(app).expect("nobody else has it");
    let fixture = Fixture { app: Arc::new(App { hasher: stronger, ..app }), clock, store };
    fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
    let after = fixture.app.repository.find_credentials(email("alice@example.com").key()).await.expect("read");
    assert_ne!(before.expect("it is there").1, after.clone().expect("it is there").1);
    assert!(after.expect("it is there").1.as_phc().contains("t=2"));
    fixture.login("alice@example.com", PASSWORD).await.expect("the new hash is good");
}

#[tokio::test]
async fn logout_ends_the_session_of_any_of_its_tokens_and_may_be_repeated() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let other = fixture.login("alice@example.com", PASSWORD).await.expect("another device");
    let second = fixture.refresh(&alice.tokens).await.expect("rotated");

    fixture.app.logout(alice.tokens.refresh.expose()).await.expect("a spent token ends it too");
    assert_refused(fixture.refresh(&second).await, "SessionRevoked");
    assert!(!fixture.is_active(&second.access).await);
    fixture.app.logout(second.refresh.expose()).await.expect("again");
    let revoked = fixture.stored(&alice.session).await.revoked.map(|(_, reason)| reason);
    assert_eq!(revoked, Some(RevokeReason::Logout));
    fixture.refresh(&other.tokens).await.expect("the other device goes on");
}

#[tokio::test]
async fn a_good_token_is_described_and_of_others_nothing_is_said() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let second = fixture.refresh(&alice.tokens).await.expect("rotated");

    let access = fixture.app.verify_token(&second.access).await.expect("no failure").expect("active");
    let ActiveToken::Access { session, scopes, expires_at } = access else { panic!("{access:?}") };
    assert_eq!(session, alice.session.key);
    assert_eq!(scopes, ["account.read", "notes.read"]);
    assert_eq!(expires_at, second.access_expires_at);

    let refresh = fixture.app.verify_token(second.refresh.expose()).await.expect("no failure").expect("active");
    let ActiveToken::Refresh { session, expires_at } = refresh else { panic!("{refresh:?}") };
    assert_eq!((session, expires_at), (alice.session.key, second.refresh_expires_at));

    assert!(!fixture.is_active(alice.tokens.refresh.expose()).await, "a spent token is none");
    assert!(!fixture.is_active("rubbish").await);
    assert_eq!(fixture.stored(&alice.session).await.revoked, None, "asking about a spent token is no use of it");
    fixture.execute("UPDATE accounts SET token_version = 2").await;
    assert!(!fixture.is_active(&second.access).await);
    fixture.clock.advance(ACCESS_TTL + 10 * SECOND);
    assert!(!fixture.is_active(&second.access).await);
}

#[tokio::test]
async fn an_access_token_ends_here_with_its_session_and_its_account() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    for (end, refusal, mend) in [
        (
            "UPDATE sessions SET revoked_at = 1, revoke_reason = 'logout'",
            "TokenRevoked",
            "UPDATE sessions SET revoked_at = NULL, revoke_reason = NULL",
        ),
        ("UPDATE accounts SET token_version = 2", "TokenRevoked", "UPDATE accounts SET token_version = 1"),
        ("UPDATE accounts SET state = 'disabled'", "AccountDisabled", "UPDATE accounts SET state = 'active'"),
    ] {
        fixture.execute(end).await;
        assert_refused(fixture.caller(&alice.tokens).await, refusal);
        fixture.execute(mend).await;
        fixture.caller(&alice.tokens).await.expect("the allowed twin");
    }
    fixture.execute("DELETE FROM accounts").await;
    assert_refused(fixture.caller(&alice.tokens).await, "TokenRevoked");
    assert_refused(fixture.refresh(&alice.tokens).await, "RefreshTokenInvalid");
    assert!(!fixture.is_active(&alice.tokens.access).await);
}

#[tokio::test]
async fn whole_seconds_of_an_access_token_never_begin_in_the_future() {
    let fixture = Fixture::start().await;
    fixture.clock.advance(Duration::from_millis(999));
    let alice = fixture.alice().await;
    let now: SystemTime = fixture.clock.clock().now();
    assert!(fixture.app.verifier.verify(&alice.tokens.access).is_ok());
    assert!(alice.tokens.access_expires_at <= now + ACCESS_TTL);
}
