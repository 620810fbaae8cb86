//! What is compared with what, and how well it should do.
//!
//! A shared machine changes its speed by a third between minutes. So nothing is compared with a number of another day:
//! each measured run has a run of its yardstick before it and one after it, its ratio is to their mean, and the median of
//! the rounds counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::load::Until;
use crate::report::Row;
use crate::stage::{Load, Method, Run, Stage};
use crate::watch::Watched;
use crate::{Failure, cores, program, raw};

/// What a service may have in use when nothing happens, in MB.
const IDLE_MEMORY: f64 = 40.0;

/// What one password hash has in use, in MB: 19,456 KiB.
const HASH_MEMORY: f64 = 19.93;

/// What a flood of logins may cost besides the hashes, in MB.
const FLOOD_MEMORY: f64 = 20.0;

/// How many clients guess passwords, each on a connection of its own.
const GUESSING: Load = Load { clients: 64, connections: 64, calls: 0 };

/// How many streams wait.
const WATCHING: usize = 1_000;

/// How much is measured.
pub(crate) struct Size {
    rounds: usize,
    people: usize,
    notes_each: usize,
    /// Calls of one run are the method's own number divided by this.
    divisor: usize,
    /// Length of a run of raw signatures or hashes.
    raw: Duration,
}

/// For figures to tell others.
pub(crate) const FULL: Size = Size { rounds: 3, people: 16, notes_each: 100, divisor: 1, raw: Duration::from_secs(1) };

/// For a look in between.
pub(crate) const QUICK: Size =
    Size { rounds: 1, people: 8, notes_each: 25, divisor: 4, raw: Duration::from_millis(500) };

/// Measures everything; the rows of the table.
///
/// # Errors
/// If something fails to run, or refuses a call that it should answer.
pub(crate) fn everything(size: &Size) -> Result<Vec<Row>, Failure> {
    if cfg!(debug_assertions) {
        return Err("a debug build measures nothing: cargo run --release --package bench".into());
    }
    let programs = program::build()?;
    let folder = tempfile::tempdir()?;
    let mut stage = Stage::start(&programs, folder.path())?;
    let mut rows = vec![
        Row::at_most("auth-service idle, MB".to_owned(), mega(stage.auth.memory()?), IDLE_MEMORY, String::new()),
        Row::at_most("notes-service idle, MB".to_owned(), mega(stage.notes.memory()?), IDLE_MEMORY, String::new()),
    ];
    stage.populate(size.people, size.notes_each)?;

    let shared = |calls| Load { clients: 64, connections: 4, calls: calls / size.divisor };
    let of_sessions = |calls| Load { clients: size.people, connections: 4, calls: calls / size.divisor };
    let few = |calls| Load { clients: 2 * cores(), connections: 2, calls: calls / size.divisor };

    let echo = |stage: &Stage| stage.run(Method::Echo, shared(64_000));
    rows.push(Row::plain("bare echo", describe(&echo(&stage)?)));
    let subjects = [
        Subject { method: Method::GetNote, load: shared(32_000), target: 0.3 },
        Subject { method: Method::ListNotes, load: shared(12_800), target: 0.2 },
        Subject { method: Method::CreateNote, load: shared(32_000), target: 0.4 },
    ];
    rows.extend(compare(&mut stage, size.rounds, "echo", |stage| Ok(echo(stage)?.outcome.rate()), &subjects)?);
    stage.write_many_notes()?;
    let page = shared(6_400);
    let first = |stage: &Stage| Ok(stage.run(Method::FirstPage, page)?.outcome.rate());
    let subjects = [Subject { method: Method::DeepPage, load: page, target: 1.0 / 1.2 }];
    rows.extend(compare(&mut stage, size.rounds, "page 1", first, &subjects)?);
    let subjects = [Subject { method: Method::RefreshToken, load: of_sessions(3_200), target: 0.6 }];
    rows.extend(compare(&mut stage, size.rounds, "RS256", |_| raw::rs256_rate(size.raw), &subjects)?);
    let subjects = [Subject { method: Method::Login, load: few(128), target: 0.9 }];
    rows.extend(compare(&mut stage, size.rounds, "Argon2id", |_| raw::argon2id_rate(size.raw), &subjects)?);

    rows.extend(flood(&mut stage, size)?);
    rows.extend(watch(&mut stage, size)?);
    rows.extend(restart(&mut stage, size)?);
    Ok(rows)
}

/// What is compared with a yardstick.
struct Subject {
    method: Method,
    load: Load,
    /// The least ratio of its rate to the yardstick's.
    target: f64,
}

