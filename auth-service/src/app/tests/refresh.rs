//! Every case of a refresh token that is presented, in the real service.

use std::collections::HashSet;

use runtime::config::Secret;

use super::*;
use crate::crypto::{RefreshSecret, SecretSource};

/// The tokens of every generation up to `last`, one rotation a minute, and the moment of the last one.
async fn generations(fixture: &Fixture, last: usize) -> (LoggedIn, Vec<String>) {
    let alice = fixture.alice().await;
    let mut tokens = vec![alice.tokens.refresh.expose().to_owned()];
    while tokens.len() < last {
        fixture.clock.advance(60 * SECOND);
        tokens.push(fixture.app.refresh(&tokens[tokens.len() - 1]).await.expect("rotated").refresh.expose().to_owned());
    }
    (alice, tokens)
}

#[tokio::test]
async fn a_token_that_comes_again_within_ten_seconds_yields_the_present_tokens_and_moves_nothing() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let second = fixture.refresh(&alice.tokens).await.expect("rotated");
    let before = fixture.stored(&alice.session).await;
    for _ in 0..5 {
        fixture.clock.advance(2 * SECOND);
        let again = fixture.refresh(&alice.tokens).await.expect("at ten seconds at the latest");
        assert_eq!(again.refresh.expose(), second.refresh.expose());
        assert_ne!(again.access.as_str(), second.access.as_str());
    }
    assert_eq!(fixture.stored(&alice.session).await, before, "the window is not extended");
}

#[tokio::test]
async fn the_grace_ends_after_exactly_ten_seconds_once_the_child_was_seen() {
    for (after, is_good) in [(GRACE, true), (GRACE + MICROSECOND, false)] {
        let fixture = Fixture::start().await;
        let alice = fixture.alice().await;
        let second = fixture.refresh(&alice.tokens).await.expect("rotated");
        assert!(fixture.is_active(&second.access).await, "seen in use");
        fixture.clock.advance(after);
        assert_eq!(fixture.refresh(&alice.tokens).await.is_ok(), is_good);
        assert_eq!(fixture.stored(&alice.session).await.revoked.is_none(), is_good);
    }
}

#[tokio::test]
async fn a_lost_answer_is_given_again_the_next_morning() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let lost = fixture.refresh(&alice.tokens).await.expect("rotated, but the answer is lost");
    fixture.clock.advance(Duration::from_secs(9 * 3600));
    let again = fixture.refresh(&alice.tokens).await.expect("the same child");
    assert_eq!(again.refresh.expose(), lost.refresh.expose());
    assert_eq!(fixture.stored(&alice.session).await.generation.number(), 2);
    let third = fixture.refresh(&again).await.expect("and on");
    fixture.clock.advance(GRACE + MICROSECOND);
    fixture.refresh(&again).await.expect("that answer may be lost as well");
    fixture.refresh(&third).await.expect("and the session lives on");
}

#[tokio::test]
async fn a_child_that_was_seen_in_whatever_way_makes_its_parent_a_proof_of_theft() {
    for way in ["access token", "refresh token", "a call of the account's own"] {
        let fixture = Fixture::start().await;
        let alice = fixture.alice().await;
        let second = fixture.refresh(&alice.tokens).await.expect("rotated");
        match way {
            "access token" => assert!(fixture.is_active(&second.access).await),
            "refresh token" => assert!(fixture.is_active(second.refresh.expose()).await),
            _ => drop(fixture.caller(&second).await.expect("admitted")),
        }
        fixture.clock.advance(GRACE + MICROSECOND);
        assert_refused(fixture.refresh(&alice.tokens).await, "RefreshTokenReused");
        assert_refused(fixture.refresh(&second).await, "SessionRevoked");
    }
}

#[tokio::test]
async fn the_parents_access_token_proves_nothing_about_the_child() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    fixture.refresh(&alice.tokens).await.expect("rotated, but the answer is lost");
    assert!(fixture.is_active(&alice.tokens.access).await, "a rotation ends no access token");
    fixture.clock.advance(GRACE + MICROSECOND);
    fixture.refresh(&alice.tokens).await.expect("the child again");
}

