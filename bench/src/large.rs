//! What the notes service does on a store of very many notes, as ratios: page 2,000 to page 1, an owner of very many notes
//! to one of ten, a search to GetNote, creations that share commits to ones that do not.

use std::path::Path;

use crate::fill::{self, Filling};
use crate::issuer::Issuer;
use crate::load::{self, Script, Until};
use crate::measure::{describe, median};
use crate::program::{self, Program};
use crate::report::Row;
use crate::scene::{self, Person};
use crate::stage::Run;
use crate::{Failure, runtime};

const GET: &str = "/notes.v1.NotesService/GetNote";
const LIST: &str = "/notes.v1.NotesService/ListNotes";
const SEARCH: &str = "/notes.v1.NotesService/SearchNotes";
const CREATE: &str = "/notes.v1.NotesService/CreateNote";

/// Notes of a page of the owner of few notes.
const SMALL_PAGE: i32 = 10;

/// How often each is measured.
const ROUNDS: usize = 3;

/// Fills a store and measures; the rows of the table. Without a URL it is a SQLite file in a temporary folder.
///
/// # Errors
/// If something fails to run, or refuses a call that it should answer.
pub(crate) fn everything(url: Option<&str>, filling: &Filling) -> Result<Vec<Row>, Failure> {
    if cfg!(debug_assertions) {
        return Err("a debug build measures nothing: cargo run --release --package bench".into());
    }
    let folder = tempfile::tempdir()?;
    let default = format!("sqlite://{}", folder.path().join("notes.db").display());
    let url = url.unwrap_or(&default);
    let issuer = Issuer::new()?;
    let filled = runtime()?.block_on(fill::fill(url, &issuer, filling))?;
    let mut rows = vec![fill::row(&filled)];

    let programs = program::build()?;
    let service = start(&programs, folder.path(), url, &issuer)?;
    let heavy = || Ok::<_, Failure>(Person::with_token(&issuer.token(filled.heavy)?, filled.notes.clone()));
    let light = |index: usize| {
        Ok::<_, Failure>(Person::with_token(&issuer.token(filled.light[index % filled.light.len()])?, Vec::new()))
    };
    let deep = runtime()?.block_on(scene::deep_page(service.address("notes"), &heavy()?))?;
    let every = |calls: usize, method, script: &dyn Fn(usize) -> Result<Script, Failure>| -> Result<Run, Failure> {
        run(&service, method, 64, calls, script)
    };
    let list = |person: Person, size, token: String| -> Script {
        let call = person.list_page(size, &token);
        Box::new(move |_| call.clone())
    };
    let search = |query: &'static str| {
        move |person: &Person| -> Script {
            let call = person.search_newest(query);
            Box::new(move |_| call.clone())
        }
    };

    let first = || every(6_400, LIST, &|_| Ok(list(heavy()?, 20, String::new())));
    let deep = || every(6_400, LIST, &|_| Ok(list(heavy()?, 20, deep.clone())));
    rows.push(compare("ListNotes, page 2,000 / page 1", 1.0 / 1.2, first, deep)?);
    let of_few = || every(6_400, LIST, &|index| Ok(list(light(index)?, SMALL_PAGE, String::new())));
    let of_many = || every(6_400, LIST, &|_| Ok(list(heavy()?, SMALL_PAGE, String::new())));
    rows.push(compare("ListNotes, owner of many / of ten", 1.0 / 1.3, of_few, of_many)?);
    let get = || {
        every(12_800, GET, &|client| {
            let (person, mut index) = (heavy()?, client);
            Ok(Box::new(move |_| {
                index += 1;
                person.get_note(index)
            }))
        })
    };
    for (what, target, query) in [
        ("SearchNotes, common word / GetNote", 0.2, fill::COMMON),
        ("SearchNotes, two common words / GetNote", 0.2, "w0 w1"),
    ] {
        let found = || every(3_200, SEARCH, &|_| Ok(search(query)(&heavy()?)));
        rows.push(compare(what, target, get, found)?);
    }
    for (what, query) in [
        ("SearchNotes, a word that is seldom", "w49999"),
        ("SearchNotes, a common word without another", "w0 -w0"),
        ("SearchNotes, words that begin so", "w4999* -w0"),
        ("SearchNotes, a phrase", "\"w0 w1\""),
    ] {
        let found = every(640, SEARCH, &|_| Ok(search(query)(&heavy()?)))?;
        rows.push(Row::plain(what, describe(&found)));
    }
    let create = |person: Person| -> Script {
        let call = person.create_note();
        Box::new(move |_| call.clone())
    };
    let alone = || run(&service, CREATE, 1, 1_000, &|index| Ok(create(light(index)?)));
    let together = || every(12_800, CREATE, &|index| Ok(create(light(index)?)));
    rows.push(compare("CreateNote, 64 clients / a commit each", 5.0, alone, together)?);
    rows.push(Row::plain("notes-service, MB", format!("{:.0}", service.memory()? as f64 / 1e6)));
    Ok(rows)
}

/// The median ratio of rounds, each between two of what it is compared with.
fn compare(
    what: &str,
    target: f64,
    yardstick: impl Fn() -> Result<Run, Failure>,
    subject: impl Fn() -> Result<Run, Failure>,
) -> Result<Row, Failure> {
    let mut before = yardstick()?.outcome.rate();
    let mut series = Vec::new();
    for _ in 0..ROUNDS {
        let run = subject()?;
        let after = yardstick()?.outcome.rate();
        let around = f64::midpoint(before, after);
        series.push((run.outcome.rate() / around, format!("{}; against {around:.0}/s", describe(&run))));
        before = after;
    }
    let (ratio, behind) = median(series);
    Ok(Row::at_least(what.to_owned(), ratio, target, behind))
}

fn run(
    service: &Program,
    method: &'static str,
    clients: usize,
    calls: usize,
    script: &dyn Fn(usize) -> Result<Script, Failure>,
) -> Result<Run, Failure> {
    let before = service.processor_time()?;
    let scripts = (0..clients).map(script).collect::<Result<_, _>>()?;
    let connections = clients.min(4);
    let outcome = load::run(service.address("notes"), method, connections, scripts, &Until::Calls(calls / clients))?;
    if !outcome.refused.is_empty() {
        return Err(format!("{method} was refused (status: times): {:?}", outcome.refused).into());
    }
    let processor = (service.processor_time()? - before) / u32::try_from(outcome.latencies.len())?;
    Ok(Run { outcome, processor })
}

fn start(programs: &Path, folder: &Path, url: &str, issuer: &Issuer) -> Result<Program, Failure> {
    let key = folder.join("issuer.pem");
    std::fs::write(&key, issuer.public_pem())?;
    let key = key.display().to_string();
    let environment = [
        ("NOTES_SERVICE_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_TRUST_KEY_FILE", key.as_str()),
        ("NOTES_SERVICE_DATABASE_URL", url),
        ("NOTES_SERVICE_QUOTA_NOTES", "1000000"),
    ];
    let service = Program::start(&programs.join("notes-service"), &[], folder, &environment, &["notes", "operations"])?;
    service.await_ready()?;
    Ok(service)
}
