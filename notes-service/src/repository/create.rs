use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use runtime::batch::{BatchError, Batcher, Coming};
use runtime::database::{Connection, Database, DatabaseError, Outcome, from_micros, to_micros};
use sea_orm::sea_query::{Condition, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::doorbell::Doorbell;
use super::entity::{create_request, note, note_body, note_tag, tag, tombstone};
use super::{Batching, OwnedNotes, UnknownTags, note_tags, notes, owner_state, search, tags};
use crate::domain::search::Document;
use crate::domain::{Fingerprint, Note, NoteFields, NoteId, OwnerState, Quota, QuotaExceeded, RequestId, TagId};

/// A note to make.
#[derive(Clone, Debug)]
pub struct CreateNote {
    /// Its id.
    pub id: NewId,
    /// What the owner wrote.
    pub fields: NoteFields,
    /// Makes the call safe to repeat.
    pub repetition: Option<Repetition>,
    /// The present.
    pub now: SystemTime,
    /// What the owner may keep.
    pub quota: Quota,
}

/// Where the id of a new note comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// The client chose it, so it may be taken.
    Chosen(NoteId),
    /// Drawn at random just now.
    Drawn(NoteId),
}

/// A request that may be repeated until `expire_time`.
#[derive(Clone, Copy, Debug)]
pub struct Repetition {
    /// Its id.
    pub request: RequestId,
    /// What it asks for.
    pub fingerprint: Fingerprint,
    /// When it is forgotten.
    pub expire_time: SystemTime,
}

/// What became of a note to make.
#[derive(Clone, Debug)]
pub enum Creation {
    /// It was made.
    Created(Note),
    /// The same request made this note before.
    Repeated(NoteId),
    /// It was not made.
    Refused(CreationRefused),
}

/// Why a note was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreationRefused {
    /// Another request had the same id.
    RequestReused,
    /// The owner has a note with this id.
    Exists,
    /// The owner removed a note with this id for good, not long ago.
    Expunged,
    /// The owner does not have some of its tags.
    UnknownTags(UnknownTags),
    /// The owner's quota is used up.
    QuotaExceeded(QuotaExceeded),
}

/// Why the store could not make a note.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateError {
    /// It failed, alike for all notes of the batch.
    #[error("the store could not make the note")]
    Store(#[from] Arc<DatabaseError>),
    /// Too many creations wait, or the batch was lost.
    #[error("the note was not made")]
    Batch(#[from] BatchError),
}

/// One creation among those of a batch.
#[derive(Clone, Debug)]
pub(super) struct CreateCommand {
    pub(super) owner: Uuid,
    pub(super) note: CreateNote,
    /// What it is found by.
    pub(super) document: Document,
}

impl CreateCommand {
    /// Its terms are found here, so that no transaction waits for that.
    pub(super) fn new(owner: Uuid, note: CreateNote) -> Self {
        let document = Document::of(note.fields.title.as_str(), note.fields.content.as_str());
        Self { owner, note, document }
    }
}

impl NewId {
    const fn get(self) -> NoteId {
        match self {
            Self::Chosen(id) | Self::Drawn(id) => id,
        }
    }
}

impl OwnedNotes<'_> {
    /// Makes a note, in one transaction with whatever else is made at the same time. One refusal or failure does not
    /// touch the others; nothing waits for a batch to fill.
    ///
    /// # Errors
    /// If the store fails or too many creations wait.
    pub async fn create(self, note: CreateNote) -> Result<Creation, CreateError> {
        Ok(self.repository.creates.submit(CreateCommand::new(self.owner_id(), note)).await??)
    }
}

/// Collects concurrent creations and makes them together.
pub(super) fn batcher(
    database: &Database,
    doorbell: &Doorbell,
    batching: Batching,
) -> Batcher<CreateCommand, Result<Creation, Arc<DatabaseError>>> {
    let (database, doorbell) = (database.clone(), doorbell.clone());
    Batcher::new(batching.queue, batching.size, move |commands: Coming<CreateCommand>| {
        let (database, doorbell) = (database.clone(), doorbell.clone());
        async move {
            let creations = create_all(&database, &commands).await;
            doorbell.ring(commands.taken().iter().map(|command| command.owner).collect::<Vec<_>>());
            creations
        }
    })
}

