//! The schema, step by step: forward only, one file each, the same SQL on both engines where they agree.

use sea_orm_migration::prelude::*;

mod m0001_make_accounts;
mod m0002_make_email_claims;
mod m0003_make_sessions;
mod m0004_make_outbox;
mod m0005_index_by_account;
mod m0006_make_signing_keys;
mod m0007_make_revocations;
mod m0008_make_audit_events;

/// Brings the store of this service up to date.
#[derive(Debug)]
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_make_accounts::Migration),
            Box::new(m0002_make_email_claims::Migration),
            Box::new(m0003_make_sessions::Migration),
            Box::new(m0004_make_outbox::Migration),
            Box::new(m0005_index_by_account::Migration),
            Box::new(m0007_make_revocations::Migration),
            Box::new(m0008_make_audit_events::Migration),
            // Comes last, for stores that have had those after its number.
            Box::new(m0006_make_signing_keys::Migration),
        ]
    }
}
