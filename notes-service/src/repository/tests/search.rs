use std::collections::BTreeSet;

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query as Select};

use super::*;
use crate::domain::View;
use crate::domain::search::{Query, SEGMENT_DOCUMENTS, SearchOrder, SearchPageSize, SearchPlace, SearchQuery};
use crate::repository::{Found, SearchPage};

impl Fixture {
    async fn search_page(&self, owner: Subject, query: SearchQuery) -> SearchPage {
        self.repository.for_owner(owner).search(query).await.expect("the store works")
    }

    /// Everything that is found, page by page, with the number of pages.
    async fn search(&self, owner: Subject, mut query: SearchQuery) -> (Vec<Found>, usize) {
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
                .read(move |connection| Box::pin(async move { Ok(connection.query_all(&select).await?.len()) }));
            *count = read.await.expect("the store works");
        }
        counts
    }

    /// Whether the bytes of a term stand anywhere in the index.
    async fn index_holds(&self, term: &str) -> bool {
        let mut holds = false;
        for (table, column) in [("search_recent", "terms"), ("search_blocks", "data"), ("search_blocks", "first_term")]
        {
            let select = Select::select().column(column).from(table).to_owned();
            let read = self.repository.database.read(move |connection| {
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

fn newest(text: &str, size: i32) -> SearchQuery {
    SearchQuery {
        query: Query::parse(text).expect("a query"),
        order: SearchOrder::UpdateTime,
        show_deleted: false,
        size: SearchPageSize::parse(size).expect("a page size"),
        place: SearchPlace::BEGINNING,
    }
}

fn best(text: &str, size: i32) -> SearchQuery {
    SearchQuery { order: SearchOrder::Relevance, ..newest(text, size) }
}

fn ids(found: &[Found]) -> Vec<NoteId> {
    found.iter().map(|found| found.note.id).collect()
}

fn note(title: &str, content: &str) -> NoteFields {
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

/// Words of several scripts, and characters of one that does not divide its words.
const WORDS: [&str; 14] = [
    "milk",
    "Milky",
    "MILKSHAKE",
    "oat",
    "Straße",
    "straps",
    "привет",
    "Приветствие",
    "мир",
    "مرحبا",
    "नमस्ते",
    "नमक",
    "café",
    "7up",
];
const CHARACTERS: [char; 5] = ['東', '京', '都', '大', 'ガ'];

fn random_text(dice: &mut Dice) -> Vec<String> {
    let part = |dice: &mut Dice| match dice.roll(3) {
        0 => (0..=dice.roll(4)).map(|_| CHARACTERS[dice.roll(CHARACTERS.len())]).collect(),
        _ => WORDS[dice.roll(WORDS.len())].to_owned(),
    };
    (0..dice.roll(7)).map(|_| part(dice)).collect()
}

/// A condition, written as a query and decided without any index.
enum Wanted {
    Word(String),
    Prefix(String),
    Phrase(String, String),
    Part(String),
}

struct Term {
    excluded: bool,
    in_title: bool,
    wanted: Wanted,
}

fn random_term(dice: &mut Dice) -> Term {
    let word = |dice: &mut Dice| WORDS[dice.roll(WORDS.len())].to_owned();
    let wanted = match dice.roll(5) {
        0 => Wanted::Prefix(word(dice).chars().take(1 + dice.roll(3)).collect()),
        1 => Wanted::Phrase(word(dice), word(dice)),
        2 => Wanted::Part((0..=dice.roll(3)).map(|_| CHARACTERS[dice.roll(CHARACTERS.len())]).collect()),
        _ => Wanted::Word(word(dice)),
    };
    Term { excluded: dice.roll(4) == 0, in_title: dice.roll(4) == 0, wanted }
}

impl Term {
    fn spelled(&self) -> String {
        let (sign, field) = (if self.excluded { "-" } else { "" }, if self.in_title { "title:" } else { "" });
        match &self.wanted {
            Wanted::Word(text) | Wanted::Part(text) => format!("{sign}{field}{text}"),
            Wanted::Prefix(text) => format!("{sign}{field}{text}*"),
            Wanted::Phrase(first, second) => format!("{sign}{field}\"{first} {second}\""),
        }
    }

    fn fits(&self, title: &[String], content: &[String]) -> bool {
        let fold = |text: &str| text.to_lowercase().replace('ß', "ss");
        let is_in = |parts: &[String]| match &self.wanted {
            Wanted::Word(word) => parts.iter().any(|part| fold(part) == fold(word)),
            Wanted::Prefix(prefix) => parts.iter().any(|part| fold(part).starts_with(&fold(prefix))),
            Wanted::Part(part) => parts.iter().any(|run| run.contains(part.as_str())),
            Wanted::Phrase(first, second) => {
                parts.windows(2).any(|pair| fold(&pair[0]) == fold(first) && fold(&pair[1]) == fold(second))
            }
        };
        (is_in(title) || (!self.in_title && is_in(content))) != self.excluded
    }
}

#[tokio::test]
async fn a_search_finds_what_reading_every_note_finds() {
    let fixture = Fixture::fresh().await;
    let (alice, mut dice) = (somebody(), Dice::new(11));
    let mut texts: BTreeMap<NoteId, (Vec<String>, Vec<String>)> = BTreeMap::new();
    let mut notes: Vec<Note> = Vec::new();
    for round in 0..6 {
        for _ in 0..2 {
            let fields: Vec<_> = (0..100).map(|_| (random_text(&mut dice), random_text(&mut dice))).collect();
            let made = fields.iter().map(|(title, content)| note(&title.join(" "), &content.join(" "))).collect();
            for (made, text) in fixture.create_together(alice, made).await.into_iter().zip(fields) {
                texts.insert(made.id, text);
                notes.push(made);
            }
        }
        for _ in 0..40 {
            let index = dice.roll(notes.len());
            let (id, trashed) = (notes[index].id, notes[index].trashed.is_some());
            notes[index] = match (dice.roll(4), trashed) {
                (0, false) => done(fixture.trash(alice, id).await),
                (_, true) => done(fixture.restore(alice, id).await),
                (1, false) => {
                    let pinned = NotePatch { pinned: Some(!notes[index].pinned), ..NotePatch::default() };
                    done(fixture.update(alice, id, pinned, None).await)
                }
                (_, false) => {
                    let text = random_text(&mut dice);
                    let changed = done(fixture.update(alice, id, content(&text.join(" ")), None).await);
                    texts.get_mut(&id).unwrap().1 = text;
                    changed
                }
            };
        }
        if round == 3 {
            fixture.empty_trash(alice).await;
            fixture.purge(Duration::ZERO, 50).await;
            notes.retain(|note| note.trashed.is_none());
        }
        notes.sort_by_key(|note| std::cmp::Reverse(note.update_time));
        for _ in 0..16 {
            let terms: Vec<_> = (0..=dice.roll(3)).map(|_| random_term(&mut dice)).collect();
            let text = terms.iter().map(Term::spelled).collect::<Vec<_>>().join(" ");
            let show_deleted = dice.roll(3) == 0;
            let expected: Vec<_> = notes
                .iter()
                .filter(|note| show_deleted || note.trashed.is_none())
                .filter(|note| terms.iter().all(|term| term.fits(&texts[&note.id].0, &texts[&note.id].1)))
                .map(|note| note.id)
                .collect();
            let size = if expected.len() > 30 { 100 } else { [3, 8, 100][dice.roll(3)] };
            let query = SearchQuery { show_deleted, ..newest(&text, size) };
            assert_eq!(ids(&fixture.search(alice, query.clone()).await.0), expected, "round {round}: {text}");
            let ranked = SearchQuery { order: SearchOrder::Relevance, ..query };
            let ranked: BTreeSet<_> = ids(&fixture.search(alice, ranked).await.0).into_iter().collect();
            assert!(
                expected.len() > 1_000 || ranked == expected.into_iter().collect(),
                "ranked, round {round}: {text}"
            );
        }
    }
    assert!(fixture.index_rows(alice).await[1] > 0, "some are in segments");
    for note in &notes {
        assert!(fixture.repository.for_owner(alice).find(note.id, View::Basic).await.unwrap().is_some());
    }
}
