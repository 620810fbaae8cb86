//! Finding notes.

use std::time::Duration;

use proto::notes::v1::{
    DeleteNoteRequest, Highlight, Note, NoteFilter, SearchNotesRequest, SearchOrder, SearchResult, UpdateNoteRequest,
};

use tonic_types::StatusExt as _;

use crate::harness::assert::assert_refused;
use crate::harness::stack::Stack;

fn query(text: &str) -> SearchNotesRequest {
    SearchNotesRequest { query: text.to_owned(), ..SearchNotesRequest::default() }
}

fn titles(results: &[SearchResult]) -> Vec<&str> {
    results.iter().map(|result| result.note.as_ref().expect("a note").title.as_str()).collect()
}

/// What the highlights of a text mark.
fn marked(text: &str, highlights: &[Highlight]) -> Vec<String> {
    let number = |number| usize::try_from(number).expect("not negative");
    let piece = |place: &Highlight| {
        text.chars().skip(number(place.start)).take(number(place.end) - number(place.start)).collect()
    };
    highlights.iter().map(piece).collect()
}

#[tokio::test]
async fn people_find_what_they_wrote_in_whatever_script() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    alice.write("Shopping", "Oat milk, café, 7 eggs").await;
    alice.write("Reise", "Die STRASSE nach Köln ist well-known").await;
    alice.write("旅行", "私は東京都に住んでいます").await;
    alice.write("Список", "Привет, мир").await;
    bob.write("Bob", "oat milk of bob").await;
    let found = async |text: &str| {
        let request = SearchNotesRequest { order: SearchOrder::UpdateTime.into(), ..query(text) };
        let results = alice.search_all(request).await;
        titles(&results).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("MILK", vec!["Shopping"]),
        ("oat eggs", vec!["Shopping"]),
        ("\"oat milk\"", vec!["Shopping"]),
        ("\"milk oat\"", vec![]),
        ("oat -eggs", vec![]),
        ("CAFE\u{301}", vec!["Shopping"]),
        ("straße", vec!["Reise"]),
        ("well known", vec!["Reise"]),
        ("東京", vec!["旅行"]),
        ("京都に", vec!["旅行"]),
        ("東都", vec![]),
        ("привет", vec!["Список"]),
        ("title:shop*", vec!["Shopping"]),
        ("title:milk", vec![]),
        ("-milk -привет", vec!["旅行", "Reise"]),
        ("bob", vec![]),
        ("\"unclosed milk", vec![]),
        ("milk) OR ('1'='1", vec![]),
    ] {
        assert_eq!(found(text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn what_was_found_is_shown_in_code_points() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let content = format!("🦀🦀 {} the needle, a NEEDLE 東京", "é ".repeat(300));
    alice.write("Needle 🧵 case", &content).await;
    let results = alice.search_all(query("needle 東京")).await;
    let [SearchResult { note: Some(note), excerpt, excerpt_highlights, title_highlights }] = results.as_slice() else {
        panic!("not one: {results:?}")
    };
    assert_eq!((note.content.as_str(), note.content_bytes > 0), ("", true));
    assert_eq!(marked(&note.title, title_highlights), ["Needle"]);
    assert_eq!(marked(excerpt, excerpt_highlights), ["needle", "NEEDLE", "東京"]);
    assert!(excerpt.chars().count() <= 200 && !excerpt.contains('🦀'), "around what was found first");
}

#[tokio::test]
async fn a_search_follows_every_write_at_once() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let found = async |text: &str, show_deleted| {
        alice.search_all(SearchNotesRequest { show_deleted, ..query(text) }).await.len()
    };
    let note = alice.write("", "first").await;
    assert_eq!(found("first", false).await, 1);
    let changed = Note { name: note.name.clone(), content: "second".into(), ..Note::default() };
    alice.update(UpdateNoteRequest { note: Some(changed), ..Default::default() }).await.expect("updated");
    assert_eq!((found("first", false).await, found("second", false).await), (0, 1));
    alice.delete(DeleteNoteRequest { name: note.name.clone(), ..Default::default() }).await.expect("deleted");
    assert_eq!((found("second", false).await, found("second", true).await), (0, 1));
    alice.undelete(&note.name).await.expect("undeleted");
    assert_eq!(found("second", false).await, 1);
    alice.delete(DeleteNoteRequest { name: note.name.clone(), ..Default::default() }).await.expect("deleted");
    alice.expunge(&note.name).await.expect("expunged");
    assert_eq!(found("second", true).await, 0);
}

#[tokio::test]
async fn pages_of_a_search_hold_everything_once_in_both_orders() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for n in 0..25 {
        alice.write(&n.to_string(), if n % 2 == 0 { "even word" } else { "odd word" }).await;
    }
    let expected: Vec<String> = (0..25).rev().map(|n: i32| n.to_string()).collect();
    for order in [SearchOrder::UpdateTime, SearchOrder::Relevance] {
        for page_size in [1, 7, 100] {
            let request = SearchNotesRequest { order: order.into(), page_size, ..query("word") };
            assert_eq!(titles(&alice.search_all(request).await), expected);
        }
    }
    assert_eq!(alice.search(query("word")).await.expect("a page").results.len(), 20, "the default");
}

