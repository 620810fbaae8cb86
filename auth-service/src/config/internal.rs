//! What is for other services: their listener, and how soon they learn what is revoked.

use std::net::SocketAddr;
use std::time::Duration;

use runtime::config::{Reader, Secret};

use super::Config;
use crate::app::TrustPace;

const SECOND: Duration = Duration::from_secs(1);

/// Fewest bytes of a credential.
const LEAST_BYTES: usize = 32;

/// The listener for other services.
#[derive(Clone, Debug)]
pub(crate) struct InternalConfig {
    /// Where it is.
    pub(crate) listen: SocketAddr,
    /// What callers must show; without it there is no such listener.
    pub(crate) credential: Option<Secret>,
    /// What they may show too, while that is being replaced.
    pub(crate) previous_credential: Option<Secret>,
}

impl InternalConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let config = Self {
            listen: reader.address(
                "internal.listen",
                "127.0.0.1:50071",
                "Where verifiers follow keys and revocations: keep it private.",
            ),
            credential: reader.secret(
                "internal.credential",
                None,
                "What verifiers must show there, at least 32 random bytes as visible ASCII. Without it that listener is off.",
            ),
            previous_credential: reader.secret(
                "internal.previous_credential",
                None,
                "A credential that is accepted beside it, while it is being replaced.",
            ),
        };
        for (key, secret) in
            [("internal.credential", &config.credential), ("internal.previous_credential", &config.previous_credential)]
        {
            let is_good = |text: &str| text.len() >= LEAST_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
            if secret.as_ref().is_some_and(|secret| !is_good(secret.expose())) {
                reader.refuse(key, "must have at least 32 bytes of visible ASCII");
            }
        }
        config
    }
}

pub(super) fn trust_pace(reader: &mut Reader) -> TrustPace {
    TrustPace {
        interval: reader.duration(
            "trust.poll_interval",
            Duration::from_millis(200),
            Duration::from_millis(10)..=10 * SECOND,
            "How often keys and revocations that other replicas have written are looked for.",
        ),
        overlap: reader.duration(
            "trust.overlap",
            20 * SECOND,
            SECOND..=600 * SECOND,
            "How long a revocation may turn up late: longer than the longest transaction of any replica, which is \
             `database.work_timeout`.",
        ),
    }
}

/// What turns up after the overlap would never be seen.
pub(super) fn check_overlap(reader: &mut Reader, config: &Config) {
    if config.trust.overlap <= config.database.work_timeout {
        reader.refuse("trust.overlap", "must be longer than database.work_timeout, or a revocation could be missed");
    }
}