#[tokio::test]
async fn every_older_generation_that_comes_back_ends_the_session() {
    for older in 0..6 {
        let fixture = Fixture::start().await;
        let (alice, tokens) = generations(&fixture, 7).await;
        assert!(fixture.is_active(&tokens[6]).await, "seen in use");
        fixture.clock.advance(GRACE + MICROSECOND);
        assert_refused(fixture.app.refresh(&tokens[older]).await, "RefreshTokenReused");
        assert!(fixture.stored(&alice.session).await.revoked.is_some(), "generation {}", older + 1);
    }
}

#[tokio::test]
async fn an_ancient_token_one_second_after_a_legitimate_refresh_ends_the_session() {
    let fixture = Fixture::start().await;
    let (_, tokens) = generations(&fixture, 8).await;
    fixture.clock.advance(SECOND);
    fixture.app.refresh(&tokens[6]).await.expect("the one just spent is another tab's");
    assert_refused(fixture.app.refresh(&tokens[0]).await, "RefreshTokenReused");
    assert_refused(fixture.app.refresh(&tokens[7]).await, "SessionRevoked");
}

#[tokio::test]
async fn the_slowest_of_many_tabs_is_not_signed_out() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let mut newest = fixture.refresh(&alice.tokens).await.expect("rotated");
    for _ in 0..3 {
        fixture.clock.advance(3 * SECOND);
        newest = fixture.refresh(&newest).await.expect("rotated again");
    }
    let slowest = fixture.refresh(&alice.tokens).await.expect("nine seconds late");
    assert_eq!(slowest.refresh.expose(), newest.refresh.expose());
}

#[tokio::test]
async fn a_fifth_rotation_within_the_grace_is_told_when_to_come_again() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let mut tokens = vec![alice.tokens];
    for _ in 0..4 {
        tokens.push(fixture.refresh(&tokens[tokens.len() - 1]).await.expect("rotated"));
        fixture.clock.advance(SECOND);
    }
    let [.., parent, newest] = tokens.as_slice() else { unreachable!("there are five") };
    let Err(Error::RefreshTooFast { retry_after }) = fixture.refresh(newest).await else { panic!("too fast") };
    assert_eq!(retry_after, 6 * SECOND + Duration::from_millis(1));
    assert!(fixture.stored(&alice.session).await.child_confirmed, "it was presented, so it had arrived");
    fixture.clock.advance(retry_after);
    fixture.refresh(newest).await.expect("as it was told");
    fixture.clock.advance(GRACE);
    assert_refused(fixture.refresh(parent).await, "RefreshTokenReused");
}

#[tokio::test]
async fn a_clock_set_back_an_hour_signs_nobody_out() {
    let fixture = Fixture::start().await;
    fixture.clock.advance(Duration::from_secs(7200));
    let (_, tokens) = generations(&fixture, 3).await;
    fixture.clock.set(fixture.clock.clock().now() - Duration::from_secs(3600));
    let fourth = fixture.app.refresh(&tokens[2]).await.expect("rotated");
    let tab = fixture.app.refresh(&tokens[2]).await.expect("another tab at the same time");
    assert_eq!(tab.refresh.expose(), fourth.refresh.expose());
    fixture.clock.advance(GRACE + MICROSECOND);
    fixture.refresh(&fourth).await.expect("and on");
}

#[tokio::test]
async fn a_store_that_failed_after_its_commit_costs_nothing() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let limits = fixture.app.limits.session;
    let now = fixture.clock.clock().now();
    let Rotation::Rotated(next) = alice.session.rotate(alice.session.generation, &limits, now) else {
        panic!("the token is current")
    };
    assert!(fixture.app.repository.advance(&next).await.expect("stored"), "and then the process dies");
    fixture.clock.advance(Duration::from_secs(600));
    let second = fixture.refresh(&alice.tokens).await.expect("the client tries again");
    fixture.refresh(&second).await.expect("and goes on");
}