#[tokio::test]
async fn a_search_is_among_the_notes_of_a_tag_and_of_a_filter() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let (kitchen, to_do) = (alice.tag("Kitchen").await.expect("made"), alice.tag("To do").await.expect("made"));
    bob.tag("His").await.expect("made");
    alice.write_tagged("tea a", &[&kitchen.name]).await.expect("made");
    alice.write_tagged("tea b", &[&kitchen.name, &to_do.name]).await.expect("made");
    alice.write("tea c kitchen", "").await;
    let found = async |request: SearchNotesRequest| {
        let request = SearchNotesRequest { order: SearchOrder::UpdateTime.into(), page_size: 1, ..request };
        titles(&alice.search_all(request).await).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("tag:kitchen tea", vec!["tea b", "tea a"]),
        ("tag:KITCHEN", vec!["tea b", "tea a"]),
        ("tag:\"to do\" tag:kitchen", vec!["tea b"]),
        ("tea -tag:\"to do\"", vec!["tea c kitchen", "tea a"]),
        ("-tag:kitchen", vec!["tea c kitchen"]),
        ("tag:his tea", vec![]),
        ("tag:nobody's tea", vec![]),
        ("tea -tag:his -tag:nobody's", vec!["tea c kitchen", "tea b", "tea a"]),
        ("tag: tea", vec![]),
        ("tea tag:\"", vec![]),
        ("tag:kitchen' OR '1'='1", vec![]),
    ] {
        assert_eq!(found(query(text)).await, expected, "{text}");
    }
    let filter = NoteFilter { tag: to_do.name, pinned: Some(false), ..NoteFilter::default() };
    assert_eq!(found(SearchNotesRequest { filter: Some(filter.clone()), ..query("tea") }).await, ["tea b"]);
    let filter = NoteFilter { pinned: Some(true), ..filter };
    assert!(found(SearchNotesRequest { filter: Some(filter), ..query("tea") }).await.is_empty());
    let malformed = NoteFilter { tag: "to do".into(), ..NoteFilter::default() };
    let refusal = alice.search(SearchNotesRequest { filter: Some(malformed), ..query("tea") }).await;
    let refusal = refusal.expect_err("no name of a tag");
    let violations = refusal.get_details_bad_request().expect("it names the field").field_violations;
    assert_eq!(violations[0].field, "filter.tag");
}

#[tokio::test]
async fn queries_that_cannot_be_answered_are_refused_with_the_field() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    const REFUSED: &str = "INVALID_ARGUMENT FIELD_INVALID";
    for text in [
        "",
        "   ",
        "-",
        "* \"\" -",
        "\"\"",
        "🦀",
        "tag:\"\" -tag:\" \"",
        &"tag:word ".repeat(10_000),
        &"word ".repeat(10_000),
        &"a".repeat(513),
    ] {
        assert_refused(alice.search(query(text)).await, REFUSED);
    }
    for bad in [SearchNotesRequest { page_size: -1, ..query("a") }, SearchNotesRequest { order: 77, ..query("a") }] {
        assert_refused(alice.search(bad).await, REFUSED);
    }
    alice.search(query(&"a".repeat(512))).await.expect("the longest");
    alice.search(query("-a")).await.expect("only an exclusion");
    alice.search(query(&"a b ".repeat(128))).await.expect("very many words");
}

#[tokio::test]
async fn a_page_token_of_a_search_fits_its_owner_its_arguments_and_three_days() {
    let stack = Stack::start().await;
    let (mut alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    for _ in 0..5 {
        alice.write("", "word and more").await;
        bob.write("", "word and more").await;
    }
    let first = SearchNotesRequest { page_size: 2, ..query("word") };
    let token = alice.search(first.clone()).await.expect("a page").next_page_token;
    let next = SearchNotesRequest { page_token: token.clone(), ..first };
    let larger = SearchNotesRequest { page_size: 3, ..next.clone() };
    assert_eq!(alice.search(larger).await.expect("the page size may change").results.len(), 3);
    const REFUSED: &str = "INVALID_ARGUMENT PAGE_TOKEN_INVALID";
    assert_refused(bob.search(next.clone()).await, REFUSED);
    assert_refused(alice.search(SearchNotesRequest { query: "more".into(), ..next.clone() }).await, REFUSED);
    assert_refused(alice.search(SearchNotesRequest { show_deleted: true, ..next.clone() }).await, REFUSED);
    let other = SearchNotesRequest { order: SearchOrder::UpdateTime.into(), ..next.clone() };
    assert_refused(alice.search(other).await, REFUSED);
    let filter = Some(NoteFilter { pinned: Some(false), ..NoteFilter::default() });
    assert_refused(alice.search(SearchNotesRequest { filter, ..next.clone() }).await, REFUSED);
    let list = proto::notes::v1::ListNotesRequest { page_token: token, ..Default::default() };
    assert_refused(alice.list(list).await, REFUSED);
    for rubbish in ["x", "AAAA", &"A".repeat(5_000), "🦀"] {
        assert_refused(alice.search(SearchNotesRequest { page_token: rubbish.into(), ..next.clone() }).await, REFUSED);
    }
    stack.clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
    alice.refresh().await.expect("refreshed");
    alice.search(next.clone()).await.expect("three days are allowed");
    stack.clock.advance(Duration::from_secs(1));
    assert_refused(alice.search(next).await, REFUSED);
}