/// Makes the notes of a batch. If the store takes offence at one of them, each is tried alone.
pub(super) async fn create_all(
    database: &Database,
    commands: &Coming<CreateCommand>,
) -> Vec<Result<Creation, Arc<DatabaseError>>> {
    match write(database, commands.clone()).await {
        Ok(creations) => creations.into_iter().map(Ok).collect(),
        Err(DatabaseError::Fault(_)) if commands.taken().len() > 1 => {
            let mut creations = Vec::new();
            for command in commands.taken().iter() {
                let alone = write(database, Coming::of([command.clone()])).await;
                creations.push(alone.map(|mut creations| creations.remove(0)).map_err(Arc::new));
            }
            creations
        }
        Err(error) => {
            let error = Arc::new(error);
            commands.taken().iter().map(|_| Err(Arc::clone(&error))).collect()
        }
    }
}

async fn write(database: &Database, commands: Coming<CreateCommand>) -> Result<Vec<Creation>, DatabaseError> {
    let owners = {
        let commands = commands.clone();
        move || commands.taken().iter().map(|command| command.owner).collect()
    };
    let work = database.for_owners(owners).write(move |transaction| {
        let commands = commands.clone();
        // Taken when the transaction has begun, so that what came while it waited shares it.
        Box::pin(async move { create(transaction, &commands.taken()).await })
    });
    work.await
}

/// Decides about each command in its order, then stores the notes with one statement per table.
async fn create(transaction: &Connection, commands: &[CreateCommand]) -> Result<Outcome<Vec<Creation>>, DbErr> {
    let mut batch = Batch::read(transaction, commands).await?;
    let creations = commands.iter().map(|command| batch.decide(command)).collect();
    if batch.is_empty() {
        return Ok(Outcome::Rollback(creations));
    }
    batch.store(&transaction.unanswered()).await?;
    Ok(Outcome::Commit(creations))
}

/// What is known and decided while a batch is made. All its owners are locked.
pub(super) struct Batch {
    states: BTreeMap<Uuid, OwnerState>,
    /// Ids that are taken by notes, by owner, and the trashes in which these lie.
    taken: HashMap<(Uuid, Uuid), i64>,
    /// Ids of notes that were removed for good, by owner, and until when they are remembered.
    removed: HashMap<(Uuid, Uuid), SystemTime>,
    /// Requests that were seen, by owner.
    seen: HashMap<(Uuid, Uuid), SeenRequest>,
    /// Tags that owners have, of those that the notes are to have.
    known_tags: HashSet<(Uuid, TagId)>,
    writing: HashSet<Uuid>,
    notes: Vec<note::ActiveModel>,
    bodies: Vec<note_body::ActiveModel>,
    note_tags: Vec<note_tag::ActiveModel>,
    tag_counts: BTreeMap<Uuid, BTreeMap<TagId, i64>>,
    requests: Vec<create_request::ActiveModel>,
    entries: Vec<search::Entry>,
}

struct SeenRequest {
    fingerprint: Vec<u8>,
    id: NoteId,
    expire_time: SystemTime,
}

