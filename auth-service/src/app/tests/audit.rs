//! What is kept of every security fact, and how much of it.

use std::collections::BTreeSet;

use super::super::Audit;
use super::super::testing::{AUDIT, KEY_RULES};
use super::*;
use crate::domain::{AccountChange, AccountId, AuditFilter, AuditRecord, KeyWish, SecurityEvent};

async fn records(fixture: &Fixture, filter: &AuditFilter) -> Vec<AuditRecord> {
    fixture.app.write_audit().await;
    fixture.app.repository.audit_records(filter, 1000).await.expect("read")
}

async fn of(fixture: &Fixture, event: &str) -> Vec<AuditRecord> {
    records(fixture, &AuditFilter { event: Some(event.to_owned()), ..AuditFilter::default() }).await
}

#[tokio::test]
async fn an_event_of_every_name_is_kept() {
    let fixture = Fixture::with(HashingSettings { permits: 1, queue: 1, ..CHEAP }).await;
    let now = || fixture.clock.clock().now();
    let alice = fixture.alice().await;
    let _ = fixture.login("alice@example.com", "a loud teapot!").await;
    let places = fixture.app.hasher.take_places();
    let _ = fixture.login("nobody@example.com", PASSWORD).await;
    drop(places);

    let second = fixture.refresh(&alice.tokens).await.expect("rotated");
    fixture.clock.advance(2 * GRACE);
    let second_again = fixture.refresh(&alice.tokens).await.expect("its answer was lost");
    assert_eq!(second_again.refresh.expose(), second.refresh.expose());
    let third = fixture.refresh(&second).await.expect("rotated");
    fixture.execute("UPDATE sessions SET generation = 2").await;
    let _ = fixture.refresh(&third).await;
    fixture.execute("UPDATE sessions SET generation = 3").await;
    fixture.clock.advance(2 * GRACE);
    let _ = fixture.refresh(&alice.tokens).await;

    let other = fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
    let _ = fixture.change_password(&other.tokens, "a wrong teapot!", "a louder teapot!").await;
    let fresh = fixture.change_password(&other.tokens, PASSWORD, "a louder teapot!").await.expect("changed");
    let name = DisplayName::parse("Ada").expect("a name");
    let change = AccountChange { display_name: Some(name), ..AccountChange::default() };
    let caller = || async { fixture.caller(&fresh).await.expect("admitted") };
    fixture.app.update_account(caller().await, &change).await.expect("changed");
    let id = alice.account.id;
    assert!(fixture.app.repository.disable_account(id, now()).await.expect("no failure"));
    assert!(fixture.app.repository.enable_account(id, now()).await.expect("no failure"));
    let again = fixture.refresh(&fresh).await.expect("enabled");
    let caller = fixture.caller(&again).await.expect("admitted");
    let password = PresentedPassword::parse("a louder teapot!").expect("possible");
    fixture.app.delete_account(caller, password).await.expect("deleted");
    for address in 0..20 {
        let account = fixture.register(&format!("{address}@example.com")).await.expect("registered");
        let _ = fixture.login(&account.email, "a loud teapot!").await;
    }

    fixture.app.rotate_keys().await.expect("another key stands by");
    let key = fixture.app.repository.signing_keys().await.expect("read").current().expect("one signs").id();
    for wish in [KeyWish::Rotate, KeyWish::Revoke(key)] {
        fixture.clock.advance(DAY);
        let changed = fixture.app.repository.change_keys(wish, KEY_RULES, None, now()).await;
        changed.expect("no failure").expect("it may");
    }

    let kept = records(&fixture, &AuditFilter::default()).await;
    let names: BTreeSet<_> = kept.iter().map(|record| record.event.as_str()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), SecurityEvent::NAMES);
    let of_alice = kept.iter().filter(|record| record.account == Some(id)).count();
    let asked = records(&fixture, &AuditFilter { account: Some(id), ..AuditFilter::default() }).await;
    assert_eq!(asked.len(), of_alice, "they outlive the account");
}

