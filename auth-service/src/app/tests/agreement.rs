//! What was told of sessions and what they are, at any moment of any story.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::{AccountState, AuditFilter, AuditRecord, Revocation};

/// Asserts that the sessions of the one account there is, what verifiers are to refuse, and the audit say the same.
/// Returns the sessions.
pub(super) async fn assert_agreement(fixture: &Fixture, told: &str) -> Vec<Session> {
    let repository = &fixture.app.repository;
    let sessions = repository.sessions().await;
    let account = repository.find_account(sessions[0].key.account).await.expect("read").expect("it is there");
    let revocations = repository.revocations().await;
    let records = repository.audit_records(&AuditFilter::default(), 100_000).await.expect("read");
    let named = |event: &'static str| records.iter().filter(move |record| record.event == event);

    // The verifiers.
    let mut refused = BTreeMap::<_, usize>::new();
    let mut versions = BTreeSet::from([1]);
    for revocation in &revocations {
        match revocation {
            Revocation::Session { session, .. } => *refused.entry(session.as_uuid()).or_default() += 1,
            Revocation::Subject { minimum_version, .. } => assert!(versions.insert(*minimum_version), "{told}"),
            other => panic!("{other:?}\n{told}"),
        }
    }
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), (1..=account.token_version).collect::<Vec<_>>(), "{told}");
    for session in &sessions {
        let times = refused.get(&session.key.session.as_uuid()).copied().unwrap_or(0);
        let expected = match session.revoked.map(|(_, reason)| reason) {
            None => [0].as_slice(),
            Some(RevokeReason::PasswordChange) => &[0], // the new version of the account is for all of them
            Some(RevokeReason::SignOut) => &[0, 1],     // or everywhere, which is a new version too
            Some(_) => &[1],
        };
        assert!(expected.contains(&times), "{session:?} was refused {times} times\n{told}");
    }

    // The audit.
    assert_eq!(named("authn_login_success").count(), sessions.len(), "{told}");
    let issued = sessions.iter().map(|session| session.generation.number()).sum::<u64>();
    assert_eq!(u64::try_from(named("authn_token_created").count()).expect("few"), issued, "{told}");
    let mut ended = BTreeMap::<_, u64>::new();
    for record in named("authn_token_revoked") {
        *ended.entry(record.reason.clone().expect("a reason")).or_default() += record.sessions.unwrap_or(1);
    }
    let mut revoked = BTreeMap::<_, u64>::new();
    for (_, reason) in sessions.iter().filter_map(|session| session.revoked) {
        *revoked.entry(reason.name().to_owned()).or_default() += 1;
    }
    assert_eq!(ended, revoked, "{told}");
    let is_off = account.state == AccountState::Disabled;
    assert_eq!(named("user_disabled").count(), named("user_enabled").count() + usize::from(is_off), "{told}");
    let of_another = |record: &&AuditRecord| record.account.is_some_and(|account| account != sessions[0].key.account);
    assert_eq!(records.iter().find(of_another), None, "{told}");
    sessions
}
