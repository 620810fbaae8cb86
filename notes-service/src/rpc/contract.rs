//! The numbers in the comments of the contract are the numbers of the code.

use prost::Message as _;
use proto::notes::v1 as wire;

use crate::app::{WATCH_BATCH_BYTES, WATCH_BATCH_CHANGES};
use crate::config::{
    CHECKPOINT_INTERVAL_MAX, PAGE_TOKEN_LIFETIME, REQUEST_BYTES, REQUEST_MEMORY, REVISION_COALESCE, REVISION_RETENTION,
    REVISIONS_MAX, REVISIONS_MIN, TOMBSTONE_RETENTION, TRASH_RETENTION, WATCH_STREAMS,
};
use crate::domain::search::{
    QUERY_CODE_POINTS_MAX, RANKED_MAX, SEARCH_PAGE_SIZE_DEFAULT, SEARCH_PAGE_SIZE_MAX, TERMS_MAX,
};
use crate::domain::{
    BATCH_SIZE_MAX, CHANGES_PAGE_SIZE_DEFAULT, CHANGES_PAGE_SIZE_MAX, CONTENT_BYTES_MAX, CONTENT_CODE_POINTS_MAX,
    Change, Color, Content, NOTE_BYTES_BESIDE_CONTENT, Note, NoteFields, NoteId, Order, PAGE_BYTES, PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX, REVISION_PAGE_SIZE_DEFAULT, REVISION_PAGE_SIZE_MAX, RevisionReason, SCANNED_MAX,
    SNIPPET_CODE_POINTS, TAG_NAME_CODE_POINTS_MAX, TAG_PAGE_SIZE_DEFAULT, TAG_PAGE_SIZE_MAX, TAGS_PER_NOTE_MAX,
    TAGS_PER_OWNER_MAX, TITLE_CODE_POINTS_MAX, TagId, Title,
};
use crate::repository::UNTAGGED_AT_ONCE;

const NOTE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/notes/v1/note.proto"));
const SEARCH: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/notes/v1/search.proto"));
const SERVICE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/notes/v1/notes_service.proto"));

const SYNC: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/notes/v1/sync.proto"));
const TAG: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/notes/v1/tag.proto"));
const TAG_SERVICE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/notes/v1/tag_service.proto"));

