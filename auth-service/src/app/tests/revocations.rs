//! What verifiers learn of whatever revokes, and that none of it is done without telling them.

use authn::SessionId;

use super::super::SignOutScope;
use super::super::login::LoggedIn;
use super::*;
use crate::domain::{AccountId, AccountState, Revocation};

/// Everything that revokes.
#[derive(Clone, Copy, Debug)]
enum Act {
    Logout,
    RevokeSession,
    SignOut(SignOutScope),
    Reuse,
    ChangePassword,
    DeleteAccount,
    Disable,
    LoginBeyondTheCap,
}

const ACTS: [Act; 10] = [
    Act::Logout,
    Act::RevokeSession,
    Act::SignOut(SignOutScope::Local),
    Act::SignOut(SignOutScope::Others),
    Act::SignOut(SignOutScope::Global),
    Act::Reuse,
    Act::ChangePassword,
    Act::DeleteAccount,
    Act::Disable,
    Act::LoginBeyondTheCap,
];

/// Somebody on as many devices as may be signed in at once; the first was unused longest.
struct Devices {
    fixture: Fixture,
    devices: Vec<LoggedIn>,
}

impl Devices {
    async fn start() -> Self {
        let fixture = Fixture::start().await;
        fixture.register("alice@example.com").await.expect("registered");
        let mut devices = Vec::new();
        for _ in 0..LIMITS.sessions_per_account {
            fixture.clock.advance(SECOND);
            devices.push(fixture.login("alice@example.com", PASSWORD).await.expect("logged in"));
        }
        Self { fixture, devices }
    }

    fn account(&self) -> AccountId {
        self.devices[0].account.id
    }

    /// Does it from the second device.
    async fn perform(&self, act: Act) -> Result<(), Error> {
        let (fixture, own) = (&self.fixture, &self.devices[1].tokens);
        let app = &fixture.app;
        match act {
            Act::Logout => app.logout(own.refresh.expose()).await,
            Act::RevokeSession => {
                app.revoke_session(&fixture.caller(own).await?, self.devices[3].session.key.session).await
            }
            Act::SignOut(scope) => app.sign_out(&fixture.caller(own).await?, scope).await,
            Act::Reuse => {
                let reuse = async {
                    fixture.refresh(&fixture.refresh(own).await?).await?;
                    fixture.clock.advance(2 * GRACE);
                    fixture.refresh(own).await
                };
                match reuse.await {
                    Err(Error::RefreshTokenReused) => Ok(()),
                    other => other.map(|_| ()),
                }
            }
            Act::ChangePassword => fixture.change_password(own, PASSWORD, "a louder teapot!").await.map(|_| ()),
            Act::DeleteAccount => {
                let password = PresentedPassword::parse(PASSWORD).expect("possible");
                app.delete_account(fixture.caller(own).await?, password).await
            }
            Act::Disable => {
                let now = fixture.clock.clock().now();
                app.repository.disable_account(self.account(), now).await.map(|_| ()).map_err(Error::from)
            }
            Act::LoginBeyondTheCap => fixture.login("alice@example.com", PASSWORD).await.map(|_| ()),
        }
    }

    /// What verifiers are to refuse after it.
    fn expected(&self, act: Act) -> Vec<Revocation> {
        let account = self.account();
        let session = |index: usize| Revocation::Session { account, session: self.id(index) };
        match act {
            Act::Logout | Act::SignOut(SignOutScope::Local) | Act::Reuse => vec![session(1)],
            Act::RevokeSession => vec![session(3)],
            Act::SignOut(SignOutScope::Others) => [0, 2, 3, 4].map(session).to_vec(),
            Act::SignOut(SignOutScope::Global) | Act::ChangePassword | Act::DeleteAccount | Act::Disable => {
                vec![Revocation::Subject { account, minimum_version: 2 }]
            }
            Act::LoginBeyondTheCap => vec![session(0)],
        }
    }

    fn id(&self, index: usize) -> SessionId {
        self.devices[index].session.key.session
    }

    /// What there is of the account and of each of its sessions.
    async fn state(&self) -> (Option<(u64, bool)>, Vec<bool>) {
        let repository = &self.fixture.app.repository;
        let account = repository.find_account(self.account()).await.expect("read");
        let mut live = Vec::new();
        for device in &self.devices {
            let session = repository.find_session(device.session.key).await.expect("read");
            live.push(session.is_some_and(|(session, _)| session.revoked.is_none()));
        }
        (account.map(|account| (account.token_version, account.state == AccountState::Active)), live)
    }
}

