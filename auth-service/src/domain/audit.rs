use std::time::SystemTime;

use authn::SessionId;

use super::{AccountId, SecurityEvent};

/// A fact that nothing in the store was changed by, as often as it happened within a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// What happened.
    pub event: SecurityEvent,
    /// When for the first time.
    pub at: SystemTime,
    /// How often.
    pub times: u64,
}

/// What the store has kept of a security event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When it happened; for the first time, if it was more than once.
    pub at: SystemTime,
    /// Its name, one of [`SecurityEvent::NAMES`] unless another version of the service wrote it.
    pub event: String,
    /// Whose account it was about.
    pub account: Option<AccountId>,
    /// Which session.
    pub session: Option<SessionId>,
    /// Which generation of the session's tokens.
    pub generation: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// How many sessions were ended at once.
    pub sessions: Option<u64>,
    /// Which signing key.
    pub kid: Option<String>,
    /// How often it happened within a few seconds.
    pub times: u64,
}

/// Which records are asked for. What is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// With this name.
    pub event: Option<String>,
    /// Not before this moment.
    pub since: Option<SystemTime>,
}
