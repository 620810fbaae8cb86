use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query as Select};

use super::*;
use crate::domain::NoteFilter;
use crate::domain::search::{Query, SEGMENT_DOCUMENTS, SearchOrder, SearchPageSize, SearchPlace, SearchQuery};
use crate::repository::{Found, SearchPage};

impl Fixture {
    async fn search_page(&self, owner: Subject, query: SearchQuery) -> SearchPage {
        self.repository.for_owner(owner).search(query).await.expect("the store works")
    }

    /// Everything that is found, page by page, with the number of pages.
    pub(super) async fn search(&self, owner: Subject, mut query: SearchQuery) -> (Vec<Found>, usize) {
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let page = self.search_page(owner, query.clone()).await;
            assert!(page.found.len() <= query.size.get());
            pages += 1;
            found.extend(page.found);
            match page.next {
                Some(place) => query.place = place,
                None => return (found, pages),
            }
        }
    }

    pub(super) async fn finds(&self, owner: Subject, text: &str) -> Vec<NoteId> {
        ids(&self.search(owner, newest(text, 20)).await.0)
    }

    /// How many rows of the index an owner has, by table.
    pub(super) async fn index_rows(&self, owner: Subject) -> [usize; 4] {
        let mut counts = [0; 4];
        for (count, table) in
            counts.iter_mut().zip(["search_recent", "search_segments", "search_blocks", "search_backlog"])
        {
            let owned = Expr::col("owner_id").eq(owner.as_uuid());
            let select = Select::select().column("owner_id").from(table).and_where(owned).to_owned();
            let read = self
                .repository
                .database
                .for_owner(owner.as_uuid())
                .read(move |connection| Box::pin(async move { Ok(connection.query_all(&select).await?.len()) }));
            *count = read.await.expect("the store works");
        }
        counts
    }

    /// Whether the bytes of a term stand anywhere in the index.
    async fn index_holds(&self, term: &str) -> bool {
        let (database, mut holds) = (self.past_the_wall().await, false);
        for (table, column) in [("search_recent", "terms"), ("search_blocks", "data"), ("search_blocks", "first_term")]
        {
            let select = Select::select().column(column).from(table).to_owned();
            let read = database.read(move |connection| {
                Box::pin(async move {
                    let rows = connection.query_all(&select).await?;
                    rows.iter().map(|row| row.try_get_by_index::<Vec<u8>>(0)).collect::<Result<Vec<_>, _>>()
                })
            });
            let cells = read.await.expect("the store works");
            holds |= cells.iter().any(|cell| cell.windows(term.len()).any(|window| window == term.as_bytes()));
        }
        holds
    }

    /// Makes so many notes of these texts.
    async fn create_many(&self, owner: Subject, texts: impl Iterator<Item = String>) -> Vec<Note> {
        let texts: Vec<_> = texts.collect();
        let mut notes = Vec::new();
        for chunk in texts.chunks(100) {
            let fields = chunk.iter().map(|text| written(text)).collect();
            notes.extend(self.create_together(owner, fields).await);
        }
        notes
    }
}

pub(super) fn newest(text: &str, size: i32) -> SearchQuery {
    SearchQuery {
        query: Query::parse(text).expect("a query"),
        order: SearchOrder::UpdateTime,
        show_deleted: false,
        filter: NoteFilter::default(),
        size: SearchPageSize::parse(size).expect("a page size"),
        place: SearchPlace::BEGINNING,
    }
}

fn best(text: &str, size: i32) -> SearchQuery {
    SearchQuery { order: SearchOrder::Relevance, ..newest(text, size) }
}

pub(super) fn ids(found: &[Found]) -> Vec<NoteId> {
    found.iter().map(|found| found.note.id).collect()
}

pub(super) fn note(title: &str, content: &str) -> NoteFields {
    NoteFields { title: titled(title).title, ..written(content) }
}

#[tokio::test]
async fn a_search_finds_what_was_just_written_and_not_what_was_written_over() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    assert!(fixture.finds(alice, "milk").await.is_empty());
    let list = fixture.create(alice, note("Shopping", "oat milk")).await;
    let plan = fixture.create(alice, note("Milk run", "")).await;
    fixture.create(bob, note("", "milk of bob")).await;
    assert_eq!(fixture.finds(alice, "MILK").await, [plan.id, list.id]);
    done(fixture.update(alice, list.id, content("only eggs"), None).await);
    assert_eq!(fixture.finds(alice, "milk").await, [plan.id]);
    assert_eq!(fixture.finds(alice, "eggs").await, [list.id]);
    let pinned = NotePatch { pinned: Some(true), ..NotePatch::default() };
    done(fixture.update(alice, plan.id, pinned, None).await);
    assert_eq!(fixture.finds(alice, "-nothing").await, [plan.id, list.id], "the last change first");
    assert_eq!(fixture.index_rows(alice).await, [2, 0, 0, 0]);
}

