//! How the engines would carry out a statement, on a store on which a wrong plan would be a bad one.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use runtime::database::Owned;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement, StatementBuilder};

use super::super::owner_state as states;
use super::*;
use crate::domain::TagId;

impl Fixture {
    pub(super) async fn plan(&self, select: impl StatementBuilder + Send + 'static) -> String {
        self.plan_within(self.repository.database.for_owner(Uuid::nil()), select).await
    }

    /// The plan of a statement about the rows of these owners.
    pub(super) async fn plan_within(&self, owned: Owned<'_>, select: impl StatementBuilder + Send + 'static) -> String {
        let read = owned.read(move |connection| {
            Box::pin(async move {
                let Statement { sql, values, db_backend } = connection.get_database_backend().build(&select);
                let explain = match db_backend {
                    DbBackend::Sqlite => "EXPLAIN QUERY PLAN ",
                    _ => "EXPLAIN (COSTS OFF) ",
                };
                let column = if db_backend == DbBackend::Sqlite { 3 } else { 0 };
                let explained = Statement { sql: format!("{explain}{sql}"), values, db_backend };
                let rows = connection.query_all_raw(explained).await?;
                rows.iter().map(|row| row.try_get_by_index::<String>(column)).collect::<Result<Vec<_>, _>>()
            })
        });
        read.await.expect("the store works").join("\n")
    }

    /// So many owners that looking at all of them would be a bad plan.
    async fn many_other_owners(&self) {
        let database = self.past_the_wall().await;
        let work = database.write(|transaction| {
            Box::pin(async move {
                for _ in 0..20 {
                    let state = OwnerState::empty(0);
                    let states = (0..1_000).map(|_| (somebody().as_uuid(), &state));
                    states::save(transaction, states).await?;
                }
                Ok(runtime::database::Outcome::Commit(()))
            })
        });
        work.await.expect("the store works");
    }

    /// An owner with so many notes among others that a wrong plan would be a bad one.
    pub(super) async fn owner_of_many(&self) -> Subject {
        self.owner_of_many_with_a_tag().await.0
    }

    /// The same, and the tag that half of the notes have.
    pub(super) async fn owner_of_many_with_a_tag(&self) -> (Subject, TagId) {
        let (alice, bob) = (somebody(), somebody());
        let tag = self.tag(alice, "hers").await.id;
        for (owner, tag) in [(alice, tag), (bob, self.tag(bob, "his").await.id)] {
            let creations = (0..1_000).map(|index| {
                let tags = if index % 2 == 0 { vec![tag] } else { Vec::new() };
                self.create(owner, NoteFields { tags, ..titled(&format!("{index}")) })
            });
            // No more at once than there are connections, on which they wait for their owner.
            futures_util::stream::iter(creations).buffer_unordered(8).for_each(async |_| {}).await;
        }
        self.many_other_owners().await;
        self.analyze().await;
        (alice, tag)
    }

    pub(super) async fn analyze(&self) {
        let database = self.past_the_wall().await;
        let analyze = database.write(|transaction| {
            Box::pin(async move {
                transaction.execute_unprepared("ANALYZE").await?;
                Ok(runtime::database::Outcome::Commit(()))
            })
        });
        analyze.await.expect("the store works");
    }

    /// A note with a long history, among others of its owner that have one.
    pub(super) async fn note_with_history(&self, owner: Subject) -> NoteId {
        let mut last = None;
        for _ in 0..5 {
            let note = self.create(owner, written("made")).await;
            self.write_versions(owner, note.id, 60).await;
            last = Some(note.id);
        }
        self.analyze().await;
        last.expect("some were made")
    }
}

/// The partitions of a table that a plan of PostgreSQL names, not the aliases that it gives them.
pub(super) fn partitions<'a>(plan: &'a str, table: &str) -> BTreeSet<&'a str> {
    let is_number = |rest: &str| rest.len() == 2 && rest.chars().all(|digit| digit.is_ascii_digit());
    let is_partition = |name: &str| name.strip_prefix(table).is_some_and(is_number);
    let tables = plan.split(" on ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    tables.filter(|name| is_partition(name)).collect()
}