#[tokio::test]
async fn tabs_that_wake_up_with_a_token_whose_answer_was_lost_go_on_though_the_first_uses_what_it_got() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let lost = fixture.refresh(&alice.tokens).await.expect("and the lid is closed before the answer is there");
    fixture.clock.advance(Duration::from_secs(8 * 3600));
    let first = fixture.refresh(&alice.tokens).await.expect("the first tab");
    assert_eq!(first.refresh.expose(), lost.refresh.expose());
    fixture.caller(&first).await.expect("uses it");
    fixture.clock.advance(GRACE);
    let second = fixture.refresh(&alice.tokens).await.expect("the second tab, whose call was on its way");
    assert_eq!(second.refresh.expose(), first.refresh.expose());
    fixture.clock.advance(MICROSECOND);
    assert_refused(fixture.refresh(&alice.tokens).await, "RefreshTokenReused");
}

#[tokio::test]
async fn a_spent_refresh_token_ends_its_session_though_the_call_fails() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let other = fixture.login("alice@example.com", PASSWORD).await.expect("another device");
    let second = fixture.refresh(&alice.tokens).await.expect("the owner rotates it");
    let third = fixture.refresh(&second).await.expect("and goes on with the new one");

    fixture.clock.advance(GRACE + MICROSECOND);
    assert_refused(fixture.refresh(&alice.tokens).await, "RefreshTokenReused");
    let revoked = fixture.stored(&alice.session).await.revoked.map(|(_, reason)| reason);
    assert_eq!(revoked, Some(RevokeReason::Reuse), "stored though the call failed");
    for dead in [&alice.tokens, &second, &third] {
        assert_refused(fixture.refresh(dead).await, "SessionRevoked");
    }
    fixture.refresh(&other.tokens).await.expect("the other device goes on");
}

#[tokio::test]
async fn a_hundred_refreshes_of_one_token_at_once_advance_once_and_yield_one_child() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let attempts = (0..100).map(|_| {
        let (app, token) = (Arc::clone(&fixture.app), alice.tokens.refresh.clone());
        tokio::spawn(async move { app.refresh(token.expose()).await })
    });
    let results = join_all(attempts).await.into_iter().map(|result| result.expect("no panic").expect("a success"));
    let children: HashSet<_> = results.map(|tokens| tokens.refresh.expose().to_owned()).collect();
    assert_eq!(children.len(), 1, "one lineage");
    let stored = fixture.stored(&alice.session).await;
    assert_eq!((stored.generation.number(), stored.revoked), (2, None));
}

#[tokio::test]
async fn a_mangled_refresh_token_is_refused_and_ends_nothing() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let second = fixture.refresh(&alice.tokens).await.expect("rotated");
    for token in [&alice.tokens, &second] {
        let bytes = URL_SAFE_NO_PAD.decode(token.refresh.expose()).expect("base64url");
        for bit in 0..8 * bytes.len() {
            let mut mangled = bytes.clone();
            mangled[bit / 8] ^= 1 << (bit % 8);
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
async fn a_token_of_another_secret_is_refused_and_ends_nothing() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let second = fixture.refresh(&alice.tokens).await.expect("rotated");
    let stored = fixture.stored(&alice.session).await;
    fixture.clock.advance(2 * GRACE);
    let another = Secret::new("another secret, as of before a change of it by the operator".to_owned());
    let another = RefreshSecret::load(SecretSource::Given(another)).await.expect("long enough");
    let mut generation = Some(stored.generation);
    for _ in 0..3 {
        let number = generation.expect("a generation");
        let foreign = another.issue(stored.key, number, &stored.nonce);
        assert_refused(fixture.app.refresh(foreign.expose()).await, "RefreshTokenInvalid");
        fixture.app.logout(foreign.expose()).await.expect("nothing to do");
        assert!(!fixture.is_active(foreign.expose()).await);
        // Its key id alone is another: the header of ours under a check and a MAC that are not.
        let mut mixed = URL_SAFE_NO_PAD.decode(foreign.expose()).expect("base64url");
        let ours = URL_SAFE_NO_PAD.decode(second.refresh.expose()).expect("base64url");
        mixed[..5].copy_from_slice(&ours[..5]);
        assert_refused(fixture.app.refresh(&URL_SAFE_NO_PAD.encode(&mixed)).await, "RefreshTokenInvalid");
        generation = crate::domain::Generation::from_number(number.number() + 1);
    }
    assert_eq!(fixture.stored(&alice.session).await, stored);
    fixture.refresh(&second).await.expect("the session lives on");
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
