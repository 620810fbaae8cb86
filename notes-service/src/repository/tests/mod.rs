//! What the repository promises, on the engine that `TEST_POSTGRES_URL` chooses.

mod batches;
mod changes;
mod creations;
mod explain;
mod filter_plans;
mod filters;
mod lists;
mod locked_partitions;
mod migrations;
mod plans;
mod revisions;
mod row_security;
mod search;
mod search_and_reading;
mod search_filters;
mod sync;
mod tag_plans;
mod tags;
mod trash;
mod workload;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use authn::{SessionId, Subject};
use runtime::database::{Database, from_micros};
use runtime::testing::Store;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use super::entity::{note, note_body, note_revision, owner_state, tombstone};
use super::{Batching, Changed, CreateNote, Creation, CreationRefused, Decision, NewId, NoteRepository, UnknownTags};
use crate::domain::{
    Content, Etag, Note, NoteFields, NoteId, NotePatch, OwnerState, Quota, QuotaExceeded, Replacement, RevisionPolicy,
    RevisionReason, Title, Update,
};
use crate::testing::config;
pub(super) use crate::testing::{Dice, somebody};

pub(super) const QUOTA: Quota = Quota { notes: 100_000, bytes: 1 << 30 };
pub(super) const POLICY: RevisionPolicy = RevisionPolicy {
    coalesce: Duration::from_secs(300),
    min: 10,
    max: 100,
    retention: Duration::from_secs(30 * 24 * 60 * 60),
    bytes: 1 << 30,
};
pub(super) const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A repository on a fresh store, and a clock that moves by itself.
pub(super) struct Fixture {
    pub(super) repository: NoteRepository,
    micros: AtomicU64,
    store: Store,
}

/// Why an update was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    EtagMismatch,
    InTrash,
    NoRevision,
    Live,
    Quota(QuotaExceeded),
    UnknownTags(UnknownTags),
}

impl From<UnknownTags> for Refusal {
    fn from(unknown: UnknownTags) -> Self {
        Self::UnknownTags(unknown)
    }
}

impl Fixture {
    pub(super) async fn fresh() -> Self {
        Self::on(Store::fresh().await).await
    }

    pub(super) async fn on(store: Store) -> Self {
        let batching = Batching { queue: 1_024, size: 64 };
        let repository = NoteRepository::open(&config(&store), batching).await.expect("the store opens");
        while !repository.is_ready(Duration::from_secs(5)).await {
            tokio::task::yield_now().await;
        }
        Self { repository, micros: AtomicU64::new(1_764_000_000_000_000), store }
    }

    /// The store as those see it who own the tables.
    pub(super) async fn past_the_wall(&self) -> Database {
        Database::join::<super::migration::Migrator>(&self.store.config()).await.expect("the store opens")
    }

    /// A time later than all before.
    pub(super) fn now(&self) -> SystemTime {
        from_micros(self.micros.fetch_add(1_000, Ordering::SeqCst).try_into().expect("a time of this century"))
    }

    pub(super) fn command(&self, fields: NoteFields) -> CreateNote {
        CreateNote {
            id: NewId::Drawn(NoteId::from_uuid(Uuid::now_v7())),
            fields,
            repetition: None,
            now: self.now(),
            quota: QUOTA,
        }
    }

    pub(super) async fn create(&self, owner: Subject, fields: NoteFields) -> Note {
        match self.repository.for_owner(owner).create(self.command(fields)).await.expect("the store works") {
            Creation::Created(note) => note,
            other => panic!("not created: {other:?}"),
        }
    }

    pub(super) async fn update(
        &self,
        owner: Subject,
        id: NoteId,
        patch: NotePatch,
        etag: Option<Etag>,
    ) -> Changed<Refusal> {
        self.update_by(None, (owner, id), patch, etag, self.now()).await
    }

