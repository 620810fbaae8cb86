//! The one way past the owners: a walk over who has something to be removed for good. It tells nothing of them but that,
//! and what it hands out opens nothing but that removal.

use std::time::SystemTime;

use runtime::database::{DatabaseError, from_micros};
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query, SelectStatement};
use uuid::Uuid;

use super::NoteRepository;
use super::entity::owner_state::{Column as Field, Entity};
use super::rows::{self, Column};

const COLUMNS: [Column; 2] = [Column::Binary("owner_id"), Column::Plain("purge_due_us")];

/// The table that the walk reads.
pub(super) const TABLE: &str = "owner_state";
/// What it reads of it, and nothing else.
pub(super) const WALKED: [&str; 2] = [COLUMNS[0].name(), COLUMNS[1].name()];
/// How many owners one step of the walk looks at.
const STEP: u16 = 1_000;

/// An owner with something to be removed for good.
#[derive(Clone, Copy, Debug)]
pub struct DueOwner(Uuid);

/// How far the walk has come.
#[derive(Clone, Copy, Debug)]
pub struct Place(Uuid);

/// One step of the walk.
#[derive(Debug)]
pub struct DueOwners {
    /// Those of the step who have something to be removed.
    pub owners: Vec<DueOwner>,
    /// Where the next step begins; none at the end.
    pub next: Option<Place>,
}

impl DueOwner {
    pub(super) const fn id(self) -> Uuid {
        self.0
    }
}

impl NoteRepository {
    /// Looks at the next owners after `after`, all in the order of their ids, for those with something to be removed for
    /// good by `now`.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn due_owners(&self, after: Option<Place>, now: SystemTime) -> Result<DueOwners, DatabaseError> {
        let select = select(after);
        let read = self.database.for_walk().read(move |connection| {
            Box::pin(async move {
                let rows = rows::fetch_all(connection, select, &COLUMNS).await?;
                let owners: Result<Vec<_>, _> =
                    rows.iter().map(|row| Ok((row.uuid(0)?, row.optional_integer(1)?.map(from_micros)))).collect();
                owners
            })
        });
        let looked_at = read.await?;
        let last = looked_at.last().filter(|_| looked_at.len() == usize::from(STEP));
        let next = last.map(|(owner, _)| Place(*owner));
        let due = looked_at.into_iter().filter(|(_, due)| due.is_some_and(|due| due <= now));
        Ok(DueOwners { owners: due.map(|(owner, _)| DueOwner(owner)).collect(), next })
    }
}

/// A range of the primary key, so that a step costs the same whoever has something to be removed.
pub(super) fn select(after: Option<Place>) -> SelectStatement {
    let mut select = Query::select();
    for column in COLUMNS {
        select.column(column.name());
    }
    select.from(Entity).order_by(Field::OwnerId, Order::Asc).limit(STEP.into());
    if let Some(Place(owner)) = after {
        select.and_where(Expr::col(Field::OwnerId).gt(owner));
    }
    select
}
