//! What the tests of several modules need.

use authn::Subject;

/// Somebody who has never been here.
pub(crate) fn somebody() -> Subject {
    authn::testing::subject()
}

/// An error of the database driver with these words.
pub(crate) fn driver_error(words: &str) -> sea_orm::DbErr {
    sea_orm::DbErr::Custom(words.to_owned())
}
