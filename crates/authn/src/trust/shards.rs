//! A map that is cloned for each change of it, cheaply.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

/// Into how many parts the entries are split, so that a change copies a few of them and not all.
const SHARDS: usize = 256;

/// A map in parts that are shared until they are changed.
#[derive(Clone)]
pub(super) struct Shards<V> {
    parts: Vec<Arc<HashMap<Uuid, V>>>,
    len: usize,
}

impl<V> Default for Shards<V> {
    fn default() -> Self {
        let empty = Arc::new(HashMap::new());
        Self { parts: vec![empty; SHARDS], len: 0 }
    }
}

impl<V: Copy> Shards<V> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, id: Uuid) -> Option<V> {
        if self.len == 0 { None } else { self.parts[shard(id)].get(&id).copied() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Uuid, V)> {
        self.parts.iter().flat_map(|part| part.iter().map(|(id, value)| (*id, *value)))
    }

    pub(super) fn update(&mut self, id: Uuid, next: impl FnOnce(Option<V>) -> V) {
        let part = Arc::make_mut(&mut self.parts[shard(id)]);
        let known = part.get(&id).copied();
        self.len += usize::from(known.is_none());
        part.insert(id, next(known));
    }

    pub(super) fn remove_if(&mut self, id: Uuid, is_due: impl FnOnce(&V) -> bool) {
        if self.parts[shard(id)].get(&id).is_some_and(is_due) {
            Arc::make_mut(&mut self.parts[shard(id)]).remove(&id);
            self.len -= 1;
        }
    }
}

/// By the last byte, which is random in every version of UUID that has any randomness.
fn shard(id: Uuid) -> usize {
    usize::from(id.as_bytes()[15]) % SHARDS
}
