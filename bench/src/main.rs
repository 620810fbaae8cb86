//! Load generator and comparison rig: what the services do, as ratios to what the same machine does in the same minute.
//!
//! ```sh
//! cargo run --release --package bench            # some minutes, after a release build of every program
//! cargo run --release --package bench -- --quick # rough figures
//! cargo run --release --package bench -- large   # a million notes, and what the notes service does on them
//! cargo run --release --package bench -- simulate # who is signed out in a simulated week
//! # what row-level security costs:
//! tests/postgres.sh run sh -c 'cargo run --release --package bench -- walls --url "$TEST_POSTGRES_URL"'
//! # how soon what is revoked is refused elsewhere:
//! tests/postgres.sh run sh -c 'cargo run --release --package bench -- revocation --postgres "$TEST_POSTGRES_URL"'
//! ```
//!
//! Without a command: builds every program of the workspace, starts both services on SQLite in a temporary folder and a bare tonic server
//! beside them, and prints one table: each target, what was measured, and whether it is met. Absolute rates say more
//! about the machine than about the services; the ratios are between neighbours in time. Exits with 0 whatever the
//! figures are, and with 1 when something failed to run.
//!
//! Begin with [`measure`] (what is compared with what); [`stage`] is everything that runs, [`load`] sends the calls, [`scene`]
//! makes the accounts and notes, [`watch`] opens streams, [`echo`] and [`raw`] are what the services are compared with, [`program`] is the processes, [`report`] the table. [`simulate`]
//! and [`revocation`] stand for themselves, and so do [`large`] and [`walls`], which fill a store by [`fill`].

mod echo;
mod fill;
mod issuer;
mod large;
mod load;
mod measure;
mod program;
mod raw;
mod report;
mod revocation;
mod scene;
mod simulate;
mod stage;
mod walls;
mod watch;

use std::error::Error;
use std::process::ExitCode;
use std::thread;

use clap::{Parser, Subcommand};

use crate::fill::Filling;
use crate::issuer::Issuer;
use crate::measure::{FULL, QUICK};

/// Why a measurement could not be made.
type Failure = Box<dyn Error + Send + Sync>;

/// Measures the services against what this machine can do.
#[derive(Parser)]
struct Options {
    /// One short round of each: rough figures in half a minute.
    #[arg(long)]
    quick: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the bare echo; the benchmark starts it by itself.
    Echo,
    /// Fills a store of the notes service, and says how fast that went.
    Fill {
        /// Where: `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
        #[arg(long)]
        url: String,
        #[command(flatten)]
        filling: Filling,
    },
    /// Fills a store and measures the notes service on it.
    Large {
        /// Where; a SQLite file in a temporary folder otherwise.
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        filling: Filling,
    },
    /// Lives through a week of many clients with lost answers, sleeping laptops and thieves: who is signed out?
    Simulate(simulate::Simulation),
    /// Measures what row-level security costs, on PostgreSQL.
    Walls {
        /// Where: `postgres://USER:PASSWORD@HOST/NAME`, an empty database.
        #[arg(long)]
        url: String,
    },
    /// Measures how soon what is revoked is refused by other processes, with two of each service.
    Revocation(revocation::Trials),
}

#[expect(clippy::print_stderr, reason = "where a program says why it failed")]
fn main() -> ExitCode {
    let options = Options::parse();
    let done = match options.command {
        Some(Command::Echo) => runtime().and_then(|runtime| runtime.block_on(echo::main())),
        Some(Command::Fill { url, filling }) => fill_store(&url, &filling),
        Some(Command::Large { url, filling }) => {
            large::everything(url.as_deref(), &filling).map(|rows| report::print(&rows))
        }
        Some(Command::Simulate(simulation)) => {
            runtime().and_then(|runtime| runtime.block_on(simulate::run(simulation))).and_then(|tally| tally.print())
        }
        Some(Command::Walls { url }) => {
            runtime().and_then(|runtime| runtime.block_on(walls::measure(&url))).map(|rows| report::print(&rows))
        }
        Some(Command::Revocation(trials)) => revocation::measure(trials),
        None => measure::everything(if options.quick { &QUICK } else { &FULL }).map(|rows| report::print(&rows)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Fills a store and prints how fast that went.
fn fill_store(url: &str, filling: &Filling) -> Result<(), Failure> {
    let issuer = Issuer::new()?;
    let filled = runtime()?.block_on(fill::fill(url, &issuer, filling))?;
    report::print(&[fill::row(&filled)]);
    Ok(())
}

/// A runtime like the one that the services run on: a worker per core.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// How many cores this process may use.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
