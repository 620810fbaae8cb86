//! What row-level security costs: the repository of the notes service on one PostgreSQL store, with it and without it by
//! turns, so that both see the same minutes of the machine.

use std::time::{Duration, Instant};

use authn::Subject;
use notes_service::config::ROLE;
use notes_service::domain::{NoteFields, NoteId, Quota, View};
use notes_service::repository::{Batching, CreateNote, NewId, NoteRepository, row_security};
use runtime::database::{DatabaseConfig, Role};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Failure;
use crate::fill::{Filling, fill};
use crate::issuer::Issuer;
use crate::report::Row;

const FILLING: Filling = Filling { notes: 20_000, people: 2_000, heavy: 1_000 };
/// How often the two take turns.
const ROUNDS: usize = 7;
/// Calls of one turn.
const CALLS: usize = 2_000;
/// Notes of one call for several.
const SEVERAL: usize = 20;
const BATCHING: Batching = Batching { queue: 1_024, size: 64 };

/// What is called.
#[derive(Clone, Copy, Debug)]
enum Call {
    Get,
    GetSeveral,
    Create,
}

/// # Errors
/// If the store fails.
pub(crate) async fn measure(url: &str) -> Result<Vec<Row>, Failure> {
    let issuer = Issuer::new()?;
    let filled = fill(url, &issuer, &FILLING).await?;
    let owner = issuer.subject(filled.heavy)?;
    let notes: Vec<_> =
        filled.notes.iter().filter_map(|name| NoteId::parse(name.trim_start_matches("notes/"))).collect();
    let plain = DatabaseConfig::with_url(url);
    let walled = DatabaseConfig { row_security: Role::parse(ROLE).map(row_security), ..plain.clone() };
    let with = NoteRepository::open(&walled, BATCHING).await?;
    let without = NoteRepository::open(&plain, BATCHING).await?;
    let mut rows = Vec::new();
    for call in [Call::Get, Call::GetSeveral, Call::Create] {
        for clients in [1, 16] {
            let mut took = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (took, repository) in took.iter_mut().zip([&with, &without]) {
                    took.push(turn(repository, &issuer, owner, &notes, call, clients).await?);
                }
            }
            let [with, without] = took.map(|mut took| {
                took.sort();
                took[ROUNDS / 2].as_secs_f64() * 1e6
            });
            let behind = format!("{with:.0} us a call with it, {without:.0} us without");
            let what = format!("{call:?}, {clients} at a time: with / without");
            rows.push(Row { measured: format!("{:.2}", with / without), ..Row::plain(&what, behind) });
        }
    }
    Ok(rows)
}

/// How long a call took, on average.
async fn turn(
    repository: &NoteRepository,
    issuer: &Issuer,
    owner: Subject,
    notes: &[NoteId],
    call: Call,
    clients: usize,
) -> Result<Duration, Failure> {
    let begin = Instant::now();
    let mut calling = JoinSet::new();
    for client in 0..clients {
        let (repository, notes) = (repository.clone(), notes.to_vec());
        let others = (0..CALLS / clients).map(|_| issuer.subject(Uuid::new_v4())).collect::<Result<Vec<_>, _>>()?;
        let now = issuer.now();
        calling.spawn(async move {
            for (index, other) in others.into_iter().enumerate() {
                let place = (client * 7 + index * 3) % (notes.len() - SEVERAL);
                match call {
                    Call::Get => drop(repository.for_owner(owner).find(notes[place], View::Full).await?),
                    Call::GetSeveral => {
                        let several = notes[place..place + SEVERAL].to_vec();
                        drop(repository.for_owner(owner).find_all(several, View::Basic).await?);
                    }
                    Call::Create => {
                        let note = CreateNote {
                            id: NewId::Drawn(NoteId::from_uuid(Uuid::now_v7())),
                            fields: NoteFields::default(),
                            repetition: None,
                            now,
                            quota: Quota { notes: u64::MAX, bytes: u64::MAX },
                        };
                        drop(repository.for_owner(other).create(note).await?);
                    }
                }
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(called) = calling.join_next().await {
        called??;
    }
    Ok(begin.elapsed() / u32::try_from(CALLS)?)
}
