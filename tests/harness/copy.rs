//! A copy of somebody's notes and tags at a client, kept as the contract says.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use proto::notes::v1::note_change::Change;
use proto::notes::v1::watch_notes_response::Event;
use proto::notes::v1::{
    ListNoteChangesRequest, ListNotesRequest, ListTagsRequest, Note, NoteChange, NoteView, NotesDigest, Tag,
    WatchNotesResponse,
};
use tonic::Streaming;

use super::actor::Person;

/// Notes and tags by their names, and the token to go on from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copy {
    pub notes: BTreeMap<String, Note>,
    pub tags: BTreeMap<String, Tag>,
    pub sync_token: String,
}

impl Copy {
    /// What a list brings, its first page's token with it.
    pub async fn listed(person: &Person) -> Self {
        let mut request =
            ListNotesRequest { page_size: 3, show_deleted: true, view: NoteView::Full.into(), ..Default::default() };
        let mut copy = Self::default();
        loop {
            let page = person.list(request.clone()).await.expect("a page");
            assert_eq!(page.sync_token.is_empty(), !request.page_token.is_empty(), "on the first page alone");
            if request.page_token.is_empty() {
                copy.sync_token = page.sync_token;
                let tags = person.list_tags(ListTagsRequest::default()).await.expect("few tags").tags;
                copy.tags = tags.into_iter().map(|tag| (tag.name.clone(), tag)).collect();
            }
            copy.notes.extend(page.notes.into_iter().map(|note| (note.name.clone(), note)));
            if page.next_page_token.is_empty() {
                return copy;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Asks for changes until there are no more; the copy must be whole then. Says what there was.
    pub async fn follow(&mut self, person: &Person, page_size: i32) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            let view = NoteView::Full.into();
            let request = ListNoteChangesRequest { sync_token: self.sync_token.clone(), page_size, view };
            let page = person.changes(request).await.expect("a page");
            changes.extend(page.changes.iter().cloned().filter_map(|change| change.change));
            self.apply(page.changes);
            self.sync_token = page.next_sync_token;
            assert_eq!(page.digest.is_none(), page.more_available);
            if let Some(digest) = page.digest {
                assert_eq!(self.digest(), digest, "the copy is whole");
                return changes;
            }
        }
    }

    /// Applies messages until the copy has everything, and is whole.
    pub async fn catch_up(&mut self, stream: &mut Streaming<WatchNotesResponse>) {
        loop {
            let message = next(stream).await;
            let digest = match message.event.expect("an event") {
                Event::Batch(batch) => {
                    self.apply(batch.changes);
                    batch.digest
                }
                Event::Checkpoint(checkpoint) => Some(checkpoint.digest.expect("a digest")),
                other => panic!("the stream ends: {other:?}"),
            };
            self.sync_token = message.sync_token;
            if let Some(digest) = digest {
                assert_eq!(self.digest(), digest, "the copy is whole");
                return;
            }
        }
    }

    pub fn apply(&mut self, changes: Vec<NoteChange>) {
        for change in changes {
            match change.change.expect("a change") {
                Change::Note(note) => drop(self.notes.insert(note.name.clone(), note)),
                Change::Removed(name) => drop(self.notes.remove(&name)),
                Change::TrashEmptied(_) => self.notes.retain(|_, note| note.delete_time.is_none()),
                Change::Tag(tag) => drop(self.tags.insert(tag.name.clone(), tag)),
                Change::TagRemoved(name) => drop(self.tags.remove(&name)),
            }
        }
    }

    /// What the copy comes to, counted by itself.
    pub fn digest(&self) -> NotesDigest {
        let notes = |trashed: bool| {
            let notes = self.notes.values().filter(move |note| note.delete_time.is_some() == trashed);
            count_and_hash(notes.map(|note| (&note.name, &note.etag)))
        };
        let ((note_count, notes_hash), (deleted_note_count, deleted_notes_hash)) = (notes(false), notes(true));
        let (tag_count, tags_hash) = count_and_hash(self.tags.values().map(|tag| (&tag.name, &tag.etag)));
        NotesDigest { note_count, notes_hash, deleted_note_count, deleted_notes_hash, tag_count, tags_hash }
    }
}

/// What a set comes to, of which these are the names and etags.
fn count_and_hash<'a>(members: impl Iterator<Item = (&'a String, &'a String)>) -> (i64, Vec<u8>) {
    members.fold((0, vec![0; 32]), |(count, mut hash), (name, etag)| {
        let one = digest(&SHA256, format!("{name}\n{etag}").as_bytes());
        hash.iter_mut().zip(one.as_ref()).for_each(|(sum, byte)| *sum ^= byte);
        (count + 1, hash)
    })
}

/// The next message of a stream, which must come.
pub async fn next(stream: &mut Streaming<WatchNotesResponse>) -> WatchNotesResponse {
    let message = tokio::time::timeout(Duration::from_secs(60), stream.message()).await.expect("a message comes");
    message.expect("the stream goes on").expect("a message")
}