#[tokio::test]
async fn what_was_found_comes_with_its_places_and_without_its_content() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let made = fixture.create(alice, note("Oat milk", &format!("😀 milk {}", "x ".repeat(20_000)))).await;
    let (found, _) = fixture.search(alice, best("milk", 20)).await;
    let [found] = found.as_slice() else { panic!("not one: {found:?}") };
    assert_eq!(found.note, Note { content: None, ..made });
    assert_eq!(found.title_highlights.iter().map(|place| (place.start, place.end)).collect::<Vec<_>>(), [(4, 8)]);
    assert_eq!(found.excerpt.highlights.iter().map(|place| (place.start, place.end)).collect::<Vec<_>>(), [(2, 6)]);
    assert!(found.excerpt.text.starts_with("😀 milk x"));
}

#[tokio::test]
async fn trashed_notes_are_found_only_when_asked_for_and_emptied_ones_never() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let [live, trashed] = [fixture.create(alice, written("milk")).await, fixture.create(alice, written("milk")).await];
    done(fixture.trash(alice, trashed.id).await);
    assert_eq!(fixture.finds(alice, "milk").await, [live.id]);
    let with_trash = SearchQuery { show_deleted: true, ..newest("milk", 20) };
    assert_eq!(ids(&fixture.search(alice, with_trash.clone()).await.0), [trashed.id, live.id]);
    fixture.empty_trash(alice).await;
    assert_eq!(ids(&fixture.search(alice, with_trash.clone()).await.0), [live.id]);
    let ranked = SearchQuery { order: SearchOrder::Relevance, ..with_trash };
    assert_eq!(ids(&fixture.search(alice, ranked).await.0), [live.id]);
}

#[tokio::test]
async fn words_in_the_title_rank_before_words_that_are_repeated_and_those_before_others() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let title = fixture.create(alice, note("milk", "")).await;
    let often = fixture.create(alice, note("", "milk, milk and milk")).await;
    let old = fixture.create(alice, note("", "milk")).await;
    let new = fixture.create(alice, note("", "some milk")).await;
    for size in [1, 2, 20] {
        let (found, _) = fixture.search(alice, best("milk", size)).await;
        assert_eq!(ids(&found), [title.id, often.id, new.id, old.id]);
    }
}

#[tokio::test]
async fn entries_become_segments_that_find_the_same() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let count = SEGMENT_DOCUMENTS * 2 + 200;
    let texts =
        (0..count).map(|index| format!("every n{index} {}", if index % 100 == 7 { "rare pair" } else { "pair rare" }));
    let notes = fixture.create_many(alice, texts).await;
    let [entries, segments, blocks, _] = fixture.index_rows(alice).await;
    assert!(entries < SEGMENT_DOCUMENTS + 128 && segments == 2 && blocks > 4, "{entries} {segments} {blocks}");
    for index in [0, 100, SEGMENT_DOCUMENTS - 1, SEGMENT_DOCUMENTS, count - 1] {
        assert_eq!(fixture.finds(alice, &format!("n{index}")).await, [notes[index].id]);
    }
    let newest_first: Vec<_> = notes.iter().rev().map(|note| note.id).collect();
    let (found, pages) = fixture.search(alice, newest("every", 100)).await;
    assert_eq!((ids(&found), pages), (newest_first.clone(), count.div_ceil(100)));
    assert_eq!(fixture.finds(alice, "ever*").await, newest_first);
    assert_eq!(fixture.finds(alice, "-nothing").await, newest_first);
    let phrase: Vec<_> =
        notes.iter().enumerate().filter(|(index, _)| index % 100 == 7).map(|(_, note)| note.id).collect();
    let mut found = fixture.finds(alice, "\"rare pair\"").await;
    found.reverse();
    assert_eq!(found, phrase);
    let (ranked, _) = fixture.search(alice, best("every", 100)).await;
    assert_eq!(ids(&ranked), newest_first[..1_000], "only so many are ranked");

    // An edit takes a note out of its segment.
    done(fixture.update(alice, notes[3].id, content("another"), None).await);
    assert!(fixture.finds(alice, "n3").await.is_empty());
    assert_eq!(fixture.finds(alice, "another").await, [notes[3].id]);
}

