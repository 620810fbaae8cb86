//! A week of many people on a clock that is moved by hand: who is signed out though nobody robbed them, and who is not
//! though somebody did.
//!
//! The service is the real one, built in this process as its program builds it, and called over real sockets; only its
//! clock is ours, and its passwords cost next to nothing. [`week`] is the people, their tabs, their laptops and the
//! thieves; [`lineage`] is what a bystander who sees every answer knows of a session; [`tally`] is what is counted and
//! printed; [`service`] is the service; [`dice`] is chance, the same for the same seed.

mod dice;
mod lineage;
mod service;
mod tally;
#[cfg(test)]
mod tests;
mod week;

use std::time::Duration;

use self::dice::Dice;
use self::service::Service;
pub(crate) use self::tally::Tally;
use self::week::Week;
use crate::Failure;

/// How many services share the people: enough that the cores are busy while one of them waits for its disk.
const SHARES: u64 = 8;

/// What is simulated.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Simulation {
    /// How many clients, each with an account, a laptop and five tabs.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) clients: u64,
    /// How many days.
    #[arg(long, default_value_t = 7)]
    pub(crate) days: u64,
    /// Another number is another week.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many in a thousand clients are robbed of their refresh token.
    #[arg(long, default_value_t = 10)]
    pub(crate) thefts_per_mille: u64,
}

/// Lives through it, and returns what happened.
///
/// # Errors
/// If a service does not start, or fails.
pub(crate) async fn run(simulation: Simulation) -> Result<Tally, Failure> {
    let shares = SHARES.min(simulation.clients).max(1);
    let mut weeks = Vec::new();
    for share in 0..shares {
        let clients = (share..simulation.clients).step_by(usize::try_from(shares)?);
        weeks.push(tokio::spawn(live(simulation, share, clients.collect())));
    }
    let mut sum = Tally::default();
    for week in weeks {
        sum.add(week.await??)?;
    }
    Ok(sum)
}

async fn live(simulation: Simulation, share: u64, clients: Vec<u64>) -> Result<Tally, Failure> {
    let service = Service::start().await?;
    let days = Duration::from_secs(simulation.days * 24 * 60 * 60);
    let dice = Dice::new(simulation.seed * 1_000 + share);
    let mut week = Week::begin(&service, dice, &clients, days, simulation.thefts_per_mille).await?;
    week.live().await?;
    let tally = week.end();
    service.stop().await?;
    Ok(tally)
}
