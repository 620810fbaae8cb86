//! What a person does with the sessions, the password and the account itself.

use std::time::Duration;

use prost::Message as _;
use prost_types::FieldMask;
use proto::auth::v1::{Account, RevokeSessionRequest, SignOutScope, UpdateAccountRequest};

use crate::harness::actor::PASSWORD;
use crate::harness::assert::assert_refused;
use crate::harness::raw;
use crate::harness::stack::Stack;

const SECOND: Duration = Duration::from_secs(1);
const NEW_PASSWORD: &str = "eight blue kites above a hill";

#[tokio::test]
async fn a_person_sees_the_sessions_and_ends_one_of_them() {
    let stack = Stack::start().await;
    let mut phone = stack.register("alice").await;
    stack.clock.advance(SECOND);
    let laptop = phone.on_another_device().await;
    let sessions = laptop.sessions().await.expect("listed");
    let listed: Vec<_> = sessions.iter().map(|session| (session.name.as_str(), session.current)).collect();
    assert_eq!(listed, [(laptop.session.as_str(), true), (phone.session.as_str(), false)]);
    assert!(sessions.iter().all(|session| session.ip_prefix == "127.0.0.0/24" && session.auth_methods == ["pwd"]));

    laptop.revoke_session(&phone.session).await.expect("ended");
    laptop.revoke_session(&phone.session).await.expect("it has ended");
    assert_refused(phone.account().await, "UNAUTHENTICATED TOKEN_REVOKED");
    assert_refused(phone.refresh().await, "UNAUTHENTICATED SESSION_REVOKED");
    assert_eq!(laptop.sessions().await.expect("listed").len(), 1);
}

#[tokio::test]
async fn a_session_of_somebody_else_and_no_session_are_one_answer() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let ask = async |name: &str| {
        let request = RevokeSessionRequest { name: name.to_owned() }.encode_to_vec();
        let path = "/auth.v1.AccountService/RevokeSession";
        raw::grpc(stack.auth.address(), path, Some(&alice.tokens.access_token), &request).await
    };
    let foreign = ask(&bob.session).await;
    let unknown = ask("sessions/00000000-0000-4000-8000-000000000000").await;
    assert_eq!(foreign.outcome(), "NOT_FOUND SESSION_NOT_FOUND");
    assert_eq!(foreign.fingerprint(), unknown.fingerprint());
    bob.account().await.expect("bob's goes on");
    for malformed in ["", "sessions/", "sessions/1", &bob.session.to_uppercase(), &format!("{}/", bob.session)] {
        assert_eq!(ask(malformed).await.outcome(), "INVALID_ARGUMENT FIELD_INVALID", "{malformed}");
    }
}

#[tokio::test]
async fn a_person_signs_out_here_elsewhere_and_everywhere() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for (scope, here, elsewhere) in [
        (SignOutScope::Unspecified, false, true),
        (SignOutScope::Local, false, true),
        (SignOutScope::Others, true, false),
        (SignOutScope::Global, false, false),
    ] {
        let (mut laptop, mut phone) = (alice.on_another_device().await, alice.on_another_device().await);
        laptop.sign_out(scope).await.expect("signed out");
        for (device, goes_on) in [(&mut laptop, here), (&mut phone, elsewhere)] {
            assert_eq!(device.account().await.is_ok(), goes_on, "{scope:?}");
            assert_eq!(device.refresh().await.is_ok(), goes_on, "{scope:?}");
        }
    }
    assert_refused(alice.sessions().await, "UNAUTHENTICATED TOKEN_REVOKED");
    alice.on_another_device().await.account().await.expect("who logs in again is in");
}

