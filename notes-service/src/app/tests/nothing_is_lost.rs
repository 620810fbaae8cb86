//! Many sessions of two people write at random and at the same time. Whatever the service has acknowledged is there
//! afterwards, and everything that is counted equals a recount.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use authn::SessionId;

use super::*;
use crate::domain::{ChangesPageSize, NotesDigest, Revision, RevisionId, SetDigest};
use crate::testing::Dice;

const SESSIONS: u64 = 4;
const STEPS: usize = 60;

/// The notes of one person, as far as any of their sessions knows.
#[derive(Default)]
struct Shared {
    ids: Mutex<Vec<NoteId>>,
}

/// What one session was told by the service.
#[derive(Default)]
struct Told {
    /// Texts that were acknowledged.
    texts: Vec<(NoteId, String)>,
    /// Those of them whose place this session's next edit took, which had seen them.
    own_drafts: HashSet<String>,
    /// Every version that was acknowledged, and its time.
    versions: BTreeMap<(NoteId, i64), SystemTime>,
    /// Changes that leave no version: removals for good.
    removals: i64,
}

struct Session {
    app: App,
    clock: ManualClock,
    writer: Writer,
    shared: Arc<Shared>,
    dice: Dice,
    /// Notes as this session last saw them.
    seen: HashMap<NoteId, Note>,
    told: Told,
    name: u64,
    written: usize,
}

impl Session {
    async fn run(mut self) -> (Subject, Told) {
        for _ in 0..STEPS {
            if self.dice.roll(4) == 0 {
                self.clock.advance(Duration::from_secs(self.dice.roll(120).try_into().unwrap()));
            }
            match self.dice.roll(20) {
                0..=2 => self.create().await,
                3 => self.create_two().await,
                4..=8 => self.edit(true).await,
                9..=11 => self.edit(false).await,
                12 => self.edit_two().await,
                13 => self.toggle().await,
                14..=15 => self.roll_back().await,
                16 => self.delete().await,
                17 => self.undelete().await,
                18 => self.expunge().await,
                _ => self.rarely().await,
            }
        }
        (self.writer.owner, self.told)
    }

    /// A text that nobody else writes.
    fn text(&mut self) -> String {
        self.written += 1;
        format!("{} of {} {}", self.written, self.name, "x".repeat(self.dice.roll(60)))
    }

    fn any_id(&mut self) -> Option<NoteId> {
        let ids = self.shared.ids.lock().unwrap();
        (!ids.is_empty()).then(|| ids[self.dice.roll(ids.len())])
    }

    /// Remembers a version that the service acknowledged.
    fn acknowledge(&mut self, note: Note) {
        self.told.versions.insert((note.id, note.etag.revision), note.update_time);
        self.seen.insert(note.id, note);
    }

    fn acknowledge_text(&mut self, note: Note) {
        self.told.texts.push((note.id, text(&note)));
        self.acknowledge(note);
    }

    fn made(&mut self, note: Note) {
        self.shared.ids.lock().unwrap().push(note.id);
        self.acknowledge_text(note);
    }

    async fn create(&mut self) {
        let note = new(&self.text());
        let note = self.app.create_note(self.writer.owner, note).await.expect("made");
        self.made(note);
    }

    async fn create_two(&mut self) {
        let notes = vec![new(&self.text()), new(&self.text())];
        let notes = self.app.batch_create_notes(self.writer.owner, notes, View::Full).await.expect("made");
        notes.into_iter().for_each(|note| self.made(note));
    }

    /// An update with another text, of the version that was seen last or of whatever is there.
    fn update(&mut self, id: NoteId, conditional: bool) -> UpdateNote {
        let etag = self.seen.get(&id).map(|note| note.etag).filter(|_| conditional);
        UpdateNote { etag, ..update(id, &self.text()) }
    }

    /// The service says that the update was made.
    fn updated(&mut self, update: &UpdateNote, note: Note) {
        if update.etag.is_some()
            && let Some(before) = self.seen.get(&update.id)
        {
            let before = text(before);
            if self.told.texts.contains(&(update.id, before.clone())) {
                self.told.own_drafts.insert(before);
            }
        }
        self.acknowledge_text(note);
    }

