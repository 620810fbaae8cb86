use tracing::{info, warn};

use crate::domain::SecurityEvent;

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
        SecurityEvent::TokenReused(key, generation) => {
            warn!(
                event = name,
                account.id = %key.account,
                session.id = %key.session,
                generation = generation.number(),
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
        SecurityEvent::PasswordQueueFull => warn!(event = name, "the queue of passwords is full"),
    }
}
