use std::collections::BTreeSet;

use super::*;
use crate::domain::{Order, PAGE_BYTES, PageQuery, PageSize, Position, SortField, TitleKey, View};
use crate::testing::list_in;

impl Fixture {
    pub(super) async fn page(&self, owner: Subject, query: PageQuery) -> (Vec<Note>, Option<Position>) {
        let page = self.repository.for_owner(owner).page(query).await.expect("the store works");
        (page.notes, page.next)
    }

    /// All pages, one after the other, in sizes that `size` gives.
    pub(super) async fn walk(&self, owner: Subject, query: &PageQuery, mut size: impl FnMut() -> i32) -> Vec<Note> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let size = PageSize::parse(size()).expect("a page size");
            let (notes, next) = self.page(owner, PageQuery { size, after, ..query.clone() }).await;
            assert!(notes.len() <= size.get().into());
            all.extend(notes);
            match next {
                Some(next) => after = Some(next),
                None => return all,
            }
        }
    }
}

pub(super) fn query(order: &str) -> PageQuery {
    list_in(Order::parse(order).expect("an order"))
}

/// The order as a program would sort that has all notes in memory.
pub(super) fn sorted(mut notes: Vec<Note>, order: Order) -> Vec<Note> {
    notes.sort_by(|left, right| {
        let ascending = match order.field {
            SortField::CreateTime => left.create_time.cmp(&right.create_time),
            SortField::UpdateTime => left.update_time.cmp(&right.update_time),
            SortField::Title => TitleKey::of(&left.title).cmp(&TitleKey::of(&right.title)),
        };
        let ascending = ascending.then(left.id.cmp(&right.id));
        if order.descending { ascending.reverse() } else { ascending }
    });
    notes
}

#[tokio::test]
async fn every_order_pages_as_a_program_with_all_notes_in_memory_would() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let mut dice = Dice::new(7);
    // Few titles, so that many are alike, and more than one of the same key.
    let titles =
        ["", "a", "A", "b", "ß", "SS", "éclair", "E\u{301}clair", "z", "日本", &"x".repeat(80), &"x".repeat(90)];
    let mut notes = Vec::new();
    for index in 0..120 {
        let fields =
            NoteFields { content: written(&format!("content {index}")).content, ..titled(titles[dice.roll(12)]) };
        fixture.create(bob, fields.clone()).await;
        let mut note = fixture.create(alice, fields).await;
        if dice.roll(3) == 0 {
            note = done(fixture.update(alice, note.id, content("changed"), None).await);
        }
        if dice.roll(4) == 0 {
            note = done(fixture.trash(alice, note.id).await);
        }
        notes.push(note);
    }
    for (spelling, order) in Order::ALL {
        for show_deleted in [false, true] {
            for view in [View::Basic, View::Full] {
                let expected = sorted(notes.clone(), order).into_iter();
                let expected = expected.filter(|note| show_deleted || note.trashed.is_none());
                let expected: Vec<_> = expected
                    .map(|note| if view == View::Basic { Note { content: None, ..note } } else { note })
                    .collect();
                let query = PageQuery { show_deleted, view, ..query(spelling) };
                let listed = fixture.walk(alice, &query, || i32::try_from(1 + dice.roll(40)).unwrap()).await;
                assert_eq!(listed.len(), expected.len(), "{query:?}");
                assert!(listed == expected, "{query:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_list_returns_texts_as_they_were_written() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let texts = [
        "\"quoted\" \\ {\"json\":[1,null]}",
        "\u{1}\u{7f}\u{85}\u{2028}\u{fffd}\u{10ffff}",
        "\t\r\n ' -- ; \u{202e}",
        "null",
        "1",
    ];
    let mut notes = Vec::new();
    for text in texts {
        let title = Title::parse(&text.replace(|char: char| char.is_control(), "")).unwrap();
        notes.push(fixture.create(alice, NoteFields { title, ..written(text) }).await);
    }
    let query = PageQuery { view: View::Full, ..query("create_time") };
    assert_eq!(fixture.page(alice, query).await, (notes, None));
}

#[tokio::test]
async fn each_note_is_listed_exactly_once_whatever_is_written_meanwhile() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let mut notes = Vec::new();
    for index in 0..60 {
        notes.push(fixture.create(alice, titled(&format!("{index}"))).await);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    let mut dice = Dice::new(3);
    loop {
        let size = PageSize::parse(7).unwrap();
        let (page, next) = fixture.page(alice, PageQuery { size, after, ..query("create_time desc") }).await;
        seen.extend(page.iter().map(|note| note.id));
        let Some(next) = next else { break };
        after = Some(next);
        fixture.create(alice, titled("new")).await;
        let touched = notes[dice.roll(60)].id;
        done(fixture.update(alice, touched, content(&format!("touched {}", seen.len())), None).await);
    }
    let distinct: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(seen.len(), distinct.len(), "none twice");
    assert!(notes.iter().all(|note| distinct.contains(&note.id)), "none left out");
}

#[tokio::test]
async fn the_last_page_says_so_and_a_list_of_nothing_is_empty() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    assert_eq!(fixture.page(alice, query("")).await, (Vec::new(), None));
    for _ in 0..4 {
        fixture.create(alice, titled("")).await;
    }
    let size = PageSize::parse(4).unwrap();
    let (notes, next) = fixture.page(alice, PageQuery { size, ..query("") }).await;
    assert_eq!((notes.len(), next), (4, None), "exactly full");
    assert_eq!(fixture.page(somebody(), query("")).await, (Vec::new(), None));
}

#[tokio::test]
async fn a_page_of_whole_notes_ends_before_three_mebibytes() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    // Four bytes each: as large as contents get.
    let large = "😀".repeat(262_144);
    for _ in 0..5 {
        fixture.create(alice, written(&large)).await;
    }
    let query = PageQuery { view: View::Full, ..query("") };
    let (notes, next) = fixture.page(alice, query.clone()).await;
    assert_eq!(notes.len(), 2, "a third would pass the limit by its title and times");
    assert!(notes.iter().map(|note| note.content_bytes).sum::<usize>() <= PAGE_BYTES && next.is_some());
    let all = fixture.walk(alice, &query, || 1_000).await;
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|note| note.content.as_ref().is_some_and(|content| content.as_str() == large)));
    assert_eq!(fixture.walk(alice, &PageQuery { view: View::Basic, ..query }, || 1_000).await.len(), 5);
}
