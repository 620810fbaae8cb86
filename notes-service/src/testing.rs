//! What the tests of several modules need.

use authn::Subject;
use runtime::database::{DatabaseConfig, Role};
use runtime::testing::Store;

use crate::config::ROLE;
use crate::repository::row_security;

use crate::domain::{NoteFilter, Order, PageQuery, PageSize, View};

/// Somebody who has never been here.
pub(crate) fn somebody() -> Subject {
    authn::testing::subject()
}

/// The first page of a list in this order.
pub(crate) fn list_in(order: Order) -> PageQuery {
    let size = PageSize::parse(0).expect("the default");
    PageQuery { order, show_deleted: false, filter: NoteFilter::default(), view: View::Basic, size, after: None }
}

/// The settings for a store as the service has them by itself.
pub(crate) fn config(store: &Store) -> DatabaseConfig {
    DatabaseConfig { row_security: Role::parse(ROLE).map(row_security), ..store.config() }
}

/// An error of the database driver with these words.
pub(crate) fn driver_error(words: &str) -> sea_orm::DbErr {
    sea_orm::DbErr::Custom(words.to_owned())
}

/// Numbers that look random and are the same in every run (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).expect("few sides")).expect("below `sides`")
    }
}
