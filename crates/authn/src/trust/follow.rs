//! The background task that keeps a key set fresh.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use super::fetch::{Fetcher, MAX_TIMEOUT, root_cause};
use super::state::Shared;
use super::{PublicKey, TrustError};
use crate::Clock;

const MIN_COOLDOWN: Duration = Duration::from_secs(10);

/// Between the first attempts to get a first set; doubles up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// How a key set is fetched.
#[derive(Clone, Debug)]
pub struct JwksConfig {
    /// The URL of the key set; the only address that is ever asked. `https`, or `http` where the network is trusted.
    pub url: String,
    /// Least time between two fetches, at least 10 s, which is the default.
    pub cooldown: Duration,
    /// How long a key set is used before it is fetched again; 5 min by default. So long at most, and a cooldown, is a key
    /// still trusted that was taken out of the set.
    pub refresh_interval: Duration,
    /// Longest time for one fetch, at most 3 s, which is the default.
    pub timeout: Duration,
    /// PEM certificates to trust instead of the platform's, for `https`.
    pub ca_pem: Option<Vec<u8>>,
}

impl JwksConfig {
    /// Fetches from `url`, with the defaults otherwise.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            cooldown: MIN_COOLDOWN,
            refresh_interval: Duration::from_secs(300),
            timeout: MAX_TIMEOUT,
            ca_pem: None,
        }
    }

    fn check(&self) -> Result<(), TrustError> {
        if self.cooldown < MIN_COOLDOWN {
            return Err(TrustError::Setting("the cooldown between two fetches of the key set must be at least 10 s"));
        }
        if self.refresh_interval < self.cooldown {
            return Err(TrustError::Setting("the refresh interval of the key set is shorter than its cooldown"));
        }
        if self.timeout.is_zero() || self.timeout > MAX_TIMEOUT {
            return Err(TrustError::Setting("the time for one fetch of the key set must be above 0 and at most 3 s"));
        }
        Ok(())
    }
}

pub(super) fn start(config: JwksConfig, clock: Clock, shared: Arc<Shared>) -> Result<AbortHandle, TrustError> {
    let follower = Follower::new(config, clock, shared)?;
    let runtime = Handle::try_current().map_err(|_| TrustError::Setting("a key set is followed in a Tokio runtime"))?;
    Ok(runtime.spawn(async move { follower.follow().await }).abort_handle())
}

/// Keeps the keys of what is in force fresh.
pub(super) struct Follower {
    config: JwksConfig,
    clock: Clock,
    fetcher: Fetcher,
    shared: Arc<Shared>,
}

impl Follower {
    /// # Errors
    /// If the configuration cannot work.
    pub(super) fn new(config: JwksConfig, clock: Clock, shared: Arc<Shared>) -> Result<Self, TrustError> {
        config.check()?;
        let fetcher = Fetcher::new(&config)?;
        Ok(Self { config, clock, fetcher, shared })
    }

    /// Waits until a fetch that begins now would have cooled down.
    pub(super) async fn cool_down(&self) {
        self.clock.sleep(self.config.cooldown).await;
    }

    /// Fetches for ever, one at a time. All waits begin when a fetch begins, so they bound how often one does.
    pub(super) async fn follow(&self) {
        let mut retry = FIRST_RETRY;
        let mut failing = false;
        loop {
            let retry_due = self.clock.sleep(jittered(retry));
            let cooled_down = self.clock.sleep(self.config.cooldown);
            let refresh_due = self.clock.sleep(jittered(self.config.refresh_interval).max(self.config.cooldown));
            match self.fetcher.fetch().await {
                Ok(keys) => {
                    self.take(keys, failing);
                    failing = false;
                    tokio::select! {
                        () = refresh_due => {}
                        // What is asked for during the cooldown is kept until its end.
                        () = async { cooled_down.await; self.shared.wanted.notified().await } => {}
                    }
                }
                Err(error) => {
                    self.keep(&error, failing);
                    failing = true;
                    if self.shared.load().is_ready() {
                        cooled_down.await;
                    } else {
                        retry_due.await;
                        retry = (retry * 2).min(LONGEST_RETRY);
                    }
                }
            }
        }
    }

    fn take(&self, keys: Vec<PublicKey>, was_failing: bool) {
        if was_failing || !self.shared.load().is_ready() {
            info!(keys = keys.len(), "the key set has come");
        }
        self.shared.replace_keys(keys);
        let now = self.clock.now();
        self.shared.status.send_modify(|status| {
            status.fetched += 1;
            status.last_fetched_at = Some(now);
        });
    }

    fn keep(&self, error: &TrustError, was_failing: bool) {
        let cause = root_cause(error);
        if was_failing {
            debug!(cause, "still cannot fetch the key set");
        } else {
            warn!(cause, "cannot fetch the key set; what is in force stays");
        }
        self.shared.status.send_modify(|status| status.failed += 1);
    }
}

/// Between 80 and 100 % of `duration`, so that verifiers that started together do not ask together for ever.
pub(super) fn jittered(duration: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness there is no jitter, and no harm.
    let share = if rand::fill(&mut random).is_ok() { u32::from(random[0]) } else { 0 };
    duration - duration / 5 * share / 255
}
