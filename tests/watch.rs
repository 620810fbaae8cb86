//! Notes that are watched: what is sent, from where, and how a stream ends.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http_body_util::{BodyExt as _, Full};
use proto::notes::v1::note_change::Change;
use proto::notes::v1::watch_notes_response::Event;
use proto::notes::v1::{
    DeleteNoteRequest, DeleteTagRequest, GoingAwayReason, ListTagsRequest, Note, NoteView, Tag, UpdateNoteRequest,
    UpdateTagRequest, WatchNotesRequest, WatchNotesResponse,
};
use tonic::Streaming;

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::copy::{Copy, next};
use crate::harness::raw;
use crate::harness::stack::{Stack, connect};

fn from(sync_token: &str) -> WatchNotesRequest {
    WatchNotesRequest { sync_token: sync_token.into(), view: NoteView::Full.into() }
}

fn changes(message: WatchNotesResponse) -> Vec<Change> {
    match message.event {
        Some(Event::Batch(batch)) => batch.changes.into_iter().filter_map(|change| change.change).collect(),
        other => panic!("no batch: {other:?}"),
    }
}

/// Why the stream said that it ends, and the token that it left. It must end then, and well.
async fn farewell(stream: &mut Streaming<WatchNotesResponse>) -> (GoingAwayReason, String) {
    let message = next(stream).await;
    let Some(Event::GoingAway(going_away)) = message.event else { panic!("no farewell: {message:?}") };
    assert!(stream.message().await.expect("it ends well").is_none());
    (going_away.reason(), message.sync_token)
}

#[tokio::test]
async fn what_changes_is_sent_as_it_happens_to_its_owner_alone() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    alice.write("before", "").await;
    let mut stream = alice.watch(from("")).await.expect("a stream");
    let first = next(&mut stream).await;
    assert!(matches!(first.event, Some(Event::Checkpoint(_))), "from now on: {first:?}");

    bob.write("his", "").await;
    let note = alice.write("hers", "text").await;
    assert_eq!(changes(next(&mut stream).await), [Change::Note(note.clone())]);
    alice.delete(DeleteNoteRequest { name: note.name.clone(), ..Default::default() }).await.expect("deleted");
    let [Change::Note(trashed)] = &changes(next(&mut stream).await)[..] else { panic!("no note") };
    assert!(trashed.delete_time.is_some());
    alice.expunge(&note.name).await.expect("removed");
    assert_eq!(changes(next(&mut stream).await), [Change::Removed(note.name)]);
}

#[tokio::test]
async fn a_stream_is_resumed_from_any_of_its_messages() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut copy = Copy::listed(&alice).await;
    let mut stream = alice.watch(from(&copy.sync_token)).await.expect("a stream");
    let mut copies = Vec::new();
    for n in 0..6 {
        copy.catch_up(&mut stream).await;
        copies.push(copy.clone());
        alice.write(&n.to_string(), "").await;
        if n == 3 {
            let gone = alice.write("gone", "").await;
            alice.delete(DeleteNoteRequest { name: gone.name, ..Default::default() }).await.expect("deleted");
            alice.empty_trash().await.expect("emptied");
        }
    }
    let mut whole = Copy::default();
    whole.follow(&alice, 0).await;
    assert_eq!(whole.notes.len(), 6);
    drop(stream);
    for mut copy in copies {
        let mut stream = alice.watch(from(&copy.sync_token)).await.expect("a stream");
        copy.catch_up(&mut stream).await;
        assert_eq!(copy.notes, whole.notes);
    }
}

/// Does something to one of the person's tags, by the dice.
async fn do_something_to_a_tag(alice: &Person, dice: &mut impl FnMut(usize) -> usize) {
    let tags = alice.list_tags(ListTagsRequest::default()).await.expect("few tags").tags;
    let Some(Tag { name, display_name, .. }) = tags.get(dice(tags.len() + 2)).cloned() else {
        alice.tag(&format!("tag {}", tags.len() * 1_000 + dice(1_000))).await.expect("made");
        return;
    };
    match dice(4) {
        0 => {
            alice.delete_tag(DeleteTagRequest { name, force: true, ..Default::default() }).await.expect("deleted");
            alice.tag(&display_name).await.expect("the name is free");
        }
        1 => {
            let display_name = format!("{display_name}-{}", dice(10));
            let tag = Some(Tag { name, display_name, ..Tag::default() });
            alice.update_tag(UpdateTagRequest { tag, update_mask: None }).await.expect("renamed");
        }
        _ => drop(alice.write_tagged("tagged", &[&name]).await.expect("made")),
    }
}