/// The comments as running text.
fn prose(proto: &str) -> String {
    proto.lines().map(|line| line.trim().trim_start_matches("//").trim()).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(proto: &str, sentence: &str) {
    assert!(prose(proto).contains(sentence), "the contract does not say: {sentence}");
}

/// 262144 as 262,144.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[test]
fn the_limits_in_the_contract_are_those_of_the_code() {
    let mebibytes = |bytes: usize| format!("{} MiB", bytes / 1_048_576);
    check(NOTE, &format!("Title, 0 to {} code points after NFC", grouped(TITLE_CODE_POINTS_MAX)));
    check(
        NOTE,
        &format!(
            "Content, 0 to {} code points and at most {} after NFC",
            grouped(CONTENT_CODE_POINTS_MAX),
            mebibytes(CONTENT_BYTES_MAX)
        ),
    );
    check(NOTE, &format!("The first {SNIPPET_CODE_POINTS} code points of the content"));
    check(SERVICE, &format!("Requests are limited to {}", mebibytes(REQUEST_BYTES)));
    check(SERVICE, &format!("list answers to about {}", mebibytes(PAGE_BYTES)));
    for sentence in ["Names of 1 to", "The 1 to"] {
        check(SERVICE, &format!("{sentence} {BATCH_SIZE_MAX} notes"));
    }
    check(SERVICE, &format!("when they come to more than {}", mebibytes(PAGE_BYTES)));
    let (default, max) = (PAGE_SIZE_DEFAULT, grouped(PAGE_SIZE_MAX.into()));
    check(SERVICE, &format!("0 means {default}, more than {max} means {max}, negative is refused"));
    let scanned = grouped(SCANNED_MAX.into());
    check(SERVICE, &format!("a page that would look at more than {scanned} notes ends early, with a token"));
    let (default, max) = (CHANGES_PAGE_SIZE_DEFAULT, grouped(CHANGES_PAGE_SIZE_MAX.into()));
    check(SYNC, &format!("0 means {default}, more than {max} means {max}, negative is refused"));
    check(SYNC, &format!("at most {WATCH_BATCH_CHANGES} and about {} KiB", WATCH_BATCH_BYTES / 1_024));
    check(SERVICE, &format!("the caller has {WATCH_STREAMS} streams open"));
    let seconds = CHECKPOINT_INTERVAL_MAX.as_secs();
    check(SERVICE, &format!("At least every {seconds} seconds a message comes"));
    check(SYNC, &format!("at least every {seconds} seconds in which nothing else does"));
    let (default, max) = (REVISION_PAGE_SIZE_DEFAULT, REVISION_PAGE_SIZE_MAX);
    check(SERVICE, &format!("0 means {default}, more than {max} means {max}, negative is refused"));
    check(
        SERVICE,
        &format!("The newest {REVISIONS_MIN} of a note are kept whatever their age, up to {REVISIONS_MAX} for"),
    );
}

#[test]
fn the_limits_of_tags_in_the_contract_are_those_of_the_code() {
    check(TAG, &format!("1 to {TAG_NAME_CODE_POINTS_MAX} code points after NFC"));
    check(NOTE, &format!("at most {TAGS_PER_NOTE_MAX}, each once"));
    let tags = grouped(usize::try_from(TAGS_PER_OWNER_MAX).unwrap());
    check(TAG_SERVICE, &format!("`TAG_QUOTA` when the caller has {tags} tags"));
    check(TAG_SERVICE, &format!("{UNTAGGED_AT_ONCE} at a time"));
    let (default, max) = (TAG_PAGE_SIZE_DEFAULT, grouped(TAG_PAGE_SIZE_MAX.into()));
    check(TAG_SERVICE, &format!("0 means {default}, more than {max} means {max}, negative is refused"));
    check(TAG_SERVICE, "Good for three days");
}

#[test]
fn the_limits_of_a_search_are_those_of_the_code() {
    check(SEARCH, &format!("1 to {QUERY_CODE_POINTS_MAX} code points after NFC"));
    let (default, max) = (SEARCH_PAGE_SIZE_DEFAULT, SEARCH_PAGE_SIZE_MAX);
    check(SEARCH, &format!("0 means {default}, more than {max} means {max}, negative is refused"));
    check(SEARCH, &format!("Up to {SNIPPET_CODE_POINTS} code points of the content"));
    check(SEARCH, &format!("the {} that changed last are ranked", grouped(RANKED_MAX)));
    check(SEARCH, "Good for three days");
    check(SERVICE, &format!("at most {} different words", grouped(TERMS_MAX)));
}

#[test]
fn the_lifetimes_in_the_contract_are_the_defaults() {
    let hours = |duration: std::time::Duration| duration.as_secs() / 3_600;
    check(NOTE, &format!("{} days after `delete_time` by default", hours(TRASH_RETENTION) / 24));
    check(SERVICE, &format!("safe to repeat for {} hours", hours(REQUEST_MEMORY)));
    let days = hours(TOMBSTONE_RETENTION) / 24;
    check(SERVICE, &format!("its id is, for {days} days"));
    check(SERVICE, &format!("such a note for good in the last {days} days"));
    check(SERVICE, &format!("removals after it are forgotten, {days} days at the earliest"));
    check(SYNC, &format!("Good for at least {days} days"));
    check(SERVICE, &format!("has kept one in the last {} minutes", REVISION_COALESCE.as_secs() / 60));
    check(SERVICE, &format!("up to 100 for {} days", hours(REVISION_RETENTION) / 24));
    assert_eq!(hours(PAGE_TOKEN_LIFETIME), 3 * 24);
    check(SERVICE, "Good for three days");
    check(SERVICE, "older than three days");
}

#[test]
fn the_orders_in_the_contract_are_those_of_the_code() {
    for (spelling, _) in Order::ALL {
        check(SERVICE, &format!("`{spelling}`"));
    }
}

#[test]
fn every_reason_of_a_revision_is_one_of_the_contract() {
    use proto::notes::v1::RevisionReason as Wire;
    let names = [Wire::Edit, Wire::Rollback, Wire::BlindOverwrite];
    let own = [RevisionReason::Edit, RevisionReason::Rollback, RevisionReason::BlindOverwrite];
    assert_eq!(own.map(|reason| i32::from(reason.number())), names.map(i32::from));
}

#[test]
fn every_color_of_the_contract_is_one_of_the_domain() {
    use proto::notes::v1::NoteColor;
    let numbers =
        (0..=i32::from(Color::MAX)).map(|number| (NoteColor::try_from(number).is_ok(), Color::from_number(number)));
    assert!(numbers.into_iter().all(|(known, color)| known && color.is_some()));
    assert!(NoteColor::try_from(i32::from(Color::MAX) + 1).is_err());
}

#[test]
fn no_note_adds_more_to_an_answer_than_is_reckoned_with() {
    let tags = (0..TAGS_PER_NOTE_MAX).map(|number| TagId::from_uuid(uuid::Uuid::from_u128(number as u128)));
    let fields = NoteFields {
        title: Title::parse(&"😀".repeat(TITLE_CODE_POINTS_MAX)).unwrap(),
        content: Content::parse(&"😀".repeat(CONTENT_CODE_POINTS_MAX)).unwrap(),
        pinned: true,
        archived: true,
        color: Color::from_number(Color::MAX.into()).unwrap(),
        tags: tags.collect(),
    };
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(253_402_300_799, 999_999_000);
    let largest = Note::new(NoteId::from_uuid(uuid::Uuid::max()), fields, time);
    let largest = largest.into_trash(time, std::time::Duration::ZERO);
    let listed = Note { content: None, ..largest.clone() };
    for note in [largest, listed] {
        let reckoned = note.answer_bytes();
        let content_bytes = note.content.as_ref().map_or(0, |_| note.content_bytes);
        assert!(reckoned <= content_bytes + NOTE_BYTES_BESIDE_CONTENT, "{reckoned}");
        let change = wire::NoteChange::from(Change::Note(note));
        let encoded = wire::ListNoteChangesResponse { changes: vec![change], ..Default::default() }.encoded_len();
        assert!(encoded <= reckoned, "{encoded} of {reckoned}");
    }
}
