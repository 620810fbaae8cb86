//! The life of a session: rotation, reuse, expiry, sign-out, and what VerifyToken and the key lists say.

use std::time::Duration;

use proto::auth::v1::{ListSigningKeysRequest, TokenType};
use tonic_types::StatusExt as _;

use crate::harness::assert::assert_refused;
use crate::harness::raw;
use crate::harness::stack::Stack;

const MICROSECOND: Duration = Duration::from_micros(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_refresh_yields_new_tokens_that_work() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let before = alice.tokens.clone();
    stack.clock.advance(MINUTE);
    let after = alice.refresh().await.expect("refreshed");
    assert_ne!(before.refresh_token, after.refresh_token);
    assert_ne!(before.access_token, after.access_token);
    alice.write("with the new token", "").await;
    alice.refresh().await.expect("and again");
}

#[tokio::test]
async fn a_spent_refresh_token_used_again_ends_its_session() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let mut thief = alice.visitor.clone();
    let mut elsewhere = alice.on_another_device().await;
    let stolen = alice.tokens.refresh_token.clone();

    alice.refresh().await.expect("the owner rotates it");
    alice.refresh().await.expect("and goes on");
    stack.clock.advance(MINUTE);

    assert_refused(thief.refresh(&stolen).await, "UNAUTHENTICATED REFRESH_TOKEN_REUSED");
    assert_refused(alice.refresh().await, "UNAUTHENTICATED SESSION_REVOKED");
    elsewhere.refresh().await.expect("another session is not touched");
}

#[tokio::test]
async fn a_hundred_refreshes_with_one_token_at_once_all_succeed_with_one_child() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let attempts = (0..100).map(|_| {
        let (mut visitor, token) = (alice.visitor.clone(), alice.tokens.refresh_token.clone());
        async move { visitor.refresh(&token).await.expect("every tab gets tokens") }
    });
    let results = futures_util::future::join_all(attempts).await;
    let children: std::collections::BTreeSet<_> = results.iter().map(|tokens| &tokens.refresh_token).collect();
    assert_eq!(children.len(), 1, "one token has one child");
}

#[tokio::test]
async fn a_second_tab_and_a_retry_get_the_same_tokens_for_ten_seconds() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let mut tab = alice.clone();
    let next = alice.refresh().await.expect("one tab");
    stack.clock.advance(10 * SECOND);
    assert_eq!(tab.refresh().await.expect("the other, in time").refresh_token, next.refresh_token);
    tab.account().await.expect("and its access token works");
    let mut sleeper = alice.clone();
    alice.refresh().await.expect("on");
    alice.account().await.expect("seen in use");
    stack.clock.advance(10 * SECOND + MICROSECOND);
    assert_refused(sleeper.refresh().await, "UNAUTHENTICATED REFRESH_TOKEN_REUSED");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_until_its_tokens_are_seen() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let lost = alice.visitor.refresh(&alice.tokens.refresh_token).await.expect("but the answer does not arrive");
    stack.clock.advance(DAY);
    assert_eq!(alice.refresh().await.expect("the same again").refresh_token, lost.refresh_token);
    alice.refresh().await.expect("and on");
}

#[tokio::test]
async fn whoever_rotates_too_fast_is_told_when_to_come_again() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    for _ in 0..4 {
        alice.refresh().await.expect("four within ten seconds");
    }
    let status = alice.refresh().await.expect_err("the fifth");
    assert_eq!(raw::outcome(&status), "RESOURCE_EXHAUSTED REFRESH_TOO_FAST");
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("when to come again");
    stack.clock.advance(delay);
    alice.refresh().await.expect("as it was told");
}

