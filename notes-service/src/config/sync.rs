use std::time::Duration;

use runtime::config::Reader;

use crate::app::WatchLimits;

/// Longest time without a message on a stream, whatever the settings say: proxies cut what is silent for a minute.
pub const CHECKPOINT_INTERVAL_MAX: Duration = Duration::from_secs(20);
/// Default of `watch.streams_per_owner`.
pub const WATCH_STREAMS: u64 = 10;

/// How copies follow the notes of their owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// Number of the life of the store; another one makes every copy begin again.
    pub epoch: u64,
    /// How notes are watched.
    pub watch: WatchLimits,
}

impl SyncConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let epoch = reader.number(
            "sync.epoch",
            1,
            1..=1 << 40,
            "Raise it after a backup was brought back: copies at clients may have seen what it has not, and begin again.",
        );
        let checkpoint_interval = reader.duration(
            "watch.checkpoint_interval",
            Duration::from_secs(15),
            Duration::from_secs(1)..=CHECKPOINT_INTERVAL_MAX,
            "Longest time without a message on a stream of WatchNotes; a browser has no other sign of life.",
        );
        let streams = reader.number(
            "watch.streams_per_owner",
            WATCH_STREAMS,
            1..=1_000,
            "Streams of WatchNotes of one caller at the same time; more are RESOURCE_EXHAUSTED `WATCH_LIMIT`.",
        );
        let streams_per_owner = usize::try_from(streams).expect("the bounds fit a size");
        Self { epoch, watch: WatchLimits { checkpoint_interval, streams_per_owner } }
    }
}
