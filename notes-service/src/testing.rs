//! What the tests of several modules need.

use authn::Subject;

/// Somebody who has never been here.
pub(crate) fn somebody() -> Subject {
    authn::testing::subject()
}
