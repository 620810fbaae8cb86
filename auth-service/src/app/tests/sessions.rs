//! What the owner of an account does with its sessions, its password and itself.

use super::super::SignOutScope;
use super::*;
use crate::domain::AccountChange;

const NEW_PASSWORD: &str = "a louder teapot!";

async fn listed(fixture: &Fixture, tokens: &Tokens) -> Vec<authn::SessionId> {
    let caller = fixture.caller(tokens).await.expect("admitted");
    let sessions = fixture.app.list_sessions(&caller).await.expect("listed");
    sessions.into_iter().map(|session| session.key.session).collect()
}

async fn sign_out(fixture: &Fixture, tokens: &Tokens, scope: SignOutScope) {
    let caller = fixture.caller(tokens).await.expect("admitted");
    fixture.app.sign_out(&caller, scope).await.expect("signed out");
}

async fn three_devices(fixture: &Fixture) -> [LoggedIn; 3] {
    let first = fixture.alice().await;
    fixture.clock.advance(SECOND);
    let second = fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
    fixture.clock.advance(SECOND);
    [first, second, fixture.login("alice@example.com", PASSWORD).await.expect("logged in")]
}

#[tokio::test]
async fn the_sessions_that_go_on_are_listed_the_latest_used_first() {
    let fixture = Fixture::start().await;
    let [first, second, third] = three_devices(&fixture).await;
    fixture.register("bob@example.com").await.expect("registered");
    fixture.login("bob@example.com", PASSWORD).await.expect("logged in");
    fixture.clock.advance(SECOND);
    let tokens = fixture.refresh(&first.tokens).await.expect("used again");
    fixture.app.logout(second.tokens.refresh.expose()).await.expect("ended");
    assert_eq!(listed(&fixture, &tokens).await, [first.session.key.session, third.session.key.session]);
    fixture.clock.advance(IDLE - SECOND);
    let tokens = fixture.refresh(&tokens).await.expect("in time");
    assert_eq!(listed(&fixture, &tokens).await, [first.session.key.session], "the other has expired");
}

#[tokio::test]
async fn each_scope_of_a_sign_out_ends_what_it_says() {
    for (scope, ended) in [
        (SignOutScope::Local, [false, false, true]),
        (SignOutScope::Others, [true, true, false]),
        (SignOutScope::Global, [true, true, true]),
    ] {
        let fixture = Fixture::start().await;
        let devices = three_devices(&fixture).await;
        fixture.register("bob@example.com").await.expect("registered");
        let bob = fixture.login("bob@example.com", PASSWORD).await.expect("logged in");
        sign_out(&fixture, &devices[2].tokens, scope).await;
        for (device, ended) in devices.iter().zip(ended) {
            assert_eq!(fixture.stored(&device.session).await.revoked.is_some(), ended, "{scope:?}");
            assert_eq!(fixture.caller(&device.tokens).await.is_err(), ended, "{scope:?}");
            assert_eq!(fixture.refresh(&device.tokens).await.is_err(), ended, "{scope:?}");
        }
        fixture.caller(&bob.tokens).await.expect("nobody else is touched");
        let version = fixture.app.repository.find_account(devices[0].account.id).await.expect("read");
        let expected = if scope == SignOutScope::Global { 2 } else { 1 };
        assert_eq!(version.map(|account| account.token_version), Some(expected), "{scope:?}");
    }
}

