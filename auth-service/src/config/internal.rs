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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "thirty-two-bytes-that-nobody-else-knows";

    fn read(environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| (format!("AUTH_SERVICE_{name}"), (*value).to_owned()));
        let mut reader = Reader::new("AUTH_SERVICE", None, environment).expect("there is no file");
        let config = Config::read(&mut reader);
        reader.finish().map(|()| config).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_refused(environment: &[(&str, &str)], key: &str) {
        let refused = read(environment).map(|_| ()).expect_err("a mistake");
        assert!(refused.contains(key), "{refused}");
        assert!(environment.iter().all(|(_, value)| value.len() < 8 || !refused.contains(value)), "{refused}");
    }

    #[test]
    fn the_internal_listener_is_private_and_off_without_a_credential() {
        let config = read(&[]).expect("good");
        assert!(config.internal.credential.is_none());
        assert_eq!(config.internal.listen.to_string(), "127.0.0.1:50071");
        assert!(read(&[("INTERNAL_CREDENTIAL", GOOD)]).expect("good").internal.credential.is_some());
    }

    #[test]
    fn a_credential_that_can_be_guessed_or_not_be_sent_is_refused() {
        check_refused(&[("INTERNAL_CREDENTIAL", "short")], "internal.credential");
        let with_spaces = "thirty-two bytes that nobody else knows";
        check_refused(&[("INTERNAL_PREVIOUS_CREDENTIAL", with_spaces)], "internal.previous_credential");
        read(&[("INTERNAL_CREDENTIAL", GOOD), ("INTERNAL_PREVIOUS_CREDENTIAL", GOOD)]).expect("good");
    }

    #[test]
    fn a_revocation_may_turn_up_later_than_any_transaction_lasts() {
        let overlap = ("TRUST_OVERLAP", "10s");
        check_refused(&[overlap, ("DATABASE_WORK_TIMEOUT", "10s")], "trust.overlap");
        read(&[overlap, ("DATABASE_WORK_TIMEOUT", "9s")]).expect("good");
    }
}