#[tokio::test]
async fn nothing_is_changed_that_the_audit_cannot_keep() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let caller = || async { fixture.caller(&alice.tokens).await.expect("admitted") };
    let change =
        AccountChange { display_name: Some(DisplayName::parse("Ada").expect("a name")), ..AccountChange::default() };
    fixture.execute("ALTER TABLE audit_events RENAME TO lost").await;
    fixture.register("bob@example.com").await.expect_err("not kept");
    fixture.login("alice@example.com", PASSWORD).await.err().expect("not kept");
    fixture.refresh(&alice.tokens).await.err().expect("not kept");
    fixture.app.update_account(caller().await, &change).await.expect_err("not kept");
    fixture.execute("ALTER TABLE lost RENAME TO audit_events").await;
    assert_eq!(fixture.stored(&alice.session).await, alice.session);
    assert_eq!(caller().await.account.display_name.as_str(), "Alice");
    assert_eq!(fixture.app.list_sessions(&caller().await).await.expect("listed").len(), 1);

    fixture.register("bob@example.com").await.expect("the allowed twin");
    fixture.login("alice@example.com", PASSWORD).await.expect("the allowed twin");
    fixture.refresh(&alice.tokens).await.expect("the allowed twin");
    fixture.app.update_account(caller().await, &change).await.expect("the allowed twin");
}

#[tokio::test]
async fn rotations_are_kept_if_that_is_set_and_logins_always() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    fixture.refresh(&alice.tokens).await.expect("rotated");
    let generations = of(&fixture, "authn_token_created").await.into_iter().map(|record| record.generation);
    assert_eq!(generations.collect::<Vec<_>>(), [Some(1), Some(2)]);

    let Fixture { app, clock, store } = fixture;
    let app = Arc::into_inner(app).expect("nobody else has it");
    let repository = app.repository.clone().with_tokens_in_audit(false);
    let fixture = Fixture { app: Arc::new(App { repository, ..app }), clock, store };
    let other = fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
    fixture.refresh(&other.tokens).await.expect("rotated");
    assert_eq!(of(&fixture, "authn_token_created").await.len(), 2, "no more of them");
    assert_eq!(of(&fixture, "authn_login_success").await.len(), 2);
}

