use std::sync::Arc;
use std::time::SystemTime;

use super::revocations::Revoked;
use super::state::{KeySet, Shared};

/// The other end of a [`Trust`](super::Trust) that is fed by the service of the same process: what goes in here is in
/// force at once.
///
/// A verifier of that [`Trust`](super::Trust) is not ready before the first [`TrustFeed::replace`] with a key.
pub struct TrustFeed(pub(super) Arc<Shared>);

impl TrustFeed {
    /// Takes the place of everything that was in force. `as_of` is the moment of what is told here: everything that was
    /// revoked before is among `revoked`.
    pub fn replace(&self, keys: &KeySet, revoked: &[Revoked], as_of: SystemTime) {
        self.0.replace(keys, revoked, as_of);
        self.0.set_live(true);
    }

    /// Adds revocations to those in force, and takes `keys` in place of all keys if there are any.
    pub fn extend(&self, keys: Option<&KeySet>, revoked: &[Revoked], as_of: SystemTime) {
        self.0.extend(keys, revoked, as_of);
    }

    /// Says that nothing has changed by `as_of`.
    pub fn heard(&self, as_of: SystemTime) {
        self.0.heard(as_of);
    }
}

impl std::fmt::Debug for TrustFeed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TrustFeed").finish_non_exhaustive()
    }
}
