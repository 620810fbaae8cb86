//! The command line that all programs share: `serve` (default), `migrate`, `health`, `descriptors`, `--config FILE`,
//! `--check-config`, `--print-config`.

mod health;
mod signals;

use std::error::Error;
use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use authn::Clock;
use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::causes::Causes;
use crate::config::{ConfigError, Reader};
use crate::telemetry::{self, LogConfig};

type BoxError = Box<dyn Error + Send + Sync>;

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
    fn build(config: Self::Config, clock: Clock) -> impl Future<Output = Result<Self, BoxError>> + Send;

    /// Brings the store's schema up to date and returns.
    fn migrate(config: Self::Config) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Every bound listener, by the name of what it serves: `notes`, `operations`.
    fn listeners(&self) -> Vec<(&'static str, SocketAddr)>;

    /// Where its operations listener is by its settings; `health` asks there.
    fn operations_address(config: &Self::Config) -> SocketAddr;

    /// What to show a person who started the program at a terminal.
    fn greeting(&self) -> Option<String> {
        None
    }

    /// Serves until `shutdown` resolves and everything has drained.
    fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send;
}

#[derive(Debug, Parser)]
struct Arguments {
    /// TOML file of settings; variables of the environment are above it.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Reads the settings, names every mistake, and exits.
    #[arg(long)]
    check_config: bool,
    /// Prints the settings in force as TOML, with their origin and without secrets, and exits.
    #[arg(long, conflicts_with = "check_config")]
    print_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT; a second one exits at once. The default.
    Serve,
    /// Brings the store's schema up to date and exits.
    Migrate,
    /// Asks a running process, at its operations listener, whether it lives; exits with 0 if so.
    Health {
        /// Asks whether it is ready instead.
        #[arg(long)]
        ready: bool,
        /// The operations listener, in place of the settings' address.
        #[arg(long, value_name = "ADDRESS:PORT")]
        address: Option<SocketAddr>,
    },
    /// Writes the contracts as an encoded google.protobuf.FileDescriptorSet, for clients where reflection is off.
    Descriptors {
        /// Where to write; standard output by default.
        file: Option<PathBuf>,
    },
}

/// The `main` of a program.
#[must_use]
pub fn main<S: Service>() -> ExitCode {
    let command = <Arguments as clap::CommandFactory>::command().name(S::NAME).bin_name(S::NAME);
    let matches = command.version(env!("CARGO_PKG_VERSION")).get_matches();
    let done = Arguments::from_arg_matches(&matches).map_err(Into::into).and_then(run::<S>);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where the log goes a person may not look.
            writeln!(std::io::stderr(), "{}: {}", S::NAME, Causes(&*error)).ok();
            ExitCode::FAILURE
        }
    }
}

fn run<S: Service>(arguments: Arguments) -> Result<(), BoxError> {
    let mut reader = read_settings::<S>(arguments.config.as_deref())?;
    let log = LogConfig::read(&mut reader);
    let config = S::read_config(&mut reader);
    let printed = reader.print();
    reader.finish()?;
    if arguments.check_config {
        return Ok(());
    }
    if arguments.print_config {
        return Ok(std::io::stdout().write_all(printed.as_bytes())?);
    }
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::<S>(config, log),
        Command::Migrate => {
            let _log = telemetry::start(log);
            executor()?.block_on(S::migrate(config))
        }
        Command::Health { ready, address } => {
            let path = if ready { "/readyz" } else { "/livez" };
            executor()?.block_on(health::ask(address.unwrap_or_else(|| S::operations_address(&config)), path))
        }
        Command::Descriptors { file: Some(file) } => Ok(std::fs::write(file, descriptors())?),
        Command::Descriptors { file: None } => Ok(std::io::stdout().write_all(&descriptors())?),
    }
}

fn read_settings<S: Service>(file: Option<&std::path::Path>) -> Result<Reader, BoxError> {
    let text = match file {
        Some(path) => {
            Some(std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?)
        }
        None => None,
    };
    Reader::new(S::PREFIX, text.as_deref(), environment()).map_err(|error: ConfigError| error.into())
}

/// The environment, for a [`Reader`].
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn serve<S: Service>(config: S::Config, log: LogConfig) -> Result<(), BoxError> {
    let _log = telemetry::start(log);
    // Each connection is an open file, and many systems begin with a limit of 1,024 that may be raised.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(error = %error, "the limit of open files stays as it is");
    }
    let executor = executor()?;
    executor.block_on(async {
        let shutdown = signals::shutdown()?;
        let service = S::build(config, Clock::system()).await?;
        for (name, address) in service.listeners() {
            tracing::info!(listener = name, "listening {address}");
        }
        if let Some(greeting) = service.greeting() {
            writeln!(std::io::stderr(), "{greeting}").ok();
        }
        service.serve(shutdown).await;
        Ok(())
    })
}

/// Our contracts and those of the details of errors. Two encoded messages, one after the other, are their union; decoded
/// and encoded again they would lose the options that prost does not know.
fn descriptors() -> Vec<u8> {
    [proto::FILE_DESCRIPTOR_SET, tonic_types::pb::FILE_DESCRIPTOR_SET].concat()
}

fn executor() -> Result<tokio::runtime::Runtime, BoxError> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