#[tokio::test]
async fn a_page_that_finds_nothing_ends_and_leads_on() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    fixture.create_many(alice, (0..2_200).map(|_| "wrong way round".to_owned())).await;
    for query in [newest("\"round way\"", 20), best("\"round way\"", 20)] {
        let page = fixture.search_page(alice, query.clone()).await;
        assert!(page.found.is_empty() && page.next.is_some(), "2,000 were looked at");
        let (found, pages) = fixture.search(alice, query).await;
        assert_eq!((found.len(), pages), (0, 2));
    }
    let large = format!("wrong way round {}", "x".repeat(262_000));
    let bob = somebody();
    for _ in 0..20 {
        fixture.create(bob, written(&large)).await;
    }
    for query in [newest("wrong", 100), best("wrong", 100), newest("\"wrong way\"", 100), best("\"wrong way\"", 100)] {
        let (found, pages) = fixture.search(bob, query).await;
        assert_eq!(found.len(), 20);
        assert!(pages > 1, "4 MiB were read");
    }
}

#[tokio::test]
async fn terms_of_notes_that_were_removed_for_good_are_forgotten() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let secret = fixture.create(alice, written("first zzsecret")).await;
    done(fixture.trash(alice, secret.id).await);
    assert!(fixture.index_holds("zzsecret").await);
    done(fixture.expunge(alice, secret.id).await);
    assert!(!fixture.index_holds("zzsecret").await, "an entry goes with its note");

    let secret = fixture.create(alice, written("second zzsecret")).await;
    done(fixture.trash(alice, secret.id).await);
    let others = fixture.create_many(alice, (0..SEGMENT_DOCUMENTS + 300).map(|index| format!("n{index}"))).await;
    assert_eq!(fixture.index_rows(alice).await[1], 1, "it is in a segment");
    done(fixture.expunge(alice, secret.id).await);
    fixture.purge(Duration::ZERO, 100).await;
    assert!(!fixture.index_holds("zzsecret").await, "a segment is rewritten");
    assert_eq!(fixture.finds(alice, "n17").await, [others[17].id]);

    // The same when the trash is emptied.
    for note in &others[..200] {
        done(fixture.trash(alice, note.id).await);
    }
    fixture.empty_trash(alice).await;
    fixture.purge(Duration::ZERO, 100).await;
    assert!(fixture.finds(alice, "n17").await.is_empty());
    assert_eq!(fixture.finds(alice, "n217").await, [others[217].id]);
    assert!(!fixture.index_holds("n199").await);
}

#[tokio::test]
async fn segments_of_notes_that_change_often_stay_few() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let notes = fixture.create_many(alice, (0..600).map(|index| format!("n{index} all"))).await;
    for round in 0..4 {
        for some in notes.chunks(8) {
            let change = |note: &Note| fixture.update(alice, note.id, content(&format!("all r{round}")), None);
            futures_util::future::join_all(some.iter().map(|note| async { done(change(note).await) })).await;
        }
    }
    let [_, segments, ..] = fixture.index_rows(alice).await;
    assert!(segments <= 3, "{segments} segments for 600 notes that changed 3,000 times");
    assert_eq!(fixture.finds(alice, "all").await.len(), 600);
    assert_eq!(fixture.finds(alice, "r3").await.len(), 600);
    assert!(fixture.finds(alice, "r2").await.is_empty());
}

#[tokio::test]
async fn notes_that_lose_a_tag_are_still_found() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let tag = fixture.tag(alice, "work").await;
    let with_tag = |text: &str| NoteFields { tags: tags::tagged(&[tag.id]).tags, ..written(text) };
    let in_segment = fixture.create(alice, with_tag("first")).await;
    fixture.create_many(alice, (0..SEGMENT_DOCUMENTS + 200).map(|index| format!("n{index}"))).await;
    let entry = fixture.create(alice, with_tag("last")).await;
    assert_eq!(fixture.index_rows(alice).await[1], 1);
    fixture.delete_tag(alice, tag.id).await;
    assert_eq!(fixture.finds(alice, "first").await, [in_segment.id]);
    assert_eq!(fixture.finds(alice, "last").await, [entry.id]);
}
