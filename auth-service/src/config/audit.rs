use std::time::Duration;

use runtime::config::Reader;

use crate::app::AuditSettings;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is kept of security events, beside the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditConfig {
    pub(crate) settings: AuditSettings,
    pub(crate) tokens: bool,
}

impl AuditConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let retention = reader.duration(
            "audit.retention",
            90 * DAY,
            DAY..=3650 * DAY,
            "How long an audit record is kept before it may be removed for good.",
        );
        let refusals_per_minute = reader.number(
            "audit.refusals_per_minute",
            300,
            1..=100_000,
            "How many different refusals of a minute each process keeps one by one in the audit; it counts the others.",
        );
        let tokens = reader.flag(
            "audit.tokens",
            false,
            "Whether every rotation and the tokens of every login leave an audit record too: a row each few minutes for \
             each client in use.",
        );
        let refusals_per_minute = usize::try_from(refusals_per_minute).unwrap_or(usize::MAX);
        Self { settings: AuditSettings { retention, refusals_per_minute }, tokens }
    }
}
