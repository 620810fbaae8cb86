//! The command line that both services share: `serve` (default), `migrate`, `health`, `descriptors`, `--config FILE`,
//! `--check-config`, `--print-config`.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;

use authn::Clock;

use crate::config::Reader;

/// A service that can be configured, built and run.
pub trait Service: Sized + Send + 'static {
    /// Name of the program: `notes-service`.
    const NAME: &'static str;
    /// Prefix of its environment variables: `NOTES_SERVICE`.
    const PREFIX: &'static str;
    /// Its settings.
    type Config: Clone + Send + Sync + 'static;

    /// Reads the settings.
    fn read_config(reader: &mut Reader) -> Self::Config;

    /// Makes every dependency, once, and binds the listeners.
    fn build(
        config: Self::Config,
        clock: Clock,
    ) -> impl Future<Output = Result<Self, Box<dyn Error + Send + Sync>>> + Send;

    /// Brings the store's schema up to date and returns.
    fn migrate(config: Self::Config) -> impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send;

    /// Every bound listener, by the name of what it serves: `notes`, `operations`.
    fn listeners(&self) -> Vec<(&'static str, SocketAddr)>;

    /// Serves until `shutdown` resolves and everything has drained.
    fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send;
}

/// The `main` of a service binary.
#[must_use]
pub fn main<S: Service>() -> ExitCode {
    todo!()
}