#[tokio::test]
async fn a_new_password_signs_every_other_device_out_and_not_this_one() {
    let stack = Stack::start().await;
    let mut laptop = stack.register("alice").await;
    let mut phone = laptop.on_another_device().await;
    let mut tab = laptop.clone();
    assert_refused(
        laptop.change_password("not her password at all", NEW_PASSWORD).await,
        "UNAUTHENTICATED CREDENTIALS_INVALID",
    );
    for bad in ["short", "alice in wonderland", "passwordpassword"] {
        assert_refused(laptop.change_password(PASSWORD, bad).await, "INVALID_ARGUMENT FIELD_INVALID");
    }
    phone.account().await.expect("nothing has changed");

    laptop.change_password(PASSWORD, NEW_PASSWORD).await.expect("changed");
    assert_refused(phone.refresh().await, "UNAUTHENTICATED SESSION_REVOKED");
    assert_refused(phone.account().await, "UNAUTHENTICATED TOKEN_REVOKED");
    assert_refused(tab.refresh().await, "ABORTED REFRESH_SUPERSEDED");
    laptop.account().await.expect("the new tokens are good");
    laptop.refresh().await.expect("and the session goes on");
    let mut visitor = stack.visitor().await;
    assert_refused(visitor.login("alice@example.com", PASSWORD).await, "UNAUTHENTICATED CREDENTIALS_INVALID");
    visitor.login("alice@example.com", NEW_PASSWORD).await.expect("the new password");
    stack.clock.advance(11 * SECOND);
    assert_refused(tab.refresh().await, "UNAUTHENTICATED REFRESH_TOKEN_REUSED");
}

#[tokio::test]
async fn a_login_too_many_ends_the_session_that_was_unused_longest() {
    let stack = Stack::start_with(&[("AUTH_SERVICE_SESSION_MAX_PER_ACCOUNT", "2")], &[]).await;
    let mut first = stack.register("alice").await;
    stack.clock.advance(SECOND);
    let mut second = first.on_another_device().await;
    stack.clock.advance(SECOND);
    first.refresh().await.expect("in use");
    let third = first.on_another_device().await;
    assert_refused(second.refresh().await, "UNAUTHENTICATED SESSION_REVOKED");
    first.refresh().await.expect("it goes on");
    assert_eq!(third.sessions().await.expect("listed").len(), 2);
}

#[tokio::test]
async fn a_person_changes_the_name_of_the_account_unless_it_was_changed_meanwhile() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let update = |account: Account, mask: &[&str]| {
        let update_mask = Some(FieldMask { paths: mask.iter().map(|path| (*path).to_owned()).collect() });
        alice.update_account(UpdateAccountRequest { account: Some(account), update_mask })
    };
    let seen = alice.account().await.expect("read");
    let named = |name: &str| Account { display_name: name.to_owned(), ..seen.clone() };
    let changed = update(named("Ada"), &["display_name"]).await.expect("changed");
    assert_eq!((changed.display_name.as_str(), &changed.email), ("Ada", &seen.email));
    assert_ne!(changed.etag, seen.etag);
    assert_refused(update(named("Bob"), &["*"]).await, "ABORTED ETAG_MISMATCH");
    let unconditional = Account { etag: String::new(), ..named("") };
    update(unconditional.clone(), &[]).await.expect("nothing is set");
    assert_eq!(alice.account().await.expect("read"), changed);
    let emptied = update(unconditional, &["display_name", "update_time"]).await.expect("emptied");
    assert_eq!(emptied.display_name, "");

    let bob = stack.register("bob").await;
    let foreign = Account { name: bob.account.name.clone(), ..Account::default() };
    for (account, mask) in [
        (Account { display_name: "x".repeat(101), ..Account::default() }, "display_name"),
        (Account { etag: "W/\"1\"".to_owned(), ..Account::default() }, "display_name"),
        (Account::default(), "email"),
        (foreign, "display_name"),
    ] {
        assert_refused(update(account, &[mask]).await, "INVALID_ARGUMENT FIELD_INVALID");
    }
    assert_eq!(bob.account().await.expect("read").display_name, "");
}

#[tokio::test]
async fn a_deleted_account_is_gone_and_its_address_is_free() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let phone = alice.on_another_device().await;
    assert_refused(alice.delete_account("not her password at all").await, "UNAUTHENTICATED CREDENTIALS_INVALID");
    alice.account().await.expect("nothing was deleted");
    alice.delete_account(PASSWORD).await.expect("deleted");
    assert_refused(phone.account().await, "UNAUTHENTICATED TOKEN_REVOKED");
    assert_refused(alice.refresh().await, "UNAUTHENTICATED REFRESH_TOKEN_INVALID");
    let mut visitor = stack.visitor().await;
    assert_refused(visitor.login("alice@example.com", PASSWORD).await, "UNAUTHENTICATED CREDENTIALS_INVALID");
    let again = stack.register("alice").await;
    assert_ne!(again.account.name, alice.account.name);
}
