use super::super::purge::Purge;
use super::*;
use crate::domain::{Order, PageQuery, SetDigest, View};
use crate::testing::list_in;

const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

impl Fixture {
    pub(super) async fn expunge(&self, owner: Subject, id: NoteId) -> Changed<Refusal> {
        let now = self.now();
        let decide = move |owner: &mut OwnerState, note: &Note| match note.trashed {
            Some(_) => {
                owner.expunge(note.bytes(), now, now + REMEMBERED);
                Decision::Remove { remembered: now + REMEMBERED }
            }
            None => Decision::Refuse(Refusal::Live),
        };
        self.repository.for_owner(owner).change(id, decide).await.expect("the store works")
    }

    pub(super) async fn empty_trash(&self, owner: Subject) -> u64 {
        self.repository.for_owner(owner).empty_trash(self.now()).await.expect("the store works")
    }

    /// Purges what is due `after` from now, of every owner; says how many notes that were.
    pub(super) async fn purge(&self, after: Duration, batch: u16) -> usize {
        let purge = Purge { now: self.now() + after, tombstone_retention: REMEMBERED, batch };
        let due = self.repository.due_owners(None, purge.now).await.expect("the store works");
        assert!(due.next.is_none(), "one step looks at all owners of a test");
        let mut notes = 0;
        for owner in due.owners {
            loop {
                let purged = self.repository.purge(owner, purge).await.expect("the store works");
                assert!(purged.notes <= usize::from(batch) * 2);
                notes += purged.notes;
                if !purged.more {
                    break;
                }
            }
        }
        notes
    }

    pub(super) async fn count<E: sea_orm::EntityTrait>(&self) -> u64 {
        let database = self.past_the_wall().await;
        let read = database.read(|connection| {
            Box::pin(async move {
                let rows = E::find().select_only().column_as(sea_orm::sea_query::Expr::cust("1"), "one");
                let rows: Vec<i32> = rows.into_tuple().all(connection).await?;
                Ok(u64::try_from(rows.len()).expect("few rows"))
            })
        });
        read.await.expect("the store works")
    }

    async fn found(&self, owner: Subject, id: NoteId) -> Option<Note> {
        self.repository.for_owner(owner).find(id, View::Full).await.expect("the store works")
    }

    async fn listed(&self, owner: Subject, order: &str) -> Vec<NoteId> {
        let order = Order::parse(order).expect("an order");
        let query = PageQuery { show_deleted: true, view: View::Full, ..list_in(order) };
        let page = self.repository.for_owner(owner).page(query).await.expect("the store works");
        page.notes.into_iter().map(|note| note.id).collect()
    }

    async fn make_with_id(&self, owner: Subject, id: NoteId) -> Creation {
        let command = CreateNote { id: NewId::Chosen(id), ..self.command(NoteFields::default()) };
        self.repository.for_owner(owner).create(command).await.expect("the store works")
    }

    /// Asserts that what is counted of the owner is what these notes come to.
    pub(super) async fn check_counters(&self, owner: Subject, notes: &[&Note]) {
        let state = self.state(owner).await.expect("the owner wrote");
        let (trashed, live): (Vec<_>, Vec<_>) = notes.iter().partition(|note| note.trashed.is_some());
        let bytes = |notes: &[&&Note]| notes.iter().map(|note| i64::try_from(note.bytes()).unwrap()).sum::<i64>();
        assert_eq!(state.note_count, i64::try_from(notes.len()).unwrap());
        assert_eq!(state.deleted_note_count, i64::try_from(trashed.len()).unwrap());
        assert_eq!(state.deleted_bytes, bytes(&trashed));
        assert_eq!(state.bytes, bytes(&trashed) + bytes(&live));
        let digest =
            |notes: &[&&Note]| notes.iter().fold(SetDigest::default(), |set, note| set.toggled(note.id, note.etag));
        assert_eq!(state.notes_digest, digest(&live).as_bytes());
        assert_eq!(state.deleted_notes_digest, digest(&trashed).as_bytes());
    }
}

#[tokio::test]
async fn an_expunged_note_is_gone_with_its_body_and_its_id_is_remembered() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let note = fixture.create(alice, written("text")).await;
    let other = fixture.create(alice, written("other")).await;
    assert_eq!(refused(fixture.expunge(alice, note.id).await), Refusal::Live);
    assert!(matches!(fixture.expunge(bob, note.id).await, Changed::Missing));

    let trashed = done(fixture.trash(alice, note.id).await);
    assert!(matches!(fixture.expunge(bob, note.id).await, Changed::Missing));
    assert_eq!(done(fixture.expunge(alice, note.id).await), trashed);
    assert_eq!(fixture.found(alice, note.id).await, None);
    assert!(matches!(fixture.expunge(alice, note.id).await, Changed::Missing));
    assert_eq!(fixture.count::<note_body::Entity>().await, 1);
    fixture.check_counters(alice, &[&other]).await;
    assert_eq!(fixture.state(alice).await.expect("alice wrote").change_seq, 4);

    assert!(matches!(fixture.make_with_id(alice, note.id).await, Creation::Refused(CreationRefused::Expunged)));
    assert!(matches!(fixture.make_with_id(bob, note.id).await, Creation::Created(_)), "that is Alice's matter");
}

