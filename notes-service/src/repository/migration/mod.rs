//! The schema, one file per step, forward only.

mod dialect;
mod m20261124_000001_create_notes;
mod m20261124_000002_keep_trashes_apart;
mod m20261124_000003_keep_revisions;
mod m20261124_000004_create_tags;
mod m20261124_000005_order_changes;
mod m20261124_000006_index_terms;
mod m20261124_000008_order_tags;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// Every step in its order.
#[derive(Debug)]
pub(super) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_create_notes::Migration),
            Box::new(m20261124_000002_keep_trashes_apart::Migration),
            Box::new(m20261124_000003_keep_revisions::Migration),
            Box::new(m20261124_000004_create_tags::Migration),
            Box::new(m20261124_000005_order_changes::Migration),
            Box::new(m20261124_000006_index_terms::Migration),
            Box::new(m20261124_000008_order_tags::Migration),
        ]
    }
}