/// Does something to one of the person's notes or tags, by the dice.
async fn do_something(alice: &Person, dice: &mut impl FnMut(usize) -> usize) {
    if dice(3) == 0 {
        return do_something_to_a_tag(alice, dice).await;
    }
    let listed = alice.list_all(proto::notes::v1::ListNotesRequest { show_deleted: true, ..Default::default() }).await;
    let Some(note) = listed.get(dice(listed.len() + 1)) else {
        alice.write("new", &"x".repeat(dice(100))).await;
        return;
    };
    let name = note.name.clone();
    match (note.delete_time.is_some(), dice(8)) {
        (true, 0) => drop(alice.empty_trash().await.expect("emptied")),
        (true, 1 | 2) => alice.expunge(&name).await.expect("removed"),
        (true, _) => drop(alice.undelete(&name).await.expect("back")),
        (false, 0..3) => {
            drop(alice.delete(DeleteNoteRequest { name, ..Default::default() }).await.expect("deleted"));
        }
        (false, n) => {
            let sent = Note { name, title: format!("changed {n}"), ..Note::default() };
            drop(alice.update(UpdateNoteRequest { note: Some(sent), ..Default::default() }).await.expect("updated"));
        }
    }
}

#[tokio::test]
async fn copies_that_list_ask_and_watch_by_turns_are_whole_though_the_service_restarts_between() {
    let mut stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut dice = move |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(sides).expect("few")).expect("few")
    };
    let mut copies = vec![Copy::listed(&alice).await, Copy::default()];
    for round in 0..4 {
        for _ in 0..12 {
            do_something(&alice, &mut dice).await;
            let index = dice(copies.len());
            match dice(4) {
                0 => drop(copies[index].follow(&alice, 2).await),
                1 => {
                    let mut copy = copies[index].clone();
                    if copy.sync_token.is_empty() {
                        copy.follow(&alice, 0).await;
                    }
                    let mut stream = alice.watch(from(&copy.sync_token)).await.expect("a stream");
                    copy.catch_up(&mut stream).await;
                    do_something(&alice, &mut dice).await;
                    copies[index] = copy;
                }
                2 => copies.push(Copy::listed(&alice).await),
                _ => {}
            }
        }
        if round % 2 == 0 {
            stack = stack.restart_notes().await;
            alice = stack.log_in(&alice).await;
        }
    }
    let mut whole = Copy::default();
    whole.follow(&alice, 0).await;
    for mut copy in copies {
        copy.follow(&alice, 1).await;
        assert_eq!(copy.notes.keys().collect::<Vec<_>>(), whole.notes.keys().collect::<Vec<_>>());
        assert_eq!(copy.digest(), whole.digest());
    }
}

#[tokio::test]
async fn a_silent_stream_says_every_twenty_seconds_at_least_that_it_lives() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut stream = alice.watch(from("")).await.expect("a stream");
    for _ in 0..3 {
        let message = next(&mut stream).await;
        let Some(Event::Checkpoint(checkpoint)) = message.event else { panic!("{message:?}") };
        assert_eq!(checkpoint.digest.expect("a digest").note_count, 0);
        stack.clock.advance(Duration::from_secs(20));
    }
}

#[tokio::test]
async fn a_stream_ends_before_its_token_does_with_the_place_to_resume() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut stream = alice.watch(from("")).await.expect("a stream");
    next(&mut stream).await;
    stack.clock.advance(Duration::from_secs(5 * 60 - 1));
    let (reason, token) = farewell(&mut stream).await;
    assert_eq!(reason, GoingAwayReason::TokenExpired);

    let alice = stack.log_in(&alice).await;
    let note = alice.write("meanwhile", "").await;
    let mut stream = alice.watch(from(&token)).await.expect("a stream");
    assert_eq!(changes(next(&mut stream).await), [Change::Note(note)]);
}

#[tokio::test]
async fn a_stream_whose_session_is_revoked_says_so_with_the_place_to_resume() {
    let stack = Stack::start().await;
    let mut alice = stack.register("alice").await;
    let other = alice.on_another_device().await;
    let mut copy = Copy::listed(&alice).await;
    let (mut own, mut others) = (alice.watch(from("")).await.expect("a stream"), other.watch(from("")).await);
    let others = others.as_mut().expect("a stream");
    for stream in [&mut own, &mut *others] {
        next(stream).await;
    }
    let note = alice.write("seen", "").await;
    copy.catch_up(&mut own).await;
    next(others).await;
    alice.logout().await.expect("signed out");
    let (reason, token) = farewell(&mut own).await;
    assert_eq!(reason, GoingAwayReason::SessionRevoked);
    let later = other.write("later", "").await;
    assert_eq!(changes(next(others).await), [Change::Note(later.clone())], "that session lives");

    let alice = stack.log_in(&alice).await;
    let mut stream = alice.watch(from(&token)).await.expect("a stream");
    copy.catch_up(&mut stream).await;
    assert_eq!(copy.notes.into_keys().collect::<BTreeSet<_>>(), BTreeSet::from([note.name, later.name]));
}

#[tokio::test]
async fn a_service_that_stops_tells_its_streams_where_to_resume() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut copy = Copy::listed(&alice).await;
    let mut stream = alice.watch(from(&copy.sync_token)).await.expect("a stream");
    copy.catch_up(&mut stream).await;
    let restarted = tokio::spawn(stack.restart_notes());
    let (reason, token) = farewell(&mut stream).await;
    assert_eq!(reason, GoingAwayReason::ServerDrain);
    let stack = restarted.await.expect("restarted");
    let alice = stack.log_in(&alice).await;
    alice.write("later", "").await;
    let mut stream = alice.watch(from(&token)).await.expect("a stream");
    copy.catch_up(&mut stream).await;
    assert_eq!(copy.notes.len(), 1);
}