#[tokio::test]
async fn every_older_token_that_comes_back_ends_the_session() {
    let stack = Stack::start().await;
    for older in 0..5 {
        let mut alice = stack.register(&format!("alice{older}")).await;
        let mut spent = Vec::new();
        for _ in 0..5 {
            spent.push(alice.tokens.refresh_token.clone());
            alice.refresh().await.expect("in use");
            stack.clock.advance(MINUTE);
        }
        alice.account().await.expect("seen in use");
        assert_refused(alice.visitor.refresh(&spent[older]).await, "UNAUTHENTICATED REFRESH_TOKEN_REUSED");
        assert_refused(alice.refresh().await, "UNAUTHENTICATED SESSION_REVOKED");
    }
}

#[tokio::test]
async fn a_clock_set_back_an_hour_signs_nobody_out() {
    let stack = Stack::start().await;
    stack.clock.advance(DAY);
    let mut alice = stack.register("alice").await;
    alice.refresh().await.expect("refreshed");
    let mut tab = alice.clone();
    stack.clock.set(std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + DAY - 60 * MINUTE);
    alice.refresh().await.expect("one tab");
    tab.refresh().await.expect("the other");
    stack.clock.advance(MINUTE);
    tab.refresh().await.expect("and on");
}

#[tokio::test]
async fn no_mangled_refresh_token_works_or_ends_a_session() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let token = alice.tokens.refresh_token.clone();
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let mangled = String::from_utf8(bytes).expect("ASCII");
        let result = alice.visitor.refresh(&mangled).await;
        assert_refused(result, "UNAUTHENTICATED REFRESH_TOKEN_INVALID");
    }
    for rubbish in ["x", &token[1..], &format!("{token}="), &format!("{token}A"), &format!(" {token}")] {
        let result = alice.visitor.refresh(rubbish).await;
        assert_refused(result, "UNAUTHENTICATED REFRESH_TOKEN_INVALID");
    }
    let access = alice.tokens.access_token.clone();
    assert_eq!(
        raw::outcome(&alice.visitor.refresh(&access).await.expect_err("an access token refreshes nothing"))
            .split(' ')
            .nth(1)
            .map(|reason| ["REFRESH_TOKEN_INVALID", "FIELD_INVALID"].contains(&reason)),
        Some(true)
    );
    alice.refresh().await.expect("the true token still works");
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_for_fourteen_days() {
    let stack = Stack::start().await;
    let (mut alice, mut bob) = (stack.register("alice").await, stack.register("bob").await);
    stack.clock.advance(14 * DAY - MINUTE);
    alice.refresh().await.expect("a minute before");
    stack.clock.advance(MINUTE);
    assert_refused(bob.refresh().await, "UNAUTHENTICATED SESSION_EXPIRED");
}

#[tokio::test]
async fn a_session_ends_ninety_days_after_login_however_much_it_is_used() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    for _ in 0..8 {
        stack.clock.advance(11 * DAY);
        alice.refresh().await.expect("in use");
    }
    stack.clock.advance(2 * DAY - 2 * MINUTE);
    let last = alice.refresh().await.expect("two minutes before the end");
    let expires = last.access_token_expire_time.expect("an expiry").seconds;
    let session_end = 1_800_000_000 + 90 * i64::try_from(DAY.as_secs()).expect("small");
    assert!(expires <= session_end, "no access token outlives its session: {expires} > {session_end}");
    stack.clock.advance(2 * MINUTE);
    assert_refused(alice.refresh().await, "UNAUTHENTICATED SESSION_EXPIRED");
}

#[tokio::test]
async fn an_access_token_lives_five_minutes_and_the_leeway() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    stack.clock.advance(5 * MINUTE + Duration::from_secs(4));
    alice.account().await.expect("within the leeway of five seconds");
    stack.clock.advance(Duration::from_secs(1));
    assert_refused(alice.account().await, "UNAUTHENTICATED TOKEN_EXPIRED");
    assert_refused(alice.get("notes/00000000-0000-4000-8000-000000000000").await, "UNAUTHENTICATED TOKEN_EXPIRED");
    alice.refresh().await.expect("a refresh");
    alice.account().await.expect("mends it");
}

