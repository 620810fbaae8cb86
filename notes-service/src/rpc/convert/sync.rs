//! What a copy of the notes and tags is kept by.

use proto::notes::v1 as wire;
use wire::{note_change, watch_notes_response};

use super::{Malformed, Violations, count, tag_name};
use crate::app::{GoingAway, ListNoteChanges, NoteChangesPage, WatchEvent, WatchNotes};
use crate::domain::{Change, ChangesPageSize, NotesDigest, View};

pub(in crate::rpc) fn list_note_changes(request: wire::ListNoteChangesRequest) -> Result<ListNoteChanges, Malformed> {
    let mut violations = Violations::default();
    let size = ChangesPageSize::parse(request.page_size).ok_or("must not be negative");
    let size = violations.check("page_size", size);
    let view = violations.view(request.view, View::Basic);
    let (size, view) = violations.unless_any(size.zip(view))?;
    Ok(ListNoteChanges { sync_token: request.sync_token, view, size })
}

pub(in crate::rpc) fn watch_notes(request: wire::WatchNotesRequest) -> Result<WatchNotes, Malformed> {
    let mut violations = Violations::default();
    let view = violations.view(request.view, View::Basic);
    let view = violations.unless_any(view)?;
    Ok(WatchNotes { sync_token: request.sync_token, view })
}

impl From<NoteChangesPage> for wire::ListNoteChangesResponse {
    fn from(page: NoteChangesPage) -> Self {
        Self {
            changes: page.changes.into_iter().map(Into::into).collect(),
            next_sync_token: page.next_sync_token,
            more_available: page.digest.is_none(),
            digest: page.digest.map(Into::into),
        }
    }
}

impl From<Change> for wire::NoteChange {
    fn from(change: Change) -> Self {
        let change = match change {
            Change::Note(note) => note_change::Change::Note(note.into()),
            Change::Removed(id) => note_change::Change::Removed(format!("notes/{id}")),
            Change::TrashEmptied => note_change::Change::TrashEmptied(wire::TrashEmptied {}),
            Change::Tag(tag) => note_change::Change::Tag(tag.into()),
            Change::TagRemoved(id) => note_change::Change::TagRemoved(tag_name(id)),
        };
        Self { change: Some(change) }
    }
}

impl From<NotesDigest> for wire::NotesDigest {
    fn from(digest: NotesDigest) -> Self {
        Self {
            note_count: count(digest.note_count),
            notes_hash: digest.notes.as_bytes().to_vec(),
            deleted_note_count: count(digest.deleted_note_count),
            deleted_notes_hash: digest.deleted_notes.as_bytes().to_vec(),
            tag_count: count(digest.tag_count),
            tags_hash: digest.tags.as_bytes().to_vec(),
        }
    }
}

impl From<WatchEvent> for wire::WatchNotesResponse {
    fn from(event: WatchEvent) -> Self {
        use watch_notes_response::Event;
        let (event, sync_token) = match event {
            WatchEvent::Batch { changes, digest, sync_token } => {
                let changes = changes.into_iter().map(Into::into).collect();
                (Event::Batch(wire::NoteBatch { changes, digest: digest.map(Into::into) }), sync_token)
            }
            WatchEvent::Checkpoint { digest, sync_token } => {
                (Event::Checkpoint(wire::Checkpoint { digest: Some(digest.into()) }), sync_token)
            }
            WatchEvent::Reset => (Event::Reset(wire::Reset {}), String::new()),
            WatchEvent::GoingAway { reason, sync_token } => {
                let reason = wire::GoingAwayReason::from(reason).into();
                (Event::GoingAway(wire::GoingAway { reason }), sync_token)
            }
        };
        Self { event: Some(event), sync_token }
    }
}

impl From<GoingAway> for wire::GoingAwayReason {
    fn from(reason: GoingAway) -> Self {
        match reason {
            GoingAway::TokenExpired => Self::TokenExpired,
            GoingAway::SessionRevoked => Self::SessionRevoked,
            GoingAway::ServerDrain => Self::ServerDrain,
        }
    }
}