fn compare(
    stage: &mut Stage,
    rounds: usize,
    name: &str,
    mut yardstick: impl FnMut(&Stage) -> Result<f64, Failure>,
    subjects: &[Subject],
) -> Result<Vec<Row>, Failure> {
    let mut series: Vec<Vec<(f64, String)>> = subjects.iter().map(|_| Vec::new()).collect();
    let mut before = yardstick(stage)?;
    for _ in 0..rounds {
        for (subject, series) in subjects.iter().zip(&mut series) {
            stage.log_in_again()?;
            let run = stage.run(subject.method, subject.load)?;
            let after = yardstick(stage)?;
            let around = f64::midpoint(before, after);
            series.push((run.outcome.rate() / around, format!("{}; {name} {around:.0}/s", describe(&run))));
            before = after;
        }
    }
    let rows = subjects.iter().zip(series).map(|(subject, series)| {
        let (ratio, behind) = median(series);
        Row::at_least(format!("{:?} / {name}", subject.method), ratio, subject.target, behind)
    });
    Ok(rows.collect())
}

/// GetNote while many clients guess passwords, and what that costs in memory.
fn flood(stage: &mut Stage, size: &Size) -> Result<Vec<Row>, Failure> {
    let reading = Load { clients: 16, connections: 4, calls: 16_000 / size.divisor };
    let mut series = Vec::new();
    for _ in 0..size.rounds {
        stage.log_in_again()?;
        let quiet = stage.run(Method::GetNote, reading)?.outcome.quantile(0.99);
        let stopped = Arc::new(AtomicBool::new(false));
        let (flooded, guesses) = thread::scope(|scope| {
            let (stage, until) = (&*stage, Until::Stopped(Arc::clone(&stopped)));
            let guessing = scope.spawn(move || stage.send(Method::GuessPassword, GUESSING, &until));
            // Until every client waits for a hash.
            thread::sleep(Duration::from_millis(500));
            let flooded = stage.run(Method::GetNote, reading);
            stopped.store(true, Ordering::Relaxed);
            (flooded, guessing.join().expect("no panic"))
        });
        let (flooded, guesses) = (flooded?.outcome.quantile(0.99), guesses?);
        let behind = format!("quiet {quiet:.2} ms, flooded {flooded:.2} ms; guesses by status: {:?}", guesses.refused);
        series.push((flooded / quiet, behind));
    }
    let (ratio, behind) = median(series);
    let hashes = f64::from(u32::try_from(cores())?) * HASH_MEMORY;
    let peak = mega(stage.auth.peak_memory()?);
    Ok(vec![
        Row::at_most("GetNote p99, logins flooded / quiet".to_owned(), ratio, 3.0, behind),
        Row::at_most("auth-service flooded, MB".to_owned(), peak, IDLE_MEMORY + hashes + FLOOD_MEMORY, String::new()),
    ])
}

/// Streams that wait, and streams that something happens to.
fn watch(stage: &mut Stage, size: &Size) -> Result<Vec<Row>, Failure> {
    stage.restart_notes()?;
    stage.log_in_again()?;
    let Watched { bytes_per_stream, latencies } = stage.watch(WATCHING, 2_000 / size.divisor)?;
    let milliseconds = |part| latencies.value_at_quantile(part) as f64 / 1000.0;
    Ok(vec![
        Row::at_most(
            "idle WatchNotes stream, KiB".to_owned(),
            bytes_per_stream / 1024.0,
            20.0,
            format!("{WATCHING} streams"),
        ),
        Row::at_most(
            "WatchNotes, write to client p99, ms".to_owned(),
            milliseconds(0.99),
            250.0,
            format!("p50 {:.2} ms, among {WATCHING} streams", milliseconds(0.5)),
        ),
    ])
}

/// From start to ready on a store that has been written to.
fn restart(stage: &mut Stage, size: &Size) -> Result<Vec<Row>, Failure> {
    let mut seconds = |restart: fn(&mut Stage) -> Result<Duration, Failure>| -> Result<f64, Failure> {
        let times = (0..size.rounds).map(|_| Ok((restart(stage)?.as_secs_f64(), String::new())));
        Ok(median(times.collect::<Result<_, Failure>>()?).0)
    };
    let notes = seconds(Stage::restart_notes)?;
    let auth = seconds(Stage::restart_auth)?;
    Ok(vec![
        Row::at_most("notes-service, start to ready, s".to_owned(), notes, 1.0, String::new()),
        Row::at_most("auth-service, start to ready, s".to_owned(), auth, 1.0, String::new()),
    ])
}

pub(crate) fn describe(run: &Run) -> String {
    let Run { outcome, processor } = run;
    format!(
        "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {:.0} us of processor, {} bytes",
        outcome.rate(),
        outcome.quantile(0.5),
        outcome.quantile(0.99),
        processor.as_secs_f64() * 1e6,
        outcome.message_bytes,
    )
}

/// The one in the middle.
pub(crate) fn median(mut series: Vec<(f64, String)>) -> (f64, String) {
    series.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    series.swap_remove(series.len() / 2)
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
