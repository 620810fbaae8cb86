//! Logs: lines of text on a terminal, else one JSON object a line, on standard output.
//!
//! Our own crates log at the level that is set, libraries never below `info`: their finest words could hold what callers
//! sent. A sink that does not read stops nobody: lines are dropped and counted.

use std::io::{BufWriter, IsTerminal as _};
use std::sync::OnceLock;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::Reader;

/// The crates whose words are ours.
const OURS: [&str; 5] = ["auth_service", "authn", "notes_service", "runtime", "standalone"];
/// Lines that may wait for the sink.
const WAITING_LINES: usize = 8_192;
/// What waits is written together, up to so many bytes at a time, and at once when no more waits.
const SINK_BYTES: usize = 64 * 1024;

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// How to log.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    level: LevelFilter,
    format: &'static str,
}

impl LogConfig {
    /// Reads `log.level` and `log.format`.
    pub fn read(reader: &mut Reader) -> Self {
        let level = reader.choice(
            "log.level",
            "info",
            &["off", "error", "warn", "info", "debug", "trace"],
            "How much is logged; `info` has one line per call.",
        );
        let format = reader.choice(
            "log.format",
            "auto",
            &["auto", "text", "json"],
            "Lines of text, or one JSON object a line; `auto` is text on a terminal.",
        );
        Self { level: level.parse().expect("each word is a level"), format }
    }
}

/// Begins to log. What waits is written when the guard is dropped.
#[must_use = "the log ends with its guard"]
pub fn start(config: LogConfig) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .finish(BufWriter::with_capacity(SINK_BYTES, std::io::stdout()));
    DROPPED.get_or_init(|| writer.error_counter());
    let filter = Targets::new().with_default(config.level.min(LevelFilter::INFO));
    let filter = OURS.iter().fold(filter, |filter, crate_name| filter.with_target(*crate_name, config.level));
    let layer = if config.format == "json" || (config.format == "auto" && !std::io::stdout().is_terminal()) {
        json(writer).boxed()
    } else {
        fmt::layer().with_writer(writer).with_ansi(std::io::stdout().is_terminal()).boxed()
    };
    // The text of a panic may hold what callers sent; where it happened is enough to find it.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "a thread panicked");
    }));
    // A second start in one process, as tests do, keeps the first.
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().ok();
    guard
}

fn json<S>(writer: NonBlocking) -> impl tracing_subscriber::Layer<S> + Send + Sync
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(writer)
}

/// How many lines were dropped since the start.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| u64::try_from(counter.dropped_lines()).unwrap_or(u64::MAX))
}