#[tokio::test]
async fn a_session_is_ended_by_name_and_never_that_of_somebody_else() {
    let fixture = Fixture::start().await;
    let [first, second, _] = three_devices(&fixture).await;
    fixture.register("bob@example.com").await.expect("registered");
    let bob = fixture.login("bob@example.com", PASSWORD).await.expect("logged in");
    let caller = fixture.caller(&first.tokens).await.expect("admitted");

    let unknown = authn::SessionId::from_uuid(uuid::Uuid::new_v4());
    for foreign in [bob.session.key.session, unknown] {
        assert_refused(fixture.app.revoke_session(&caller, foreign).await, "SessionNotFound");
    }
    fixture.caller(&bob.tokens).await.expect("untouched");
    for _ in 0..2 {
        fixture.app.revoke_session(&caller, second.session.key.session).await.expect("may be repeated");
    }
    assert_refused(fixture.refresh(&second.tokens).await, "SessionRevoked");
    fixture.refresh(&first.tokens).await.expect("the caller's own goes on");
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions_and_yields_fresh_tokens() {
    let fixture = Fixture::start().await;
    let [first, second, third] = three_devices(&fixture).await;
    assert_refused(fixture.change_password(&third.tokens, "a wrong teapot!", NEW_PASSWORD).await, "CredentialsInvalid");
    fixture.caller(&first.tokens).await.expect("nothing has changed");

    let fresh = fixture.change_password(&third.tokens, PASSWORD, NEW_PASSWORD).await.expect("changed");
    for other in [&first, &second] {
        assert_refused(fixture.refresh(&other.tokens).await, "SessionRevoked");
        let revoked = fixture.stored(&other.session).await.revoked.map(|(_, reason)| reason);
        assert_eq!(revoked, Some(RevokeReason::PasswordChange));
    }
    assert_refused(fixture.caller(&third.tokens).await, "TokenRevoked");
    fixture.caller(&fresh).await.expect("the new access token is good");
    assert_refused(fixture.refresh(&third.tokens).await, "RefreshSuperseded");
    let next = fixture.refresh(&fresh).await.expect("the session goes on");
    assert_refused(fixture.refresh(&third.tokens).await, "RefreshSuperseded");
    fixture.refresh(&next).await.expect("and on");
    assert_refused(fixture.login("alice@example.com", PASSWORD).await, "CredentialsInvalid");
    fixture.login("alice@example.com", NEW_PASSWORD).await.expect("the new one");
}

#[tokio::test]
async fn a_token_of_before_a_new_password_yields_nothing_though_the_answer_was_lost() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let lost = fixture.change_password(&alice.tokens, PASSWORD, NEW_PASSWORD).await.expect("changed");
    fixture.clock.advance(GRACE);
    assert_refused(fixture.refresh(&alice.tokens).await, "RefreshSuperseded");
    fixture.clock.advance(MICROSECOND);
    assert_refused(fixture.refresh(&alice.tokens).await, "RefreshTokenReused");
    assert_refused(fixture.refresh(&lost).await, "SessionRevoked");
}

#[tokio::test]
async fn refreshes_that_race_a_new_password_get_nothing_across_it() {
    let fixture = Fixture::start().await;
    fixture.register("alice@example.com").await.expect("registered");
    let (mut old, mut new) = (PASSWORD, NEW_PASSWORD);
    for _ in 0..10 {
        let own = fixture.login("alice@example.com", old).await.expect("logged in");
        let other = fixture.login("alice@example.com", old).await.expect("logged in");
        let (changed, ours, others) = tokio::join!(
            fixture.change_password(&own.tokens, old, new),
            fixture.refresh(&own.tokens),
            fixture.refresh(&other.tokens)
        );
        let changed = changed.expect("a refresh that was faster does not stop it");
        if let Ok(tokens) = ours {
            assert_refused(fixture.refresh(&tokens).await, "RefreshSuperseded");
            assert_refused(fixture.caller(&tokens).await, "TokenRevoked");
        }
        if let Ok(tokens) = others {
            assert_refused(fixture.refresh(&tokens).await, "SessionRevoked");
        }
        fixture.refresh(&changed).await.expect("its own session goes on");
        sign_out(&fixture, &changed, SignOutScope::Local).await;
        (old, new) = (new, old);
    }
}

#[tokio::test]
async fn of_two_new_passwords_at_once_one_is_set() {
    let fixture = Fixture::start().await;
    let [first, second, _] = three_devices(&fixture).await;
    let (one, other) = tokio::join!(
        fixture.change_password(&first.tokens, PASSWORD, NEW_PASSWORD),
        fixture.change_password(&second.tokens, PASSWORD, NEW_PASSWORD)
    );
    let (done, failed): (Vec<_>, Vec<_>) = [one, other].into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), failed.len()), (1, 1));
    assert_refused(failed.into_iter().next().expect("one"), "TokenRevoked");
}

#[tokio::test]
async fn a_login_beyond_the_most_ends_the_session_unused_for_longest() {
    let fixture = Fixture::start().await;
    fixture.register("alice@example.com").await.expect("registered");
    let mut devices = Vec::new();
    for _ in 0..5 {
        devices.push(fixture.login("alice@example.com", PASSWORD).await.expect("logged in"));
        fixture.clock.advance(SECOND);
    }
    fixture.refresh(&devices[0].tokens).await.expect("in use again");
    let sixth = fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
    let revoked = fixture.stored(&devices[1].session).await.revoked.map(|(_, reason)| reason);
    assert_eq!(revoked, Some(RevokeReason::Evicted));
    assert_refused(fixture.refresh(&devices[1].tokens).await, "SessionRevoked");
    assert_eq!(listed(&fixture, &sixth.tokens).await.len(), 5);
    for device in [&devices[2], &devices[3], &devices[4], &sixth] {
        fixture.caller(&device.tokens).await.expect("the others go on");
    }
}

