//! What a filter lists.

use std::collections::BTreeSet;

use super::lists::{query, sorted};
use super::*;
use crate::domain::{
    Color, NoteFilter, Order, PageQuery, PageSize, Position, SCANNED_MAX, SortField, SortValue, TagId, TimeRange, View,
};

/// Whether a filter lets a note through, as its definition says.
pub(super) fn lets_through(filter: &NoteFilter, note: &Note) -> bool {
    let within = |range: Option<TimeRange>, time| {
        range.is_none_or(|range| {
            range.start().is_none_or(|start| start <= time) && range.end().is_none_or(|end| time < end)
        })
    };
    filter.pinned.is_none_or(|pinned| note.pinned == pinned)
        && filter.archived.is_none_or(|archived| note.archived == archived)
        && filter.color.is_none_or(|color| note.color == color)
        && filter.tag.is_none_or(|tag| note.tags.contains(&tag))
        && within(filter.create_time, note.create_time)
        && within(filter.update_time, note.update_time)
}

fn color(number: usize) -> Color {
    Color::from_number(number.try_into().expect("a small number")).expect("a colour")
}

/// A range around times of some of these notes, sometimes with one bound alone.
fn range(dice: &mut Dice, notes: &[Note], time: fn(&Note) -> SystemTime) -> TimeRange {
    loop {
        let mut bound = || (dice.roll(4) > 0).then(|| time(&notes[dice.roll(notes.len())]));
        if let Ok(range) = TimeRange::parse(bound(), bound()) {
            return range;
        }
    }
}

/// Any combination of conditions, few of them more often than many.
pub(super) fn any_filter(dice: &mut Dice, notes: &[Note], tags: &[TagId]) -> NoteFilter {
    let mut is_set = || dice.roll(3) == 0;
    let conditions: [bool; 6] = std::array::from_fn(|_| is_set());
    let [pinned, archived, with_color, tag, create_time, update_time] = conditions;
    NoteFilter {
        pinned: pinned.then(|| dice.roll(2) == 0),
        archived: archived.then(|| dice.roll(2) == 0),
        color: with_color.then(|| color(dice.roll(3))),
        tag: tag.then(|| tags[dice.roll(tags.len())]),
        create_time: create_time.then(|| range(dice, notes, |note| note.create_time)),
        update_time: update_time.then(|| range(dice, notes, |note| note.update_time)),
    }
}

#[tokio::test]
async fn every_filter_lists_what_a_program_with_all_notes_in_memory_would() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let mut dice = Dice::new(11);
    let mut tags = Vec::new();
    for name in ["one", "two", "never given"] {
        tags.push(fixture.tag(alice, name).await.id);
    }
    let his = fixture.tag(bob, "one").await.id;
    tags.push(his);
    let mut notes = Vec::new();
    for index in 0..120 {
        let given = tags[..2].iter().copied().filter(|_| dice.roll(2) == 0).collect();
        let fields = NoteFields {
            pinned: dice.roll(2) == 0,
            archived: dice.roll(2) == 0,
            color: color(dice.roll(3)),
            tags: given,
            ..titled(["", "a", "A", "b", "ß", "SS"][dice.roll(6)])
        };
        fixture.create(bob, NoteFields { tags: vec![his], ..fields.clone() }).await;
        let mut note = fixture.create(alice, fields).await;
        if dice.roll(3) == 0 {
            note = done(fixture.update(alice, note.id, content(&format!("{index}")), None).await);
        }
        if dice.roll(4) == 0 {
            note = done(fixture.trash(alice, note.id).await);
        }
        notes.push(note);
    }
    let mut found = 0;
    for round in 0..150 {
        let filter = any_filter(&mut dice, &notes, &tags);
        let (spelling, order) = Order::ALL[dice.roll(6)];
        let (show_deleted, view) = (dice.roll(2) == 0, if round % 2 == 0 { View::Basic } else { View::Full });
        let expected = sorted(notes.clone(), order).into_iter();
        let expected = expected.filter(|note| lets_through(&filter, note) && (show_deleted || note.trashed.is_none()));
        let expected: Vec<_> =
            expected.map(|note| if view == View::Basic { Note { content: None, ..note } } else { note }).collect();
        let query = PageQuery { show_deleted, view, filter, ..query(spelling) };
        let listed = fixture.walk(alice, &query, || i32::try_from(1 + dice.roll(40)).unwrap()).await;
        assert_eq!(listed.len(), expected.len(), "{query:?}");
        assert!(listed == expected, "{query:?}");
        found += listed.len();
    }
    assert!(found > 1_000, "filters that let nothing through say little: {found}");
}