#[tokio::test]
async fn equal_refusals_are_one_record_that_counts_them() {
    let fixture = Fixture::start().await;
    fixture.alice().await;
    let begun = fixture.clock.clock().now();
    for _ in 0..30 {
        let _ = fixture.login("alice@example.com", "a loud teapot!").await;
        fixture.clock.advance(SECOND);
    }
    let failures = of(&fixture, "authn_login_fail").await;
    let [failure] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!((failure.times, failure.at, failure.reason.as_deref()), (30, begun, Some("wrong_password")));
    let _ = fixture.login("alice@example.com", "a loud teapot!").await;
    assert_eq!(of(&fixture, "authn_login_fail").await.len(), 2, "what comes after the write is another");
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_and_does_not_fill_the_store() {
    let fixture = Fixture::start().await;
    let most = AUDIT.refusals_per_minute;
    let flood = || {
        for _ in 0..100 * most {
            let account = AccountId::from_uuid(uuid::Uuid::new_v4());
            fixture.app.note(SecurityEvent::PasswordRefused(account));
        }
    };
    flood();
    assert_eq!(of(&fixture, "authn_password_refused").await.len(), most);
    flood();
    assert_eq!(of(&fixture, "authn_password_refused").await.len(), most, "an allowance is for a minute");
    let uncounted = of(&fixture, "audit_overflow").await.iter().map(|record| record.times).sum::<u64>();
    assert_eq!(uncounted, u64::try_from(200 * most - most).expect("few"), "none is lost without a trace");
    fixture.clock.advance(Duration::from_secs(60));
    flood();
    assert_eq!(of(&fixture, "authn_password_refused").await.len(), 2 * most);
    fixture.clock.set(fixture.clock.clock().now() - 3600 * SECOND);
    flood();
    assert_eq!(of(&fixture, "authn_password_refused").await.len(), 3 * most, "a clock set back silences nobody");
}

#[tokio::test]
async fn refusals_wait_for_a_store_that_fails_and_are_no_more_than_an_allowance_meanwhile() {
    let fixture = Fixture::start().await;
    fixture.execute("ALTER TABLE audit_events RENAME TO lost").await;
    for _ in 0..5 {
        for _ in 0..2 * AUDIT.refusals_per_minute {
            let account = AccountId::from_uuid(uuid::Uuid::new_v4());
            fixture.app.note(SecurityEvent::PasswordRefused(account));
        }
        fixture.app.write_audit().await;
        fixture.clock.advance(Duration::from_secs(60));
    }
    fixture.execute("ALTER TABLE lost RENAME TO audit_events").await;
    let mut kept = records(&fixture, &AuditFilter::default()).await;
    kept.retain(|record| record.kid.is_none());
    assert_eq!(kept.len(), AUDIT.refusals_per_minute + 1);
    let times = kept.iter().map(|record| record.times).sum::<u64>();
    assert_eq!(times, u64::try_from(10 * AUDIT.refusals_per_minute).expect("few"));
}

#[tokio::test]
async fn records_are_found_by_account_session_event_and_time_the_latest_of_them_in_their_order() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    fixture.register("bob@example.com").await.expect("registered");
    fixture.clock.advance(SECOND);
    let since = fixture.clock.clock().now();
    fixture.login("bob@example.com", PASSWORD).await.expect("logged in");
    fixture.app.logout(alice.tokens.refresh.expose()).await.expect("ended");
    let names = |filter: AuditFilter| {
        let fixture = &fixture;
        async move { records(fixture, &filter).await.into_iter().map(|record| record.event).collect::<Vec<_>>() }
    };
    let (login, tokens, revoked) = ("authn_login_success", "authn_token_created", "authn_token_revoked");
    let any = AuditFilter::default;
    let account = Some(alice.account.id);
    assert_eq!(names(AuditFilter { account, ..any() }).await, ["user_created", login, tokens, revoked]);
    let session = Some(alice.session.key.session);
    assert_eq!(names(AuditFilter { session, ..any() }).await, [login, tokens, revoked]);
    assert_eq!(names(AuditFilter { event: Some(login.to_owned()), ..any() }).await, [login, login]);
    assert_eq!(names(AuditFilter { since: Some(since), ..any() }).await, [login, tokens, revoked]);
    assert_eq!(names(AuditFilter { account, since: Some(since), ..any() }).await, [revoked]);
    let latest = fixture.app.repository.audit_records(&any(), 2).await.expect("read");
    assert_eq!(latest.into_iter().map(|record| record.event).collect::<Vec<_>>(), [tokens, revoked]);
}

#[tokio::test]
async fn a_record_is_removed_once_it_is_old_enough() {
    let fixture = Fixture::start().await;
    fixture.alice().await;
    let kept = records(&fixture, &AuditFilter::default()).await.len();
    fixture.clock.advance(AUDIT.retention);
    assert!(!fixture.app.clean_up(10).await.expect("no failure"));
    assert_eq!(records(&fixture, &AuditFilter::default()).await.len(), kept, "to the last moment");
    fixture.register("bob@example.com").await.expect("registered");
    fixture.clock.advance(MICROSECOND);
    for _ in 0..kept / 2 {
        assert!(fixture.app.clean_up(2).await.expect("no failure"), "there is more");
    }
    assert!(!fixture.app.clean_up(2).await.expect("no failure"));
    assert_eq!(records(&fixture, &AuditFilter::default()).await.len(), 1, "the young one stays");
}

#[test]
fn what_is_noted_twice_before_it_is_written_is_dated_by_the_first() {
    let audit = Audit::new(AUDIT);
    let at = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    audit.add(SecurityEvent::PasswordQueueFull, at);
    let tallies = audit.take();
    audit.add(SecurityEvent::PasswordQueueFull, at + SECOND);
    audit.put_back(tallies);
    let tallies = audit.take();
    assert_eq!(tallies.iter().map(|tally| (tally.at, tally.times)).collect::<Vec<_>>(), [(at, 2)]);
    assert_eq!(audit.take(), []);
}