    async fn edit(&mut self, conditional: bool) {
        let Some(id) = self.any_id() else { return };
        if conditional && (!self.seen.contains_key(&id) || self.dice.roll(3) > 0) {
            self.look(id).await;
        }
        let update = self.update(id, conditional);
        match self.app.update_note(self.writer, update.clone()).await {
            Ok(note) => self.updated(&update, note),
            Err(Error::EtagMismatch) if update.etag.is_some() => self.look(id).await,
            Err(Error::NoteDeleted | Error::NoteNotFound) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn edit_two(&mut self) {
        let (Some(one), Some(other)) = (self.any_id(), self.any_id()) else { return };
        if one == other {
            return;
        }
        let updates = vec![self.update(one, true), self.update(other, false)];
        match self.app.batch_update_notes(self.writer, updates.clone(), View::Full).await {
            Ok(notes) => notes.into_iter().zip(&updates).for_each(|(note, update)| self.updated(update, note)),
            Err(Error::InBatch { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn look(&mut self, id: NoteId) {
        match self.app.notes().for_owner(self.writer.owner).find(id, View::Full).await.expect("the store works") {
            Some(note) => drop(self.seen.insert(id, note)),
            None => drop(self.seen.remove(&id)),
        }
    }

    /// A change that leaves the text.
    async fn toggle(&mut self) {
        let Some(id) = self.any_id() else { return };
        self.look(id).await;
        let Some(note) = self.seen.get(&id) else { return };
        let patch = NotePatch { pinned: Some(!note.pinned), ..NotePatch::default() };
        let update = UpdateNote { id, patch, etag: Some(note.etag), otherwise: None };
        if let Ok(note) = self.app.update_note(self.writer, update).await {
            self.acknowledge(note);
        }
    }

    async fn roll_back(&mut self) {
        let Some(id) = self.any_id() else { return };
        let Some(history) = history(&self.app, self.writer.owner, id).await else { return };
        if history.is_empty() {
            return;
        }
        let revision = history[self.dice.roll(history.len())].snapshot.etag.revision;
        let etag = self.seen.get(&id).map(|note| note.etag).filter(|_| self.written.is_multiple_of(2));
        let roll_back = RollBackNote { id, revision: RevisionId::from_number(revision).expect("from 1"), etag };
        match self.app.roll_back_note(self.writer, roll_back).await {
            Ok(note) => self.acknowledge(note),
            Err(Error::EtagMismatch | Error::NoteDeleted | Error::NoteNotFound | Error::RevisionNotFound) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn delete(&mut self) {
        let Some(id) = self.any_id() else { return };
        let deletion = DeleteNote { id, etag: None, allow_missing: false };
        let deleted = if self.written.is_multiple_of(2) {
            self.app.delete_note(self.writer.owner, deletion).await
        } else {
            let batch = self.app.batch_delete_notes(self.writer.owner, vec![deletion], View::Full).await;
            batch.map(|mut notes| notes.remove(0))
        };
        if let Ok(Some(note)) = deleted {
            self.acknowledge(note);
        }
    }

    async fn undelete(&mut self) {
        let Some(id) = self.any_id() else { return };
        if let Ok(note) = self.app.undelete_note(self.writer.owner, id).await {
            self.acknowledge(note);
        }
    }

    async fn expunge(&mut self) {
        let Some(id) = self.any_id() else { return };
        let deletion = DeleteNote { id, etag: None, allow_missing: false };
        if let Ok(Some(note)) = self.app.delete_note(self.writer.owner, deletion).await {
            self.acknowledge(note);
        }
        if self.app.expunge_note(self.writer.owner, id).await.is_ok() {
            self.told.removals += 1;
        }
    }

    async fn rarely(&mut self) {
        if self.dice.roll(4) == 0 {
            let emptied = self.app.empty_trash(self.writer.owner).await.expect("the store works");
            self.told.removals += i64::from(emptied > 0);
        } else {
            let purged = self.app.purge(3).await.expect("the store works");
            self.told.removals += i64::try_from(purged).expect("few");
        }
    }
}

fn text(note: &Note) -> String {
    note.content.clone().expect("it was read whole").into_string()
}

/// Every revision of a note, whole; none if it is gone.
async fn history(app: &App, owner: Subject, note: NoteId) -> Option<Vec<Revision>> {
    let (size, mut revisions, mut page_token) = (PageSize::parse(9).expect("a size"), Vec::new(), String::new());
    loop {
        let list = ListRevisions { note, view: View::Full, size, page_token };
        let page = match app.list_revisions(owner, list).await {
            Ok(page) => page,
            Err(Error::NoteNotFound) => return None,
            Err(error) => panic!("{error:?}"),
        };
        revisions.extend(page.revisions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Some(revisions);
        }
    }
}

/// Every note of an owner by its id, whole, with its history.
async fn everything(app: &App, owner: Subject) -> HashMap<NoteId, (Note, Vec<Revision>)> {
    let (order, size) = (Order::parse("").expect("the default"), PageSize::parse(50).expect("a size"));
    let (mut notes, mut page_token) = (HashMap::new(), String::new());
    loop {
        let list =
            ListNotes { order, show_deleted: true, filter: NoteFilter::default(), view: View::Full, size, page_token };
        let page = app.list_notes(owner, list).await.expect("a page");
        for note in page.notes {
            let history = history(app, owner, note.id).await.expect("it is there");
            notes.insert(note.id, (note, history));
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return notes;
        }
    }
}

/// Asserts that what is counted of an owner equals a recount.
async fn check_counters(app: &App, owner: Subject, notes: &HashMap<NoteId, (Note, Vec<Revision>)>) {
    let usage = app.get_usage(owner).await.expect("usage");
    let (trashed, live): (Vec<_>, Vec<_>) = notes.values().partition(|(note, _)| note.trashed.is_some());
    let bytes = |notes: &[&(Note, Vec<Revision>)]| notes.iter().map(|(note, _)| note.bytes()).sum::<u64>();
    assert_eq!(usage.note_count, u64::try_from(notes.len()).unwrap());
    assert_eq!(usage.deleted_note_count, u64::try_from(trashed.len()).unwrap());
    assert_eq!(usage.deleted_bytes, bytes(&trashed));
    assert_eq!(usage.bytes, bytes(&trashed) + bytes(&live));
    let revisions = notes.values().flat_map(|(_, history)| history);
    assert_eq!(usage.revision_bytes, revisions.map(|revision| revision.snapshot.bytes()).sum::<u64>());
    let digest = |notes: &[&(Note, Vec<Revision>)]| {
        notes.iter().fold(SetDigest::default(), |set, (note, _)| set.toggled(note.id, note.etag))
    };
    let expected =
        (usage.note_count - usage.deleted_note_count, digest(&live), usage.deleted_note_count, digest(&trashed));
    let told = told_digest(app, owner).await;
    assert_eq!((told.note_count, told.notes, told.deleted_note_count, told.deleted_notes), expected);
}

/// What the last page of changes says that a whole copy comes to.
async fn told_digest(app: &App, owner: Subject) -> NotesDigest {
    let size = ChangesPageSize::parse(0).expect("the default");
    let mut list = ListNoteChanges { sync_token: String::new(), view: View::Basic, size };
    loop {
        let page = app.list_note_changes(owner, list.clone()).await.expect("a page");
        if let Some(digest) = page.digest {
            return digest;
        }
        list.sync_token = page.next_sync_token;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_acknowledged_text_is_the_head_or_a_revision_whoever_writes_at_the_same_time() {
    let service = Service::start().await;
    let mut sessions = Vec::new();
    for person in 0..2 {
        let (owner, shared) = (somebody(), Arc::new(Shared::default()));
        for session in 1..=SESSIONS {
            let name = person * SESSIONS + session;
            let session = Session {
                app: service.app.clone(),
                clock: service.clock.clone(),
                writer: Writer { owner, session: Some(SessionId::from_uuid(Uuid::new_v4())) },
                shared: Arc::clone(&shared),
                dice: Dice::new(name),
                seen: HashMap::new(),
                told: Told::default(),
                name,
                written: 0,
            };
            sessions.push(tokio::spawn(session.run()));
        }
    }
    let mut told: BTreeMap<Subject, Vec<Told>> = BTreeMap::new();
    for ended in join_all(sessions).await {
        let (owner, of_session) = ended.expect("no panic");
        told.entry(owner).or_default().push(of_session);
    }
    let purged = service.app.purge(3).await.expect("the store works");

    let (mut changes, mut numbered) = (i64::try_from(purged).expect("few"), 0);
    let (mut kept, mut gone) = (0, 0);
    for (owner, told) in told {
        let notes = everything(&service.app, owner).await;
        for (id, text) in told.iter().flat_map(|told| &told.texts) {
            let Some((head, history)) = notes.get(id) else {
                gone += 1;
                continue;
            };
            let mut all = std::iter::once(head).chain(history.iter().map(|revision| &revision.snapshot));
            if all.any(|version| &self::text(version) == text) {
                kept += 1;
            } else {
                assert!(told.iter().any(|told| told.own_drafts.contains(text)), "{text} is lost");
            }
        }
        check_counters(&service.app, owner, &notes).await;

        let versions: BTreeMap<_, _> = told.iter().flat_map(|told| told.versions.clone()).collect();
        let times: HashSet<_> = versions.values().collect();
        assert_eq!(times.len(), versions.len(), "no two changes of an owner have one time");
        for (id, (head, _)) in &notes {
            let last = versions.range((*id, 0)..=(*id, i64::MAX)).next_back().expect("it was acknowledged");
            assert_eq!((last.0.1, *last.1), (head.etag.revision, head.update_time), "the last version is the head");
            let acknowledged = versions.range((*id, 0)..=(*id, i64::MAX)).count();
            assert_eq!(i64::try_from(acknowledged).unwrap(), head.etag.revision, "none comes between unseen");
        }
        changes += i64::try_from(versions.len()).unwrap() + told.iter().map(|told| told.removals).sum::<i64>();
        numbered += service.app.notes().for_owner(owner).state().await.unwrap().expect("they wrote").change_seq;
    }
    assert_eq!(numbered, changes, "one number per change: none is left out, none stands for two");
    assert!(kept > 50 && gone > 0, "the dice did all of it: {kept} {gone}");
}