impl Batch {
    pub(super) async fn read(transaction: &impl ConnectionTrait, commands: &[CreateCommand]) -> Result<Self, DbErr> {
        let mut owners: Vec<_> = commands.iter().map(|command| command.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        let epoch = commands.first().map_or(0, |command| to_micros(command.note.now));
        Ok(Self {
            states: owner_state::lock_or_begin(transaction, &owners, epoch).await?,
            taken: taken_ids(transaction, commands).await?,
            removed: removed_ids(transaction, commands).await?,
            seen: seen_requests(transaction, commands).await?,
            known_tags: known_tags(transaction, commands).await?,
            writing: HashSet::new(),
            notes: Vec::with_capacity(commands.len()),
            bodies: Vec::with_capacity(commands.len()),
            note_tags: Vec::new(),
            tag_counts: BTreeMap::new(),
            requests: Vec::new(),
            entries: Vec::with_capacity(commands.len()),
        })
    }

    /// Whether there is nothing to store.
    pub(super) const fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Decides about one command; what was decided before it in the batch counts.
    pub(super) fn decide(&mut self, CreateCommand { owner, note, document }: &CreateCommand) -> Creation {
        let id = note.id.get();
        let request_key = note.repetition.as_ref().map(|repetition| (*owner, repetition.request.as_uuid()));
        if let (Some(key), Some(repetition)) = (request_key, &note.repetition)
            && let Some(seen) = self.seen.get(&key).filter(|seen| seen.expire_time > note.now)
        {
            let same = seen.fingerprint == repetition.fingerprint.as_bytes();
            return if same { Creation::Repeated(seen.id) } else { Creation::Refused(CreationRefused::RequestReused) };
        }
        let state = self.states.get_mut(owner).expect("every owner of the batch was locked");
        let key = (*owner, id.as_uuid());
        match self.taken.get(&key) {
            Some(trash) if [notes::NO_TRASH, state.trash_epoch].contains(trash) => {
                return Creation::Refused(CreationRefused::Exists);
            }
            Some(_emptied) => return Creation::Refused(CreationRefused::Expunged),
            None if self.removed.get(&key).is_some_and(|until| *until > note.now) => {
                return Creation::Refused(CreationRefused::Expunged);
            }
            None => {}
        }
        let known = |tag| self.known_tags.contains(&(*owner, tag));
        if let Err(unknown) = note_tags::check(&note.fields.tags, known) {
            return Creation::Refused(CreationRefused::UnknownTags(unknown));
        }
        let stamp = match state.add(&note.fields, note.now, &note.quota) {
            Ok(stamp) => stamp,
            Err(exceeded) => return Creation::Refused(CreationRefused::QuotaExceeded(exceeded)),
        };
        let made = Note::new(id, note.fields.clone(), stamp.time);
        state.digest(None, Some(&made));
        self.writing.insert(*owner);
        self.taken.insert(key, notes::NO_TRASH);
        self.notes.push(notes::to_row(*owner, &made, state));
        self.bodies.push(notes::to_body(*owner, &made));
        for tag in &made.tags {
            *self.tag_counts.entry(*owner).or_default().entry(*tag).or_default() += 1;
        }
        self.note_tags.extend(note_tags::to_rows(*owner, &made, state, &made.tags));
        let entry = search::Entry { owner: *owner, change_seq: stamp.change_seq, document: document.clone() };
        self.entries.push(entry);
        if let (Some(key), Some(repetition)) = (request_key, &note.repetition) {
            state.purge_at(repetition.expire_time);
            self.requests.push(create_request::ActiveModel {
                owner_id: Set(*owner),
                request_id: Set(key.1),
                fingerprint: Set(repetition.fingerprint.as_bytes().to_vec()),
                note_id: Set(id.as_uuid()),
                expire_us: Set(to_micros(repetition.expire_time)),
            });
            let fingerprint = repetition.fingerprint.as_bytes().to_vec();
            self.seen.insert(key, SeenRequest { fingerprint, id, expire_time: repetition.expire_time });
        }
        Creation::Created(made)
    }

    pub(super) async fn store(self, transaction: &impl ConnectionTrait) -> Result<(), DbErr> {
        let written = self.states.iter().filter(|(owner, _)| self.writing.contains(owner));
        owner_state::save(transaction, written.map(|(owner, state)| (*owner, state))).await?;
        note::Entity::insert_many(self.notes).exec_without_returning(transaction).await?;
        note_body::Entity::insert_many(self.bodies).exec_without_returning(transaction).await?;
        if !self.note_tags.is_empty() {
            note_tags::insert(transaction, self.note_tags).await?;
            for (owner, counts) in &self.tag_counts {
                tags::count(transaction, *owner, counts).await?;
            }
        }
        search::add(transaction, &self.entries).await?;
        if !self.requests.is_empty() {
            // A row that is there already has expired.
            let forgotten =
                [create_request::Column::Fingerprint, create_request::Column::NoteId, create_request::Column::ExpireUs];
            let key = [create_request::Column::OwnerId, create_request::Column::RequestId];
            create_request::Entity::insert_many(self.requests)
                .on_conflict(OnConflict::columns(key).update_columns(forgotten).to_owned())
                .exec_without_returning(transaction)
                .await?;
        }
        Ok(())
    }
}

/// The ids that clients chose, by owner. Drawn ids are not looked up.
fn chosen_ids(commands: &[CreateCommand]) -> impl Iterator<Item = (Uuid, Uuid)> {
    commands.iter().filter_map(|command| match command.note.id {
        NewId::Chosen(id) => Some((command.owner, id.as_uuid())),
        NewId::Drawn(_) => None,
    })
}

/// Which of the ids that clients chose are taken, and the trashes in which these notes lie.
async fn taken_ids(
    transaction: &impl ConnectionTrait,
    commands: &[CreateCommand],
) -> Result<HashMap<(Uuid, Uuid), i64>, DbErr> {
    use note::Column::{NoteId, OwnerId, TrashEpoch};
    let keys = chosen_ids(commands).map(|(owner, id)| OwnerId.eq(owner).and(NoteId.eq(id)));
    let Some(any) = any_of(keys) else { return Ok(HashMap::new()) };
    let select = note::Entity::find().select_only().columns([OwnerId, NoteId, TrashEpoch]).filter(any);
    let taken: Vec<(Uuid, Uuid, i64)> = select.into_tuple().all(transaction).await?;
    Ok(taken.into_iter().map(|(owner, id, trash)| ((owner, id), trash)).collect())
}

/// Which of the ids that clients chose are those of notes that were removed for good, and until when.
async fn removed_ids(
    transaction: &impl ConnectionTrait,
    commands: &[CreateCommand],
) -> Result<HashMap<(Uuid, Uuid), SystemTime>, DbErr> {
    use tombstone::Column::{NoteId, OwnerId};
    let keys = chosen_ids(commands).map(|(owner, id)| OwnerId.eq(owner).and(NoteId.eq(id)));
    let Some(any) = any_of(keys) else { return Ok(HashMap::new()) };
    let rows = tombstone::Entity::find().filter(any).all(transaction).await?;
    Ok(rows.into_iter().map(|row| ((row.owner_id, row.note_id), from_micros(row.expire_us))).collect())
}

/// Which of the tags that the notes are to have are there.
async fn known_tags(
    transaction: &impl ConnectionTrait,
    commands: &[CreateCommand],
) -> Result<HashSet<(Uuid, TagId)>, DbErr> {
    use tag::Column::{OwnerId, TagId as Id};
    let mut wanted: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for command in commands.iter().filter(|command| !command.note.fields.tags.is_empty()) {
        wanted.entry(command.owner).or_default().extend(command.note.fields.tags.iter().map(|tag| tag.as_uuid()));
    }
    let tagged = wanted.into_iter().map(|(owner, tags)| OwnerId.eq(owner).and(Id.is_in(tags)));
    let Some(any) = any_of(tagged) else { return Ok(HashSet::new()) };
    let select = tag::Entity::find().select_only().columns([OwnerId, Id]).filter(any);
    let known: Vec<(Uuid, Uuid)> = select.into_tuple().all(transaction).await?;
    Ok(known.into_iter().map(|(owner, tag)| (owner, TagId::from_uuid(tag))).collect())
}

/// Which of the requests were seen before, expired or not.
async fn seen_requests(
    transaction: &impl ConnectionTrait,
    commands: &[CreateCommand],
) -> Result<HashMap<(Uuid, Uuid), SeenRequest>, DbErr> {
    use create_request::Column::{OwnerId, RequestId};
    let repeatable = commands.iter().filter_map(|command| {
        let repetition = command.note.repetition.as_ref()?;
        Some(OwnerId.eq(command.owner).and(RequestId.eq(repetition.request.as_uuid())))
    });
    let Some(any) = any_of(repeatable) else { return Ok(HashMap::new()) };
    let rows = create_request::Entity::find().filter(any).all(transaction).await?;
    let seen = rows.into_iter().map(|row| {
        let expire_time = from_micros(row.expire_us);
        let seen = SeenRequest { fingerprint: row.fingerprint, id: NoteId::from_uuid(row.note_id), expire_time };
        ((row.owner_id, row.request_id), seen)
    });
    Ok(seen.collect())
}

/// One of these holds; none if there are none. SQLite has no `IN` for lists of pairs.
fn any_of(conditions: impl Iterator<Item = sea_orm::sea_query::Expr>) -> Option<Condition> {
    let any = conditions.fold(Condition::any(), Condition::add);
    (!any.is_empty()).then_some(any)
}
