//! What is written of a call: one line, by which it can be found again, with nothing in it that a caller wrote.

use std::io;
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use tonic_health::pb::HealthCheckRequest;
use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt;

use crate::toy::{ECHO, Event, GUARDED, LIBRARY, PANIC, Toy, WAIT};
use crate::wire::{Connection, echo, grpc_request, panicking, saying, waiting};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Something that only a caller could have brought.
const WORDS: &str = "words-of-the-caller";

/// Every line that is written while it lives, at every level. A test has one thread, and the toy runs in it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            fmt().json().flatten_event(true).with_max_level(Level::TRACE).with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panics here").clone()).expect("text")
    }

    /// Method, code, trace and peer of every access line, in their order.
    fn calls(&self) -> Vec<[String; 4]> {
        let entries = self.text();
        let entries = entries.lines().filter_map(|line| line.parse::<serde_json::Value>().ok());
        entries
            .filter(|entry| entry["message"] == "call")
            .map(|entry| {
                assert!(entry["duration_ms"].as_f64().is_some_and(|took| took > 0.0), "{entry}");
                ["rpc.method", "rpc.code", "trace.id", "peer"]
                    .map(|field| entry[field].as_str().expect("text").to_owned())
            })
            .collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics here").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_call_has_one_line_with_its_method_code_trace_and_peer() {
    let (log, _guard) = Log::begin();
    let mut toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    let mut expected = Vec::new();
    for (path, name, method, code) in [
        (ECHO, "", "notes.v1.NotesService/GetNote", "Ok"),
        (GUARDED, "", "notes.v1.NotesService/ListNotes", "Unauthenticated"),
        (PANIC, "", "notes.v1.NotesService/DeleteNote", "Internal"),
        (LIBRARY, "5", "notes.v1.NotesService/UndeleteNote", "NotFound"),
        ("/made.Up/ByACaller", "", "_OTHER", "Unimplemented"),
    ] {
        let answer = connection.call(path, &echo(name)).await;
        expected.push([method.to_owned(), code.to_owned(), answer.trace_id().to_owned(), "127.0.0.1".to_owned()]);
    }
    assert_eq!(log.calls(), expected);

    let call = connection.begin(WAIT, &waiting());
    assert_eq!(toy.event().await, Event::Begun);
    call.abort();
    assert_eq!(toy.event().await, Event::Dropped);
    connection.call(ECHO, &echo("")).await;
    let codes: Vec<_> = log.calls().into_iter().skip(expected.len()).map(|[_, code, ..]| code).collect();
    assert_eq!(codes, ["Cancelled", "Ok"], "a call whose caller went away has its line, too");
}

#[tokio::test]
async fn the_trace_of_the_caller_stands_in_the_answer_and_in_the_line() {
    let (log, _guard) = Log::begin();
    let toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    for (parent, taken) in
        [(format!("00-{TRACE}-00f067aa0ba902b7-01"), true), (TRACE.to_owned(), false), (WORDS.to_owned(), false)]
    {
        let mut request = grpc_request(PANIC, &panicking(""));
        request.headers_mut().insert("traceparent", HeaderValue::from_str(&parent).expect("a value"));
        let answer = connection.send(request).await.expect("an answer");
        assert_eq!(answer.trace_id() == TRACE, taken, "{parent}");
        assert_eq!(log.calls().last().expect("a line")[2], answer.trace_id());
        let error = log.text().lines().rfind(|line| line.contains("a handler panicked")).expect("a line").to_owned();
        assert!(error.contains(answer.trace_id()) && error.contains("ERROR"), "{error}");
    }
}

#[tokio::test]
async fn nothing_that_a_caller_writes_is_written_by_us_at_any_level() {
    let (log, _guard) = Log::begin();
    let toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    let words = HeaderValue::from_static(WORDS);
    for path in [ECHO, GUARDED, PANIC, &format!("/{WORDS}/{WORDS}")] {
        for header in ["authorization", "x-custom", "traceparent", "grpc-timeout", "user-agent", "x-forwarded-for"] {
            let mut request = grpc_request(path, &echo(WORDS));
            request.headers_mut().insert(header, words.clone());
            connection.send(request).await.expect("an answer");
        }
    }
    let mut request = grpc_request(ECHO, &echo(WORDS));
    request.headers_mut().insert("content-type", words.clone());
    connection.send(request).await.expect("an answer");
    let text = log.text();
    let ours = |line: &&str| {
        let entry: serde_json::Value = line.parse().expect("JSON");
        let target = entry["target"].as_str().expect("text").to_owned();
        ["runtime", "authn"].iter().any(|name| target.split("::").next() == Some(name))
    };
    assert!(text.lines().filter(ours).count() >= 24, "{text}");
    for line in text.lines().filter(ours) {
        assert!(!line.contains(WORDS), "{line}");
    }
}

#[tokio::test]
async fn probes_are_counted_and_not_written_unless_asked_for() {
    let (log, _guard) = Log::begin();
    let toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    connection.call("/grpc.health.v1.Health/Check", &HealthCheckRequest::default()).await;
    connection.call(LIBRARY, &saying("reason5")).await;
    let levels: Vec<_> = log
        .text()
        .lines()
        .filter_map(|line| line.parse::<serde_json::Value>().ok())
        .filter(|entry| entry["message"] == "call")
        .map(|entry| entry["level"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!(levels, ["DEBUG", "INFO"]);
}