#[tokio::test]
async fn whatever_revokes_tells_the_verifiers_and_rings_once_it_is_done() {
    for act in ACTS {
        let devices = Devices::start().await;
        let mut doorbell = devices.fixture.app.repository.trust_changed();
        assert_eq!(devices.fixture.app.repository.revocations().await, [], "nothing was revoked so far");
        devices.perform(act).await.expect("done");
        let mut revocations = devices.fixture.app.repository.revocations().await;
        let mut expected = devices.expected(act);
        // One statement ends several, in no order.
        let by_session = |revocation: &Revocation| match revocation {
            Revocation::Session { session, .. } => Some(session.as_uuid()),
            _ => None,
        };
        revocations.sort_by_key(by_session);
        expected.sort_by_key(by_session);
        assert_eq!(revocations, expected, "{act:?}");
        assert!(doorbell.has_changed().expect("the repository lives"), "{act:?}");
        doorbell.mark_unchanged();
        if matches!(act, Act::Logout | Act::RevokeSession | Act::SignOut(SignOutScope::Others) | Act::Disable) {
            let _ = devices.perform(act).await;
            assert_eq!(devices.fixture.app.repository.revocations().await.len(), expected.len(), "{act:?} twice");
            assert!(!doorbell.has_changed().expect("the repository lives"), "{act:?} twice");
        }
    }
}

#[tokio::test]
async fn nothing_is_revoked_that_the_verifiers_or_the_audit_cannot_be_told() {
    for act in ACTS {
        let devices = Devices::start().await;
        let before = devices.state().await;
        for (lose, find) in [
            ("ALTER TABLE revocations RENAME TO lost", "ALTER TABLE lost RENAME TO revocations"),
            ("ALTER TABLE audit_events RENAME TO lost", "ALTER TABLE lost RENAME TO audit_events"),
        ] {
            devices.fixture.execute(lose).await;
            devices.perform(act).await.expect_err("there is nowhere to tell");
            assert_eq!(devices.state().await, before, "{act:?}");
            devices.fixture.execute(find).await;
        }
        devices.perform(act).await.expect("the allowed twin");
        assert_ne!(devices.state().await, before, "{act:?}");
    }
}

#[tokio::test]
async fn a_disabled_account_yields_nothing_and_goes_on_when_it_is_enabled() {
    let fixture = Fixture::start().await;
    let alice = fixture.alice().await;
    let (repository, id) = (&fixture.app.repository, alice.account.id);
    assert!(!repository.enable_account(id, fixture.clock.clock().now()).await.expect("no failure"), "it is on");
    assert!(repository.disable_account(id, fixture.clock.clock().now()).await.expect("no failure"));
    assert!(!repository.disable_account(id, fixture.clock.clock().now()).await.expect("no failure"), "it is off");
    assert_refused(fixture.refresh(&alice.tokens).await, "AccountDisabled");
    assert_refused(fixture.login("alice@example.com", PASSWORD).await, "CredentialsInvalid");
    assert!(repository.enable_account(id, fixture.clock.clock().now()).await.expect("no failure"));
    assert_refused(fixture.caller(&alice.tokens).await, "TokenRevoked");
    let again = fixture.refresh(&alice.tokens).await.expect("its session was not ended");
    fixture.caller(&again).await.expect("the new tokens are good");
    let nobody = AccountId::from_uuid(uuid::Uuid::new_v4());
    assert!(!repository.disable_account(nobody, fixture.clock.clock().now()).await.expect("no failure"));
    assert_eq!(repository.revocations().await.len(), 1);
}

#[tokio::test]
async fn a_revocation_is_removed_once_no_token_that_it_covers_can_be_good() {
    let devices = Devices::start().await;
    let app = &devices.fixture.app;
    devices.perform(Act::SignOut(SignOutScope::Others)).await.expect("done");
    devices.fixture.clock.advance(Revocation::KEPT);
    assert!(!app.clean_up(10).await.expect("no failure"));
    assert_eq!(app.repository.revocations().await.len(), 4, "to the last moment");
    devices.fixture.clock.advance(MICROSECOND);
    devices.perform(Act::Logout).await.expect("done");
    assert!(app.clean_up(3).await.expect("no failure"), "there is more");
    assert!(app.clean_up(3).await.is_ok_and(|is_more| !is_more));
    assert_eq!(app.repository.revocations().await, devices.expected(Act::Logout), "the young one stays");
}
