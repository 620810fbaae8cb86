use runtime::config::Reader;

/// How copies follow the notes of their owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// Number of the life of the store; another one makes every copy begin again.
    pub epoch: u64,
}

impl SyncConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let epoch = reader.number(
            "sync.epoch",
            1,
            1..=1 << 40,
            "Raise it after a backup was brought back: copies at clients may have seen what it has not, and begin again.",
        );
        Self { epoch }
    }
}
