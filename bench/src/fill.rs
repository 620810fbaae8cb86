//! Fills a store with notes through the repository of the notes service, as the service itself would write them.

use std::time::{Duration, Instant};

use authn::Subject;
use clap::Args;
use notes_service::config::ROLE;
use notes_service::domain::{Content, NoteFields, NoteId, Quota, Title};
use notes_service::repository::{Batching, CreateNote, Creation, NewId, NoteRepository, row_security};
use runtime::database::{DatabaseConfig, Role};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Failure;
use crate::issuer::Issuer;
use crate::report::Row;

/// How many notes are on their way at the same time.
const ON_THEIR_WAY: usize = 1_024;

/// How many notes share a transaction at most.
const BATCH: usize = 256;

/// Words of a note.
const WORDS: usize = 100;

/// Words that there are.
const VOCABULARY: u32 = 50_000;

/// A word that stands in nearly every note.
pub(crate) const COMMON: &str = "w0";

/// What a store is filled with.
#[derive(Args, Clone)]
pub(crate) struct Filling {
    /// How many notes.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) notes: usize,
    /// How many people, each with as many notes as the others but one.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) people: usize,
    /// How many notes that one has.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) heavy: usize,
}

/// Whom the notes belong to.
pub(crate) struct Filled {
    /// The one with very many notes.
    pub(crate) heavy: Uuid,
    /// Some of the others, each with ten notes or one more than the rest.
    pub(crate) light: Vec<Uuid>,
    /// Notes of the one with very many.
    pub(crate) notes: Vec<String>,
    /// What it took.
    pub(crate) took: Duration,
    pub(crate) count: usize,
}

/// People with one note more than the rest.
const LIGHT: usize = 16;

/// Fills the store at this URL.
///
/// # Errors
/// If the store fails or refuses a note.
pub(crate) async fn fill(url: &str, issuer: &Issuer, filling: &Filling) -> Result<Filled, Failure> {
    let batching = Batching { queue: ON_THEIR_WAY * 2, size: BATCH };
    let config = DatabaseConfig { row_security: Role::parse(ROLE).map(row_security), ..DatabaseConfig::with_url(url) };
    let repository = NoteRepository::open(&config, batching).await?;
    repository.ready().await;
    let begin = Instant::now();
    let heavy = issuer.subject(Uuid::new_v4())?;
    let people: Vec<Subject> = (0..filling.people).map(|_| issuer.subject(Uuid::new_v4())).collect::<Result<_, _>>()?;
    let heavy_every = (filling.notes / filling.heavy.max(1)).max(1);
    let (mut writing, mut words, mut notes) = (JoinSet::new(), Words::new(), Vec::new());
    let (mut given, mut heavy_given) = (0, 0);
    for index in 0..filling.notes + LIGHT.min(people.len()) {
        let (owner, is_heavy) = if index >= filling.notes {
            (people[index - filling.notes], false)
        } else if index % heavy_every == 0 && heavy_given < filling.heavy {
            heavy_given += 1;
            (heavy, true)
        } else if people.is_empty() {
            (heavy, true)
        } else {
            given += 1;
            (people[given % people.len()], false)
        };
        let id = NoteId::from_uuid(Uuid::now_v7());
        if is_heavy && notes.len() < 1_000 {
            notes.push(format!("notes/{id}"));
        }
        let note = CreateNote {
            id: NewId::Drawn(id),
            fields: words.note()?,
            repetition: None,
            now: issuer.now(),
            quota: Quota { notes: u64::MAX, bytes: u64::MAX },
        };
        if writing.len() == ON_THEIR_WAY {
            writing.join_next().await.ok_or("nothing is on its way")???;
        }
        let repository = repository.clone();
        writing.spawn(async move {
            match repository.for_owner(owner).create(note).await? {
                Creation::Created(_) => Ok::<(), Failure>(()),
                other => Err(format!("a note was not made: {other:?}").into()),
            }
        });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    repository.close().await;
    let light = people.iter().take(LIGHT).map(|person| person.as_uuid()).collect();
    Ok(Filled { heavy: heavy.as_uuid(), light, notes, took: begin.elapsed(), count: filling.notes })
}

/// How fast a store was filled.
pub(crate) fn row(filled: &Filled) -> Row {
    let seconds = filled.took.as_secs_f64();
    let rate = filled.count as f64 / seconds;
    Row::plain("fill", format!("{} notes in {seconds:.0} s, {rate:.0}/s", filled.count))
}

/// Words as people use them: some very often, most seldom (Zipf), the same in every run.
struct Words(u64);

impl Words {
    const fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    fn note(&mut self) -> Result<NoteFields, Failure> {
        let title: String = (0..4).map(|_| self.word() + " ").collect();
        let content: String = (0..WORDS).map(|_| self.word() + " ").collect();
        Ok(NoteFields {
            title: Title::parse(title.trim_end())?,
            content: Content::parse(content.trim_end())?,
            ..NoteFields::default()
        })
    }

    /// A word, the more probable the lower its number: the logarithms are evenly spread.
    fn word(&mut self) -> String {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let even = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = f64::from(VOCABULARY).powf(even) - 1.0;
        format!("w{}", rank as u32)
    }
}