#[tokio::test]
async fn of_many_logins_at_once_no_more_than_the_most_go_on() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let logins = join_all((0..12).map(|_| fixture.login("alice@example.com", PASSWORD))).await;
    assert!(logins.iter().all(Result::is_ok));
    let now = fixture.clock.clock().now();
    let live = fixture.app.repository.live_sessions(alice.account.id, now).await.expect("read");
    assert_eq!(live.len(), 5);
}

#[tokio::test]
async fn sessions_are_removed_a_page_at_a_time_once_they_have_been_over_for_thirty_days() {
    let fixture = Fixture::start().await;
    let [logged_out, expired, _] = three_devices(&fixture).await;
    let revoked_at = fixture.clock.clock().now();
    fixture.app.logout(logged_out.tokens.refresh.expose()).await.expect("ended");
    let sweep = || async {
        let (mut after, mut pages) = (None, 0);
        loop {
            after = fixture.app.forget_sessions(after, 2).await.expect("no failure");
            pages += 1;
            if after.is_none() {
                return pages;
            }
        }
    };
    let is_kept = |session: Session| {
        let repository = fixture.app.repository.clone();
        async move { repository.find_session(session.key).await.expect("read").is_some() }
    };
    fixture.clock.set(revoked_at + LIMITS.session_retention);
    let current = fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
    assert_eq!(sweep().await, 3, "four sessions, two a page, and the end");
    assert!(is_kept(logged_out.session.clone()).await, "to the microsecond");
    fixture.clock.advance(MICROSECOND);
    sweep().await;
    assert!(!is_kept(logged_out.session.clone()).await);
    assert!(is_kept(expired.session.clone()).await, "it ended by itself, fourteen days later");
    fixture.clock.set(expired.session.ends_at() + LIMITS.session_retention + MICROSECOND);
    sweep().await;
    assert!(!is_kept(expired.session.clone()).await);
    assert!(is_kept(current.session).await, "it was over for less long");
    assert_refused(fixture.refresh(&logged_out.tokens).await, "RefreshTokenInvalid");
}

#[tokio::test]
async fn an_account_changes_its_name_unless_another_was_faster() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let name = |name: &str| AccountChange {
        display_name: Some(DisplayName::parse(name).expect("a name")),
        ..AccountChange::default()
    };
    let caller = || async { fixture.caller(&alice.tokens).await.expect("admitted") };
    let stale = caller().await;
    let seen = crate::domain::Revision::parse(&stale.account.etag());
    fixture.clock.advance(SECOND);
    let changed = fixture.app.update_account(caller().await, &name("Ada")).await.expect("changed");
    assert_eq!((changed.display_name.as_str(), changed.revision), ("Ada", 2));
    assert_eq!(caller().await.account, changed);
    let conditional = AccountChange { expected: seen, ..name("Bob") };
    assert_refused(fixture.app.update_account(stale, &conditional).await, "EtagMismatch");
    let unchanged = fixture.app.update_account(caller().await, &name("Ada")).await.expect("it is so already");
    assert_eq!(unchanged, changed);
}

#[tokio::test]
async fn a_deleted_account_is_gone_with_all_it_had_and_word_is_left_for_others() {
    let fixture = Fixture::start().await;
    let [first, second, _] = three_devices(&fixture).await;
    fixture.register("bob@example.com").await.expect("registered");
    let bob = fixture.login("bob@example.com", PASSWORD).await.expect("logged in");
    let delete = |password: &'static str| {
        let (fixture, first) = (&fixture, &first);
        async move {
            let caller = fixture.caller(&first.tokens).await?;
            fixture.app.delete_account(caller, PresentedPassword::parse(password).expect("possible")).await
        }
    };
    assert_refused(delete("a wrong teapot!").await, "CredentialsInvalid");
    delete(PASSWORD).await.expect("deleted");
    assert_refused(delete(PASSWORD).await, "TokenRevoked");
    for gone in [&first, &second] {
        assert_refused(fixture.refresh(&gone.tokens).await, "RefreshTokenInvalid");
        assert!(!fixture.is_active(&gone.tokens.access).await);
        assert!(fixture.app.repository.find_session(gone.session.key).await.expect("read").is_none());
    }
    assert_refused(fixture.login("alice@example.com", PASSWORD).await, "CredentialsInvalid");
    fixture.caller(&bob.tokens).await.expect("nobody else is touched");
    let word = fixture.app.repository.outbox().await;
    assert_eq!(word, [("account_deleted".to_owned(), first.account.id, 2)]);
    let again = fixture.register("alice@example.com").await.expect("the address is free");
    assert_ne!(again.id, first.account.id);
}
