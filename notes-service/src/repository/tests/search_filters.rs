//! Searches among some of the notes: of these tags, and of those that a filter lets through.

use super::filters::{any_filter, lets_through};
use super::search::{ids, newest};
use super::*;
use crate::domain::search::{SearchOrder, SearchQuery};
use crate::domain::{NoteFilter, TagId};

/// Names of tags; some share words.
const NAMES: [&str; 4] = ["work", "To Do", "Straße", "work too"];

/// A word or a tag, asked for or excluded.
enum Term {
    Word(usize),
    Tag(usize),
    Unknown,
}

const WORDS: [&str; 3] = ["milk", "eggs", "work"];

impl Term {
    fn any(dice: &mut Dice) -> (Self, bool) {
        let term = match dice.roll(8) {
            0..3 => Self::Word(dice.roll(WORDS.len())),
            3..7 => Self::Tag(dice.roll(NAMES.len())),
            _ => Self::Unknown,
        };
        (term, dice.roll(4) == 0)
    }

    fn spelled(&self) -> String {
        match self {
            Self::Word(word) => WORDS[*word].to_owned(),
            Self::Tag(name) => format!("tag:\"{}\"", NAMES[*name].to_uppercase()),
            Self::Unknown => "tag:nobody's".to_owned(),
        }
    }

    fn fits(&self, note: &Note, tags: &[TagId]) -> bool {
        match self {
            Self::Word(word) => note.title.as_str().split(' ').any(|other| other == WORDS[*word]),
            Self::Tag(name) => note.tags.contains(&tags[*name]),
            Self::Unknown => false,
        }
    }
}

#[tokio::test]
async fn a_search_with_tags_and_a_filter_finds_what_reading_every_note_finds() {
    let fixture = Fixture::fresh().await;
    let (alice, bob, mut dice) = (somebody(), somebody(), Dice::new(5));
    fixture.tag(bob, "nobody's").await;
    let mut tags = Vec::new();
    for name in NAMES {
        tags.push(fixture.tag(alice, name).await.id);
    }
    let mut notes = Vec::new();
    for _ in 0..150 {
        let words: Vec<_> = WORDS.into_iter().filter(|_| dice.roll(2) == 0).collect();
        let given = tags.iter().copied().filter(|_| dice.roll(2) == 0).collect();
        let fields = NoteFields { tags: given, pinned: dice.roll(2) == 0, ..titled(&words.join(" ")) };
        let mut note = fixture.create(alice, fields).await;
        if dice.roll(4) == 0 {
            note = done(fixture.trash(alice, note.id).await);
        }
        notes.push(note);
    }
    // The last change first, as the numbers of changes have it.
    notes.sort_by_key(|note| std::cmp::Reverse(note.update_time));
    let mut found_in_all = 0;
    for round in 0..200 {
        let terms: Vec<_> = (0..=dice.roll(3)).map(|_| Term::any(&mut dice)).collect();
        let spelled =
            |(term, excluded): &(Term, bool)| format!("{}{}", if *excluded { "-" } else { "" }, term.spelled());
        let text = terms.iter().map(spelled).collect::<Vec<_>>().join(" ");
        let filter = if round % 2 == 0 { any_filter(&mut dice, &notes, &tags) } else { NoteFilter::default() };
        let show_deleted = dice.roll(2) == 0;
        let fits = |note: &&Note| {
            (show_deleted || note.trashed.is_none())
                && lets_through(&filter, note)
                && terms.iter().all(|(term, excluded)| term.fits(note, &tags) != *excluded)
        };
        let expected: Vec<_> = notes.iter().filter(fits).map(|note| note.id).collect();
        let size = i32::try_from(1 + dice.roll(30)).expect("a small page");
        let query = SearchQuery { show_deleted, filter, ..newest(&text, size) };
        assert_eq!(ids(&fixture.search(alice, query.clone()).await.0), expected, "{text} {filter:?}");
        let ranked = SearchQuery { order: SearchOrder::Relevance, ..query };
        let (mut ranked, mut expected) = (ids(&fixture.search(alice, ranked).await.0), expected);
        ranked.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ranked, expected, "{text} {filter:?}");
        found_in_all += expected.len();
    }
    assert!(found_in_all > 1_000, "searches that find nothing say little: {found_in_all}");
}

#[tokio::test]
async fn a_tag_is_found_by_the_name_that_it_has_now() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let tag = fixture.tag(alice, "old name").await.id;
    let note = fixture.create(alice, NoteFields { tags: vec![tag], ..titled("milk") }).await;
    assert_eq!(fixture.finds(alice, "tag:\"Old Name\"").await, [note.id]);
    assert!(fixture.finds(alice, "tag:old").await.is_empty(), "the whole name");
    assert_eq!(fixture.finds(alice, "-tag:old milk").await, [note.id]);
    fixture.rename(alice, tag, "new").await;
    assert!(fixture.finds(alice, "tag:\"old name\"").await.is_empty());
    assert_eq!(fixture.finds(alice, "tag:NEW").await, [note.id], "a new name changes no note");
    fixture.delete_tag(alice, tag).await;
    assert!(fixture.finds(alice, "tag:new").await.is_empty());
    assert_eq!(fixture.finds(alice, "-tag:new").await, [note.id]);
}

#[tokio::test]
async fn a_page_of_a_search_ends_when_two_thousand_notes_were_looked_at() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let tag = fixture.tag(alice, "rare").await.id;
    let sought = fixture.create(alice, NoteFields { tags: vec![tag], pinned: true, ..titled("milk") }).await;
    for _ in 0..21 {
        fixture.create_together(alice, vec![titled("milk"); 100]).await;
    }
    let filter = NoteFilter { pinned: Some(true), ..NoteFilter::default() };
    for order in [SearchOrder::UpdateTime, SearchOrder::Relevance] {
        for query in [
            SearchQuery { order, filter, ..newest("milk", 20) },
            SearchQuery { order, ..newest("tag:rare", 20) },
            SearchQuery { order, ..newest("tag:rare milk", 20) },
        ] {
            let (found, pages) = fixture.search(alice, query).await;
            assert_eq!((ids(&found), pages), (vec![sought.id], 2));
        }
    }
}