#[tokio::test]
async fn a_copy_that_cannot_go_on_is_told_so_and_the_stream_ends() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut copy = Copy::default();
    copy.follow(&alice, 0).await;
    let stack = stack.restart_notes_with(&[("NOTES_SERVICE_SYNC_EPOCH", "2")]).await;
    let alice = stack.log_in(&alice).await;
    let mut stream = alice.watch(from(&copy.sync_token)).await.expect("a stream");
    let message = next(&mut stream).await;
    assert!(matches!(message.event, Some(Event::Reset(_))), "{message:?}");
    assert!(message.sync_token.is_empty());
    assert!(stream.message().await.expect("it ends well").is_none());
}

#[tokio::test]
async fn a_token_that_is_no_sync_token_of_the_caller_opens_no_stream() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let copy = Copy::listed(&alice).await;
    const INVALID: &str = "INVALID_ARGUMENT PAGE_TOKEN_INVALID";
    assert_refused(bob.watch(from(&copy.sync_token)).await.map(drop), INVALID);
    for bad in ["A", &copy.sync_token[1..], &"A".repeat(100_000)] {
        assert_refused(alice.watch(from(bad)).await.map(drop), INVALID);
    }
    let bad_view = WatchNotesRequest { view: 9, ..from(&copy.sync_token) };
    assert_refused(alice.watch(bad_view).await.map(drop), "INVALID_ARGUMENT FIELD_INVALID");
    alice.watch(from(&copy.sync_token)).await.expect("it is hers");
}

#[tokio::test]
async fn a_caller_has_ten_streams_and_no_more() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = alice.watch(from("")).await.expect("a stream");
        next(&mut stream).await;
        streams.push(stream);
    }
    assert_refused(alice.watch(from("")).await.map(drop), "RESOURCE_EXHAUSTED WATCH_LIMIT");
    bob.watch(from("")).await.expect("that is hers");
    streams.pop();
    let mut rounds = 0;
    while alice.watch(from("")).await.is_err() {
        rounds += 1;
        assert!(rounds < 1_000, "a stream that has gone still counts");
    }
}

#[tokio::test]
async fn a_slow_reader_loses_nothing() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut copy = Copy::listed(&alice).await;
    let mut stream = alice.watch(from(&copy.sync_token)).await.expect("a stream");
    // More than windows and buffers between the two hold.
    let text = "x".repeat(50_000);
    for n in 0..60 {
        alice.write(&n.to_string(), &text).await;
    }
    while copy.notes.len() < 60 {
        copy.catch_up(&mut stream).await;
    }
    assert!(copy.notes.values().all(|note| note.content == text));
}

#[tokio::test]
async fn a_browser_watches_over_http_1() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut request = raw::grpc_request(
        stack.notes.address(),
        "/notes.v1.NotesService/WatchNotes",
        Some(&alice.tokens.access_token),
        &[],
    );
    let headers = request.headers_mut();
    headers.remove("te");
    headers.insert("content-type", "application/grpc-web+proto".parse().expect("a value"));
    headers.insert("host", "notes".parse().expect("a value"));
    let request = request.map(|body: Full<Bytes>| body);
    let mut body = raw::begin(stack.notes.address(), Version::HTTP_11, request).await.into_body();
    let mut received = Vec::new();
    let mut message = async || loop {
        // A frame of gRPC: a flag, a length, a message.
        if let Some((head, rest)) = received.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            if rest.len() >= length {
                assert_eq!(head[0], 0, "a message, no trailers");
                let message: WatchNotesResponse = prost::Message::decode(&rest[..length]).expect("a message");
                received.drain(..5 + length);
                return message;
            }
        }
        let frame = body.frame().await.expect("the body goes on").expect("a frame");
        received.extend_from_slice(&frame.into_data().expect("data"));
    };
    assert!(matches!(message().await.event, Some(Event::Checkpoint(_))));
    let note = alice.write("seen in a browser", "").await;
    let [Change::Note(seen)] = &changes(message().await)[..] else { panic!("no note") };
    assert_eq!(seen.etag, note.etag);
}

#[tokio::test]
async fn what_one_replica_writes_is_seen_at_another() {
    let stack = Stack::start().await;
    let Some(other) = stack.another_notes().await else { return };
    let here = stack.register("alice").await;
    let mut there = here.clone();
    there.notes_at(connect(other.address()).await);
    let mut copy = Copy::listed(&here).await;
    let mut stream = there.watch(from(&copy.sync_token)).await.expect("a stream");
    copy.catch_up(&mut stream).await;
    for n in 0..5 {
        let note = here.write(&n.to_string(), "").await;
        while !copy.notes.contains_key(&note.name) {
            copy.catch_up(&mut stream).await;
        }
    }
    drop(stream);
    other.stop().await;
}
