use tracing::{info, warn};

use crate::domain::{AccountId, RevokeReason, SecurityEvent};

/// Writes one structured event: its name, and ids of accounts and sessions, never what a person typed.
pub(super) fn record(event: &SecurityEvent) {
    let name = event.name();
    match *event {
        SecurityEvent::AccountCreated(account) => {
            info!(event = name, account.id = %account, "registered account {account}");
        }
        SecurityEvent::LoginSucceeded(key) => {
            info!(event = name, account.id = %key.account, session.id = %key.session, "account {} logged in", key.account);
        }
        SecurityEvent::LoginFailed(account, failure) => {
            let account = account.map(tracing::field::display);
            warn!(event = name, account.id = account, reason = failure.name(), "refused a login");
        }
        SecurityEvent::TokenCreated(key, generation) => {
            info!(
                event = name,
                account.id = %key.account,
                session.id = %key.session,
                generation = generation.number(),
                "issued tokens of session {}",
                key.session
            );
        }
        SecurityEvent::ResponseLost(key, generation) => {
            info!(
                event = name,
                account.id = %key.account,
                session.id = %key.session,
                generation = generation.number(),
                "issued tokens of session {} again, for their answer was lost",
                key.session
            );
        }
        SecurityEvent::TokenReused(key, generation, reuse) => {
            warn!(
                event = name,
                account.id = %key.account,
                session.id = %key.session,
                generation = generation.number(),
                reason = reuse.name(),
                "a spent refresh token of session {} came back",
                key.session
            );
        }
        SecurityEvent::TokenAhead(key, generation) => {
            warn!(
                event = name,
                account.id = %key.account,
                session.id = %key.session,
                generation = generation.number(),
                "a refresh token is newer than its session {}: was the store set back?",
                key.session
            );
        }
        SecurityEvent::TokenRevoked(key, reason) => {
            info!(
                event = name,
                account.id = %key.account,
                session.id = %key.session,
                reason = reason.name(),
                "revoked session {}",
                key.session
            );
        }
        SecurityEvent::SessionsRevoked(account, reason, count) => {
            info!(
                event = name,
                account.id = %account,
                sessions = count,
                reason = reason.name(),
                "revoked {count} sessions of account {account}"
            );
        }
        SecurityEvent::PasswordRefused(account) => {
            warn!(event = name, account.id = %account, "refused a password of account {account}");
        }
        SecurityEvent::PasswordChanged(account) => {
            info!(event = name, account.id = %account, "changed the password of account {account}");
        }
        SecurityEvent::AccountUpdated(account) => {
            info!(event = name, account.id = %account, "updated account {account}");
        }
        SecurityEvent::AccountDeleted(account) => {
            info!(event = name, account.id = %account, "deleted account {account}");
        }
        SecurityEvent::AccountDisabled(account) => {
            info!(event = name, account.id = %account, "disabled account {account}");
        }
        SecurityEvent::AccountEnabled(account) => {
            info!(event = name, account.id = %account, "enabled account {account}");
        }
        SecurityEvent::KeyCreated(id) => info!(event = name, key.id = %id, "made signing key {id}"),
        SecurityEvent::KeyActivated(id) => info!(event = name, key.id = %id, "signing key {id} signs from now on"),
        SecurityEvent::KeyRetired(id) => info!(event = name, key.id = %id, "signing key {id} signs no more"),
        SecurityEvent::KeyRevoked(id) => warn!(event = name, key.id = %id, "revoked signing key {id}"),
        SecurityEvent::AuditOverflow => warn!(event = name, "more is refused than the audit keeps one by one"),
        SecurityEvent::PasswordQueueFull => warn!(event = name, "the queue of passwords is full"),
    }
}

/// Writes that sessions of an account were ended at once, if there were any.
pub(super) fn ended(account: AccountId, reason: RevokeReason, sessions: u64) {
    if sessions > 0 {
        record(&SecurityEvent::SessionsRevoked(account, reason, sessions));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::Level;

    use super::super::testing::{Fixture, GRACE, PASSWORD};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("UTF-8")
        }

        /// The events, each as its name, account, session and reason.
        fn events(&self) -> Vec<[String; 4]> {
            let text = self.text();
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
            let fields = ["event", "account.id", "session.id", "reason"];
            lines
                .filter(|line| !line["event"].is_null())
                .map(|line| fields.map(|field| line[field].as_str().unwrap_or_default().to_owned()))
                .collect()
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn every_fact_leaves_its_event_and_no_secret_leaves_a_trace() {
        let fixture = Fixture::start().await;
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        // While there is one subscriber in the process, a thread without it may decide for all that an event is of no
        // interest to anybody; a second one stops that.
        let _second = tracing::Dispatch::new(tracing_subscriber::registry());
        let recording = tracing::subscriber::set_default(subscriber);
        let alice = fixture.alice().await;
        let _ = fixture.login("alice@example.com", "a loud teapot!").await;
        let _ = fixture.login("nobody@example.com", PASSWORD).await;
        let second = fixture.refresh(&alice.tokens).await.expect("rotated");
        let third = fixture.refresh(&second).await.expect("rotated");
        fixture.clock.advance(2 * GRACE);
        let _ = fixture.refresh(&alice.tokens).await;
        let other = fixture.login("alice@example.com", PASSWORD).await.expect("logged in");
        fixture.app.logout(other.tokens.refresh.expose()).await.expect("ended");
        drop(recording);

        let account = alice.account.id.to_string();
        let (session, another) = (alice.session.key.session.to_string(), other.session.key.session.to_string());
        let (account, session, another) = (account.as_str(), session.as_str(), another.as_str());
        assert_eq!(
            log.events(),
            [
                ["user_created", account, "", ""],
                ["authn_login_success", account, session, ""],
                ["authn_token_created", account, session, ""],
                ["authn_login_fail", account, "", "wrong_password"],
                ["authn_login_fail", "", "", "unknown_email"],
                ["authn_token_created", account, session, ""],
                ["authn_token_created", account, session, ""],
                ["authn_token_revoked", account, session, "reuse"],
                ["authn_token_reuse", account, session, "stale_lineage"],
                ["authn_login_success", account, another, ""],
                ["authn_token_created", account, another, ""],
                ["authn_token_revoked", account, another, "logout"],
            ]
        );
        let (mut logged, mut kept) = (log.events(), fixture.audit().await);
        logged.sort();
        kept.sort();
        assert_eq!(kept, logged, "the audit has what the log has");
        let text = log.text();
        for secret in [
            PASSWORD,
            "a loud teapot!",
            "example.com",
            "Alice",
            "laptop",
            "argon2id",
            alice.tokens.access.as_str(),
            alice.tokens.refresh.expose(),
            second.refresh.expose(),
            third.refresh.expose(),
        ] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}
