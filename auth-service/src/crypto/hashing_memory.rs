use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::{Block, Params};

/// What one allocation holds at least, in blocks: 33 MiB.
///
/// glibc maps what is larger than 32 MiB and gives it back when it is freed; anything smaller may stay with the thread
/// that freed it (mallopt(3), `M_MMAP_THRESHOLD`), and blocking threads are many: 16 of them kept 350 MB after a flood.
/// What is not written to costs addresses, not memory.
const LEAST_CAPACITY: usize = 33 * 1024;

/// The memory of the hashes that are computed: lent to one after the other while they are many, so that it is not made
/// anew for each, and given back when none is left.
#[derive(Default)]
pub(super) struct HashingMemory(Mutex<Free>);

#[derive(Default)]
struct Free {
    lanes: Vec<Lanes>,
    lent: usize,
}

/// The memory of one hash.
#[derive(Default)]
pub(super) struct Lanes(Vec<Block>);

impl HashingMemory {
    /// Lends memory to `work`. Whoever returns the last gives back all.
    pub(super) fn lend<T>(&self, work: impl FnOnce(&mut Lanes) -> T) -> T {
        let mut lanes = {
            let mut free = self.free();
            free.lent += 1;
            free.lanes.pop().unwrap_or_default()
        };
        let returned = Return(self);
        let result = work(&mut lanes);
        self.free().lanes.push(lanes);
        drop(returned);
        result
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a loan as returned, also of work that panicked.
struct Return<'a>(&'a HashingMemory);

impl Drop for Return<'_> {
    fn drop(&mut self) {
        let mut free = self.0.free();
        free.lent -= 1;
        if free.lent == 0 {
            free.lanes.clear();
        }
    }
}

impl Lanes {
    /// As many blocks as these parameters need.
    pub(super) fn blocks(&mut self, params: &Params) -> &mut [Block] {
        let count = params.block_count();
        if self.0.len() < count {
            self.0 = Vec::with_capacity(count.max(LEAST_CAPACITY));
            self.0.resize(count, Block::new());
        }
        &mut self.0[..count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(memory_kib: u32) -> Params {
        Params::new(memory_kib, 1, 1, None).expect("good parameters")
    }

    #[test]
    fn memory_is_lent_again_while_others_work_and_given_back_after_the_last() {
        let memory = HashingMemory::default();
        memory.lend(|_first| {
            let second = memory.lend(|lanes| lanes.blocks(&params(64)).as_ptr());
            assert_eq!(memory.free().lanes.len(), 1, "kept for the next");
            assert_eq!(memory.lend(|lanes| lanes.blocks(&params(32)).as_ptr()), second, "which gets the same");
        });
        assert!(memory.free().lanes.is_empty(), "given back");
    }

    #[test]
    fn memory_is_given_back_though_the_work_panicked() {
        let memory = HashingMemory::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| memory.lend(|_| panic!("on purpose"))));
        assert!(panicked.is_err());
        memory.lend(|lanes| assert_eq!(lanes.blocks(&params(64)).len(), 64));
        assert!(memory.free().lanes.is_empty(), "nobody is counted who has gone");
    }
}
