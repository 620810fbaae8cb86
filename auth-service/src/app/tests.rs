//! What the use cases promise, on the engine under test, with the time in our hands.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;

use super::testing::{ABSOLUTE, ACCESS_TTL, CHEAP, Fixture, IDLE, PASSWORD, email};
use super::{ActiveToken, App, Error};
use crate::crypto::{HashingSettings, PasswordHasher};
use crate::domain::RevokeReason;

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
    let read = fixture.app.get_account(principal.subject()).await.expect("it is there");
    assert_eq!(read, alice.account);

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
async fn a_spent_refresh_token_ends_its_session_though_the_call_fails() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let other = fixture.login("alice@example.com", PASSWORD).await.expect("another device");
    let second = fixture.refresh(&alice.tokens).await.expect("the owner rotates it");
    let third = fixture.refresh(&second).await.expect("and goes on with the new one");

    assert_refused(fixture.refresh(&alice.tokens).await, "RefreshTokenReused");
    let revoked = fixture.stored(&alice.session).await.revoked.map(|(_, reason)| reason);
    assert_eq!(revoked, Some(RevokeReason::Reuse), "stored though the call failed");
    for dead in [&alice.tokens, &second, &third] {
        assert_refused(fixture.refresh(dead).await, "SessionRevoked");
    }
    fixture.refresh(&other.tokens).await.expect("the other device goes on");
}

#[tokio::test]
async fn of_many_refreshes_of_one_token_at_once_exactly_one_advances() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let attempts = (0..50).map(|_| {
        let (app, token) = (Arc::clone(&fixture.app), alice.tokens.refresh.clone());
        tokio::spawn(async move { app.refresh(token.expose()).await })
    });
    let results: Vec<_> = join_all(attempts).await.into_iter().map(|result| result.expect("no panic")).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "one lineage");
    let refused =
        results.iter().filter(|result| matches!(result, Err(Error::RefreshTokenReused | Error::SessionRevoked)));
    assert_eq!(refused.count(), 49, "the others find it spent");
    let stored = fixture.stored(&alice.session).await;
    assert_eq!((stored.generation.number(), stored.revoked.map(|(_, why)| why)), (2, Some(RevokeReason::Reuse)));
}

#[tokio::test]
async fn a_mangled_refresh_token_is_refused_and_ends_nothing() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let second = fixture.refresh(&alice.tokens).await.expect("rotated");
    for token in [&alice.tokens, &second] {
        let bytes = URL_SAFE_NO_PAD.decode(token.refresh.expose()).expect("base64url");
        for position in 0..bytes.len() {
            let mut mangled = bytes.clone();
            mangled[position] ^= 1;
            let mangled = URL_SAFE_NO_PAD.encode(&mangled);
            assert_refused(fixture.app.refresh(&mangled).await, "RefreshTokenInvalid");
            fixture.app.logout(&mangled).await.expect("nothing to do");
            assert!(!fixture.is_active(&mangled).await);
        }
    }
    for rubbish in ["rubbish", alice.tokens.access.as_str(), &second.refresh.expose()[1..]] {
        assert_refused(fixture.app.refresh(rubbish).await, "RefreshTokenInvalid");
        fixture.app.logout(rubbish).await.expect("nothing to do");
    }
    fixture.refresh(&second).await.expect("the session lives on");
}

#[tokio::test]
async fn a_session_ends_exactly_at_its_idle_limit() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    fixture.clock.advance(IDLE - MICROSECOND);
    let second = fixture.refresh(&alice.tokens).await.expect("a microsecond before");
    fixture.clock.advance(IDLE);
    assert!(!fixture.is_active(second.refresh.expose()).await);
    assert_refused(fixture.refresh(&second).await, "SessionExpired");
    assert_refused(fixture.refresh(&alice.tokens).await, "SessionExpired");
    assert_eq!(fixture.stored(&alice.session).await.revoked, None, "it ended by itself");
}

#[tokio::test]
async fn a_session_ends_exactly_at_its_absolute_limit_however_much_it_is_used() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let begun = fixture.clock.clock().now();
    let mut tokens = alice.tokens;
    while fixture.clock.clock().now() + IDLE <= begun + ABSOLUTE {
        fixture.clock.advance(IDLE - SECOND);
        tokens = fixture.refresh(&tokens).await.expect("in time");
        assert!(tokens.refresh_expires_at <= begun + ABSOLUTE);
    }
    fixture.clock.set(begun + ABSOLUTE - MICROSECOND);
    tokens = fixture.refresh(&tokens).await.expect("a microsecond before");
    assert!(tokens.access_expires_at <= begun + ABSOLUTE, "no access token outlives its session");
    fixture.clock.set(begun + ABSOLUTE);
    assert_refused(fixture.refresh(&tokens).await, "SessionExpired");
}

#[tokio::test]
async fn a_disabled_account_refreshes_nothing_and_keeps_its_session() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    fixture.execute("UPDATE accounts SET state = 'disabled'").await;
    assert_refused(fixture.refresh(&alice.tokens).await, "AccountDisabled");
    assert!(!fixture.is_active(&alice.tokens.access).await);
    assert!(!fixture.is_active(alice.tokens.refresh.expose()).await);
    fixture.execute("UPDATE accounts SET state = 'active'").await;
    fixture.refresh(&alice.tokens).await.expect("the token was not spent");
}

#[tokio::test]
async fn roles_are_read_anew_at_each_refresh() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    fixture.execute("UPDATE accounts SET roles = '[\"editor\"]'").await;
    let second = fixture.refresh(&alice.tokens).await.expect("rotated");
    assert_eq!(fixture.app.verifier.verify(&alice.tokens.access).expect("good").roles(), [""; 0]);
    assert_eq!(fixture.app.verifier.verify(&second.access).expect("good").roles(), ["editor"]);
}

#[tokio::test]
async fn a_token_newer_than_its_session_is_refused_and_ends_nothing() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let second = fixture.refresh(&alice.tokens).await.expect("rotated");
    fixture.execute("UPDATE sessions SET generation = 1").await;
    assert_refused(fixture.refresh(&second).await, "RefreshTokenInvalid");
    fixture.refresh(&alice.tokens).await.expect("what the store calls current is");
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
async fn a_refresh_that_races_a_logout_never_resurrects_the_session() {
    let fixture = Fixture::start().await;
    fixture.register("alice@example.com").await.expect("registered");
    for _ in 0..20 {
        let alice = fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
        let token = alice.tokens.refresh.expose();
        let (refreshed, logged_out) = tokio::join!(fixture.app.refresh(token), fixture.app.logout(token));
        logged_out.expect("no failure");
        if let Ok(tokens) = refreshed {
            assert_refused(fixture.refresh(&tokens).await, "SessionRevoked");
        }
        assert!(fixture.stored(&alice.session).await.revoked.is_some());
    }
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
async fn an_account_that_is_gone_is_not_found_by_its_own_token() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let principal = fixture.app.verifier.verify(&alice.tokens.access).expect("good");
    fixture.execute("DELETE FROM accounts").await;
    assert_refused(fixture.app.get_account(principal.subject()).await, "AccountNotFound");
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