#[tokio::test]
async fn logout_ends_the_session_and_may_be_repeated() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let mut elsewhere = alice.on_another_device().await;
    let older = alice.tokens.refresh_token.clone();
    alice.refresh().await.expect("refreshed");

    alice.visitor.logout(&older).await.expect("any generation will do");
    assert_refused(alice.refresh().await, "UNAUTHENTICATED SESSION_REVOKED");
    alice.logout().await.expect("again");
    alice.visitor.logout("rubbish").await.expect("an unknown token is no error");
    elsewhere.refresh().await.expect("another session is not touched");
}

#[tokio::test]
async fn logout_works_with_an_expired_access_token_beside_it() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    stack.clock.advance(DAY);
    alice.logout().await.expect("signed out");
    assert_refused(alice.refresh().await, "UNAUTHENTICATED SESSION_REVOKED");
}

#[tokio::test]
async fn verify_token_tells_good_tokens_and_nothing_about_others() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let tokens = alice.tokens.clone();

    let access = alice.visitor.verify(&tokens.access_token).await.expect("an answer");
    assert!(access.active);
    assert_eq!(access.token_type(), TokenType::Access);
    assert_eq!(access.subject, alice.account.name);
    assert_eq!(access.session, alice.session);
    assert!(access.scopes.iter().any(|scope| scope == "notes.write"));
    let refresh = alice.visitor.verify(&tokens.refresh_token).await.expect("an answer");
    assert!(refresh.active);
    assert_eq!(refresh.token_type(), TokenType::Refresh);

    alice.logout().await.expect("signed out");
    for dead in [tokens.access_token.as_str(), &tokens.refresh_token, "rubbish"] {
        let answer = alice.visitor.verify(dead).await.expect("an answer");
        assert_eq!(answer, Default::default(), "inactive, and nothing else is said");
    }
}

#[tokio::test]
async fn the_public_keys_are_the_same_over_grpc_and_http_and_verify_the_tokens() {
    let stack = Stack::start().await;
    let mut visitor = stack.visitor().await;
    let keys = visitor.auth.list_signing_keys(ListSigningKeysRequest {}).await.expect("keys").into_inner().keys;

    let url = format!("http://{}/.well-known/jwks.json", stack.auth.address());
    let answer = reqwest::get(&url).await.expect("an answer");
    let cache = answer.headers()["cache-control"].to_str().expect("text").to_owned();
    assert!(cache.contains("max-age="), "{cache}");
    let etag = answer.headers()["etag"].clone();
    let text = answer.text().await.expect("text");
    let set: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let listed = set["keys"].as_array().expect("a list");
    assert_eq!(listed.len(), keys.len());
    for (json, key) in listed.iter().zip(&keys) {
        let members: Vec<_> = json.as_object().expect("a key").keys().map(String::as_str).collect();
        assert_eq!(members.len(), 6, "kty, n, e, kid, alg, use and nothing private: {members:?}");
        for (member, value) in
            [("kid", &key.kid), ("kty", &key.kty), ("alg", &key.alg), ("use", &key.r#use), ("n", &key.n), ("e", &key.e)]
        {
            assert_eq!(json[member], **value, "{member}");
        }
    }

    let client = reqwest::Client::new();
    let again = client.get(&url).header("if-none-match", etag).send().await.expect("an answer");
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn the_metadata_names_the_issuer_and_the_keys() {
    let stack = Stack::start_with(
        &[("AUTH_SERVICE_TOKEN_ISSUER", "https://auth.example")],
        &[("NOTES_SERVICE_TRUST_ISSUER", "https://auth.example")],
    )
    .await;
    let url = format!("http://{}/.well-known/oauth-authorization-server", stack.auth.address());
    let text = reqwest::get(url).await.expect("an answer").text().await.expect("text");
    let metadata: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(metadata["issuer"], "https://auth.example");
    assert_eq!(metadata["jwks_uri"], "https://auth.example/.well-known/jwks.json");
    stack.register("alice").await.write("both services agree on the issuer", "").await;
}
