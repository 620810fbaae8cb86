//! The operator's command line. It opens the store by the settings of the service, also beside a running one, and needs no
//! other way in: whoever may read the store and its secrets may do all of this anyway.
//!
//! One file per group of verbs. Each yields a table, which is printed for people or, with `--json`, for programs.

mod accounts;
mod audit;
mod keys;
mod sessions;
mod settings;
mod table;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use authn::Clock;
use clap::{Parser, Subcommand};
use runtime::Causes;

use crate::repository::{Repository, RepositoryError};

/// What an operator does to accounts, sessions and keys of the auth service.
///
/// Opens the store by the settings of the service (`AUTH_SERVICE_…`, and the file if there is one), while the service runs
/// or not, on SQLite too. Exits with 0 when it is done, 1 when something failed, 2 when the command is wrong, 3 when
/// there is no such thing.
#[derive(Debug, Parser)]
#[command(name = "authctl", version)]
struct Arguments {
    /// TOML file of settings: that of the auth service, or of `standalone`.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Prints JSON: an array with one object for each row.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks at accounts, switches them off and on.
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Lists and ends sessions.
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Lists the signing keys, has them take turns, and revokes them.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Shows what happened to whose security, in the order in which it happened.
    Audit(audit::Command),
}

/// What the verbs work with.
#[derive(Debug)]
struct Operator {
    repository: Repository,
    clock: Clock,
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The command is not well formed.
    #[error("{0}")]
    Usage(String),
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] Box<dyn Error + Send + Sync>),
}

/// The `main` of the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            writeln!(std::io::stderr(), "authctl: {}", Causes(&failure)).ok();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = settings::read(arguments.config.as_deref())?;
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    let table = executor.block_on(async {
        let repository = Repository::join(&config.database).await.map_err(Failure::of)?;
        let operator = Operator { repository, clock: Clock::system() };
        let done = match &arguments.command {
            Command::Accounts(command) => command.run(&operator).await,
            Command::Sessions(command) => command.run(&operator).await,
            Command::Keys(command) => command.run(&operator, &config).await,
            Command::Audit(command) => command.run(&operator).await,
        };
        operator.repository.database().close().await;
        done
    })?;
    let printed = if arguments.json { table.json() } else { table.text() };
    std::io::stdout().write_all(printed.as_bytes()).map_err(Failure::of)
}

impl Failure {
    fn of(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed(Box::new(error))
    }

    const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
        }
    }
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        Self::of(error)
    }
}