#[tokio::test]
async fn an_id_is_free_again_when_its_tombstone_has_expired() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let note = fixture.create(alice, written("text")).await;
    done(fixture.trash(alice, note.id).await);
    done(fixture.expunge(alice, note.id).await);
    let late = CreateNote { now: fixture.now() + REMEMBERED, ..fixture.command(written("again")) };
    let late = CreateNote { id: NewId::Chosen(note.id), ..late };
    let creation = fixture.repository.for_owner(alice).create(late).await.expect("the store works");
    assert!(matches!(creation, Creation::Created(_)), "though its row is still there: {creation:?}");

    done(fixture.trash(alice, note.id).await);
    done(fixture.expunge(alice, note.id).await);
    assert_eq!(fixture.count::<tombstone::Entity>().await, 1);
    fixture.purge(REMEMBERED, 10).await;
    assert_eq!(fixture.count::<tombstone::Entity>().await, 0);
}

#[tokio::test]
async fn an_emptied_trash_is_gone_at_once_for_every_way_to_a_note() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let live = fixture.create(alice, written("live")).await;
    let bobs = fixture.create(bob, written("his")).await;
    let bobs = done(fixture.trash(bob, bobs.id).await);
    let mut emptied = Vec::new();
    for text in ["one", "two", "three"] {
        let note = fixture.create(alice, written(text)).await;
        emptied.push(done(fixture.trash(alice, note.id).await).id);
    }
    assert_eq!(fixture.empty_trash(alice).await, 3);
    assert_eq!(fixture.empty_trash(alice).await, 0, "nothing is left");
    assert_eq!(fixture.empty_trash(somebody()).await, 0);

    for id in &emptied {
        assert_eq!(fixture.found(alice, *id).await, None);
        assert!(matches!(fixture.update(alice, *id, content("x"), None).await, Changed::Missing));
        assert!(matches!(fixture.trash(alice, *id).await, Changed::Missing));
        assert!(matches!(fixture.restore(alice, *id).await, Changed::Missing));
        assert!(matches!(fixture.expunge(alice, *id).await, Changed::Missing));
        assert!(matches!(fixture.make_with_id(alice, *id).await, Creation::Refused(CreationRefused::Expunged)));
    }
    let later = fixture.create(alice, written("later")).await;
    let later = done(fixture.trash(alice, later.id).await);
    for (spelling, _) in Order::ALL {
        let mut listed = fixture.listed(alice, spelling).await;
        listed.sort_unstable();
        let mut expected = vec![live.id, later.id];
        expected.sort_unstable();
        assert_eq!(listed, expected, "{spelling}");
    }
    fixture.check_counters(alice, &[&live, &later]).await;
    assert_eq!(fixture.found(bob, bobs.id).await, Some(bobs));

    assert_eq!(fixture.count::<note::Entity>().await, 6, "the rows are still there");
    assert_eq!(fixture.purge(Duration::ZERO, 2).await, 3);
    assert_eq!(fixture.count::<note::Entity>().await, 3);
    assert_eq!(fixture.count::<note_body::Entity>().await, 3);
    fixture.check_counters(alice, &[&live, &later]).await;
    assert!(matches!(fixture.make_with_id(alice, emptied[0]).await, Creation::Refused(CreationRefused::Expunged)));
    assert_eq!(fixture.found(alice, later.id).await, Some(later));
}

#[tokio::test]
async fn a_note_goes_when_its_purge_time_has_come_and_not_before() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let (live, note) = (fixture.create(alice, written("live")).await, fixture.create(alice, written("text")).await);
    let trashed = done(fixture.trash(alice, note.id).await);
    assert_eq!(fixture.purge(RETENTION - Duration::from_secs(1), 10).await, 0);
    assert_eq!(fixture.found(alice, note.id).await, Some(trashed));

    let back = fixture.create(alice, written("back")).await;
    done(fixture.trash(alice, back.id).await);
    let back = done(fixture.restore(alice, back.id).await);
    assert_eq!(fixture.purge(RETENTION + Duration::from_secs(1), 10).await, 1);
    assert_eq!(fixture.found(alice, note.id).await, None);
    fixture.check_counters(alice, &[&live, &back]).await;
    assert!(matches!(fixture.make_with_id(alice, note.id).await, Creation::Refused(CreationRefused::Expunged)));
    assert_eq!(fixture.purge(RETENTION + Duration::from_secs(1), 10).await, 0, "nobody is due any more");
}

#[tokio::test]
async fn an_owner_is_due_for_what_comes_first_and_then_for_what_comes_next() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let due = async |state: &Fixture| state.state(alice).await.expect("alice wrote").purge_due_us.map(from_micros);
    let note = fixture.create(alice, written("text")).await;
    assert_eq!(due(&fixture).await, None);
    let first = done(fixture.trash(alice, note.id).await).trashed.expect("in the trash").purge_time;
    let other = fixture.create(alice, written("other")).await;
    let second = done(fixture.trash(alice, other.id).await).trashed.expect("in the trash").purge_time;
    assert_eq!(due(&fixture).await, Some(first));
    done(fixture.restore(alice, note.id).await);
    assert_eq!(due(&fixture).await, Some(first), "too early is no mistake");
    assert_eq!(fixture.purge(first.duration_since(fixture.now()).unwrap(), 10).await, 0);
    assert_eq!(due(&fixture).await, Some(second));
}