    /// As `update`, by a session and at a time.
    pub(super) async fn update_by(
        &self,
        session: Option<SessionId>,
        (owner, id): (Subject, NoteId),
        patch: NotePatch,
        etag: Option<Etag>,
        now: SystemTime,
    ) -> Changed<Refusal> {
        let reason = if etag.is_some() { RevisionReason::Edit } else { RevisionReason::BlindOverwrite };
        let replacement = Replacement { reason, session, policy: POLICY };
        let decide = move |owner: &mut OwnerState, note: &Note| match patch.apply(note, etag) {
            Update::Changed(changed) => match owner.resize(note.bytes(), changed.bytes(), &QUOTA) {
                Ok(()) if changed.has_text_of(note) => Decision::Save(changed.changed_at(owner.stamp(now).time)),
                Ok(()) => Decision::Replace(changed.changed_at(owner.stamp(now).time), replacement),
                Err(exceeded) => Decision::Refuse(Refusal::Quota(exceeded)),
            },
            Update::Unchanged => Decision::Keep,
            Update::InTrash => Decision::Refuse(Refusal::InTrash),
            Update::EtagMismatch => Decision::Refuse(Refusal::EtagMismatch),
        };
        self.repository.for_owner(owner).change(id, decide).await.expect("the store works")
    }

    pub(super) async fn trash(&self, owner: Subject, id: NoteId) -> Changed<Refusal> {
        let now = self.now();
        let decide = move |owner: &mut OwnerState, note: &Note| match note.trashed {
            None => Decision::Save(note.clone().into_trash(owner.trash(note.bytes(), now, RETENTION).time, RETENTION)),
            Some(_) => Decision::Refuse(Refusal::InTrash),
        };
        self.repository.for_owner(owner).change(id, decide).await.expect("the store works")
    }

    pub(super) async fn restore(&self, owner: Subject, id: NoteId) -> Changed<Refusal> {
        let now = self.now();
        let decide = move |owner: &mut OwnerState, note: &Note| match note.trashed {
            Some(_) => Decision::Save(note.clone().out_of_trash(owner.restore(note.bytes(), now).time)),
            None => Decision::Refuse(Refusal::Live),
        };
        self.repository.for_owner(owner).change(id, decide).await.expect("the store works")
    }

    /// The stored counters of an owner.
    pub(super) async fn state(&self, owner: Subject) -> Option<owner_state::Model> {
        let owner = owner.as_uuid();
        let read = self.repository.database.for_owner(owner).read(move |connection| {
            Box::pin(async move { owner_state::Entity::find_by_id(owner).one(connection).await })
        });
        read.await.expect("the store works")
    }

    /// The number of the last change of each note of an owner.
    pub(super) async fn change_seqs(&self, owner: Subject) -> BTreeMap<NoteId, i64> {
        let owner = owner.as_uuid();
        let read = self.repository.database.for_owner(owner).read(move |connection| {
            let select = note::Entity::find().select_only().columns([note::Column::NoteId, note::Column::ChangeSeq]);
            let select = select.filter(note::Column::OwnerId.eq(owner)).into_tuple::<(Uuid, i64)>();
            Box::pin(async move { select.all(connection).await })
        });
        let rows = read.await.expect("the store works");
        rows.into_iter().map(|(id, seq)| (NoteId::from_uuid(id), seq)).collect()
    }
}

pub(super) fn titled(title: &str) -> NoteFields {
    NoteFields { title: Title::parse(title).expect("a title"), ..NoteFields::default() }
}

pub(super) fn written(content: &str) -> NoteFields {
    NoteFields { content: Content::parse(content).expect("a content"), ..NoteFields::default() }
}

pub(super) fn content(text: &str) -> NotePatch {
    NotePatch { content: Some(Content::parse(text).expect("a content")), ..NotePatch::default() }
}

/// The note that a change left.
#[track_caller]
pub(super) fn done(changed: Changed<Refusal>) -> Note {
    match changed {
        Changed::Done(note) => note,
        other => panic!("not done: {other:?}"),
    }
}

/// Why a change was refused.
#[track_caller]
pub(super) fn refused(changed: Changed<Refusal>) -> Refusal {
    match changed {
        Changed::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}