#[tokio::test]
async fn a_page_ends_when_two_thousand_notes_were_looked_at() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let tag = fixture.tag(alice, "all").await.id;
    let fields = NoteFields { tags: vec![tag], ..NoteFields::default() };
    let mut notes = Vec::new();
    while notes.len() < SCANNED_MAX.into() {
        let creations = (0..500).map(|_| fixture.create(alice, fields.clone()));
        notes.extend(futures_util::future::join_all(creations).await);
    }
    let sought = fixture.create(alice, NoteFields { pinned: true, ..fields }).await;
    for (spelling, order) in Order::ALL {
        for (tag, show_deleted) in [(None, false), (Some(tag), false), (None, true), (Some(tag), true)] {
            let filter = NoteFilter { pinned: Some(true), tag, ..NoteFilter::default() };
            let query = PageQuery { filter, show_deleted, ..query(spelling) };
            notes.retain(|note| note.id != sought.id);
            notes.push(Note { content: None, ..sought.clone() });
            let in_order = sorted(notes.clone(), order);
            let place = in_order.iter().position(|note| note.id == sought.id).expect("it is there");
            let last = &in_order[usize::from(SCANNED_MAX) - 1];
            let (first, next) = fixture.page(alice, query.clone()).await;
            let next = next.expect("one is left to look at");
            assert_eq!(next.id, last.id, "{query:?}");
            let (second, end) = fixture.page(alice, PageQuery { after: Some(next), ..query.clone() }).await;
            assert_eq!(end, None, "{query:?}");
            let counts = if place < SCANNED_MAX.into() { [1, 0] } else { [0, 1] };
            assert_eq!([first.len(), second.len()], counts, "{query:?}");
            assert_eq!(first.first().or(second.first()).map(|note| note.id), Some(sought.id));
        }
    }
    // What an index answers by itself is not looked at, so its page is full.
    let all = PageQuery { size: PageSize::parse(1_000).unwrap(), ..query("title") };
    for filter in [NoteFilter::default(), NoteFilter { tag: Some(tag), ..NoteFilter::default() }] {
        let (notes, next) = fixture.page(alice, PageQuery { filter, ..all.clone() }).await;
        assert_eq!((notes.len(), next.is_some()), (1_000, true));
    }
}

#[tokio::test]
async fn a_note_that_is_made_while_a_page_is_read_hides_no_other() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let tag = fixture.tag(alice, "all").await.id;
    let fields =
        |index: usize| NoteFields { tags: vec![tag], pinned: index.is_multiple_of(3), ..NoteFields::default() };
    let mut pinned = BTreeSet::new();
    // No more at once than there are connections, on which they wait for their owner.
    for chunk in 0..250 {
        let creations = (0..8).map(|index| fixture.create(alice, fields(8 * chunk + index)));
        let notes = futures_util::future::join_all(creations).await;
        pinned.extend(notes.into_iter().filter(|note| note.pinned).map(|note| note.id));
    }
    let filter = NoteFilter { pinned: Some(true), tag: Some(tag), ..NoteFilter::default() };
    let query = PageQuery { filter, ..query("create_time desc") };
    for _ in 0..20 {
        let list = fixture.walk(alice, &query, || 1_000);
        let creations = futures_util::future::join_all((1..6).map(|index| fixture.create(alice, fields(index))));
        let (listed, made) = futures_util::future::join(list, creations).await;
        let listed: BTreeSet<_> = listed.into_iter().map(|note| note.id).collect();
        assert!(pinned.is_subset(&listed), "{} are hidden", pinned.difference(&listed).count());
        pinned.extend(made.into_iter().filter(|note| note.pinned).map(|note| note.id));
    }
}

#[tokio::test]
async fn a_range_holds_its_start_and_not_its_end_at_every_page() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let mut notes = Vec::new();
    for _ in 0..10 {
        notes.push(fixture.create(alice, NoteFields::default()).await);
    }
    let (start, end) = (notes[2].create_time, notes[7].create_time);
    let expected: Vec<_> = notes[2..7].iter().map(|note| note.id).collect();
    for spelling in ["create_time", "create_time desc"] {
        for size in 1..=6 {
            let create_time = TimeRange::parse(Some(start), Some(end)).ok();
            let filter = NoteFilter { create_time, ..NoteFilter::default() };
            let listed = fixture.walk(alice, &PageQuery { filter, ..query(spelling) }, || size).await;
            let mut listed: Vec<_> = listed.into_iter().map(|note| note.id).collect();
            if spelling.ends_with("desc") {
                listed.reverse();
            }
            assert_eq!(listed, expected, "{spelling} {size}");
        }
    }
    let long_ago = TimeRange::parse(None, Some(SystemTime::UNIX_EPOCH - Duration::from_secs(60_000_000_000))).ok();
    let filter = NoteFilter { update_time: long_ago, ..NoteFilter::default() };
    assert!(fixture.walk(alice, &PageQuery { filter, ..query("") }, || 5).await.is_empty());
}

#[tokio::test]
async fn a_tag_that_is_taken_away_between_pages_ends_the_list() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let tag = fixture.tag(alice, "soon gone").await.id;
    for _ in 0..3 {
        fixture.create(alice, NoteFields { tags: vec![tag], ..NoteFields::default() }).await;
    }
    let filter = NoteFilter { tag: Some(tag), ..NoteFilter::default() };
    let query = PageQuery { filter, size: PageSize::parse(1).unwrap(), ..query("") };
    let (_, next) = fixture.page(alice, query.clone()).await;
    let Some(Position { value: SortValue::Time(_), .. }) = next else { panic!("two are left") };
    assert_eq!(query.order.field, SortField::CreateTime);
    for note in fixture.walk(alice, &PageQuery { size: PageSize::parse(0).unwrap(), ..query.clone() }, || 50).await {
        done(fixture.update(alice, note.id, NotePatch { tags: Some(Vec::new()), ..NotePatch::default() }, None).await);
    }
    assert_eq!(fixture.page(alice, PageQuery { after: next, ..query }).await, (Vec::new(), None));
}
