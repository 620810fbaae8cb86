//! Rows as they are stored. Nothing outside the repository sees one.

pub(super) mod account;
pub(super) mod audit_event;
pub(super) mod email_claim;
pub(super) mod outbox;
pub(super) mod revocation;
pub(super) mod session;
pub(super) mod signing_key;
pub(super) mod signing_key_turn;
