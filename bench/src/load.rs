//! The load generator: closed loops of gRPC calls over plain HTTP/2.
//!
//! It speaks to `h2` itself instead of using the generated clients, because it shares the machine with what it
//! measures: whatever a call costs here hides a difference there. Messages are encoded before the clock starts, and
//! answers are decoded only where the next call needs them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use hdrhistogram::Histogram;
use http::header::{AUTHORIZATION, CONTENT_TYPE, TE};
use http::{HeaderValue, Method, Request, Uri, Version};
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;

/// One call: the token it carries, if any, and its message.
#[derive(Clone)]
pub(crate) struct Call {
    authorization: Option<HeaderValue>,
    body: Bytes,
}

impl Call {
    /// A call with this message, framed for the wire (one byte of flags, four of length).
    pub(crate) fn new(authorization: Option<HeaderValue>, message: &impl Message) -> Self {
        let length = message.encoded_len();
        let mut body = BytesMut::with_capacity(5 + length);
        body.put_u8(0);
        body.put_u32(u32::try_from(length).expect("messages of a benchmark are small"));
        message.encode(&mut body).expect("the buffer grows");
        Self { authorization, body: body.freeze() }
    }
}

/// What one client sends: given the message that it got last, empty at first, its next call.
pub(crate) type Script = Box<dyn FnMut(&[u8]) -> Call + Send>;

/// When a client stops.
#[derive(Clone)]
pub(crate) enum Until {
    /// After this many calls of its own.
    Calls(usize),
    /// When somebody says so.
    Stopped(Arc<AtomicBool>),
}

impl Until {
    fn goes_on(&self, done: usize) -> bool {
        match self {
            Self::Calls(calls) => done < *calls,
            Self::Stopped(stopped) => !stopped.load(Ordering::Relaxed),
        }
    }
}

/// What a run measured.
pub(crate) struct Outcome {
    /// From the first call to the last answer.
    pub(crate) elapsed: Duration,
    /// Of the calls that were answered with OK, in microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// How many calls were answered with another status, by its number.
    pub(crate) refused: BTreeMap<String, u64>,
    /// The message of the last OK answer of some client, in bytes.
    pub(crate) message_bytes: usize,
}

impl Outcome {
    /// OK answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency below which this part of the OK answers lies, in milliseconds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        self.latencies.value_at_quantile(part) as f64 / 1000.0
    }

    fn empty() -> Self {
        let latencies = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds that a histogram can have");
        Self { elapsed: Duration::ZERO, latencies, refused: BTreeMap::new(), message_bytes: 0 }
    }

    fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("equal bounds");
        for (status, count) in &other.refused {
            *self.refused.entry(status.clone()).or_default() += count;
        }
        self.elapsed = self.elapsed.max(other.elapsed);
        self.message_bytes = self.message_bytes.max(other.message_bytes);
    }
}

/// Runs one client per script against `method`, spread evenly over `connections`, each sending its next call when the
/// one before is answered.
///
/// Half of the cores generate load, each with a single-threaded runtime: the cheapest way to speak HTTP/2 there is.
///
/// # Errors
/// If a connection fails. An answer with an error status is counted and no error.
pub(crate) fn run(
    address: SocketAddr,
    method: &'static str,
    connections: usize,
    scripts: Vec<Script>,
    until: &Until,
) -> Result<Outcome, Failure> {
    let uri: Uri = format!("http://{address}{method}").parse()?;
    let mut by_connection: Vec<Vec<Script>> = (0..connections).map(|_| Vec::new()).collect();
    for (index, script) in scripts.into_iter().enumerate() {
        by_connection[index % connections].push(script);
    }
    let threads = (crate::cores() / 2).clamp(1, connections);
    let mut by_thread: Vec<Vec<Vec<Script>>> = (0..threads).map(|_| Vec::new()).collect();
    for (index, clients) in by_connection.into_iter().enumerate() {
        by_thread[index % threads].push(clients);
    }

    let all_connected = Barrier::new(threads);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let (uri, all_connected) = (&uri, &all_connected);
        let threads: Vec<_> = by_thread
            .into_iter()
            .map(|clients| scope.spawn(move || run_thread(address, uri, clients, until, all_connected)))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });

    let mut total = Outcome::empty();
    for outcome in outcomes {
        total.add(&outcome?);
    }
    Ok(total)
}

fn run_thread(
    address: SocketAddr,
    uri: &Uri,
    clients: Vec<Vec<Script>>,
    until: &Until,
    all_connected: &Barrier,
) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = Vec::new();
        for scripts in clients {
            connections.push((connect(address).await, scripts));
        }
        all_connected.wait();
        let begin = Instant::now();
        let mut running = JoinSet::new();
        for (connection, scripts) in connections {
            let connection = connection?;
            for script in scripts {
                running.spawn(run_client(connection.clone(), uri.clone(), script, until.clone()));
            }
        }
        let mut outcome = Outcome::empty();
        while let Some(finished) = running.join_next().await {
            outcome.add(&finished??);
        }
        outcome.elapsed = begin.elapsed();
        Ok(outcome)
    })
}

async fn run_client(
    connection: SendRequest<Bytes>,
    uri: Uri,
    mut script: Script,
    until: Until,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::empty();
    let mut message = Bytes::new();
    let mut done = 0;
    while until.goes_on(done) {
        let call = script(&message);
        let begin = Instant::now();
        let sender = connection.clone().ready().await?;
        let answer = answer(send(sender, &uri, call)?).await?;
        let micros = u64::try_from(begin.elapsed().as_micros())?;
        done += 1;
        match answer {
            Ok(answer) => {
                outcome.latencies.saturating_record(micros);
                outcome.message_bytes = answer.len();
                message = answer;
            }
            Err(status) => *outcome.refused.entry(status).or_default() += 1,
        }
    }
    Ok(outcome)
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    // Ends with an error when the server closes; the calls in flight report it.
    tokio::spawn(connection);
    Ok(sender)
}

fn send(mut sender: SendRequest<Bytes>, uri: &Uri, call: Call) -> Result<ResponseFuture, h2::Error> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(authorization) = call.authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    let (response, mut body) = sender.send_request(request, false)?;
    body.send_data(call.body, true)?;
    Ok(response)
}

/// The message of an answer, without its frame, or its status if that is not OK.
async fn answer(response: ResponseFuture) -> Result<Result<Bytes, String>, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let mut message = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        message.extend_from_slice(&chunk);
    }
    // An answer without a message has its status in the headers.
    let trailers = body.trailers().await?.unwrap_or(head.headers);
    let status = trailers.get("grpc-status").and_then(|status| status.to_str().ok()).unwrap_or("none");
    Ok(if status == "0" { Ok(message.freeze().slice(5..)) } else { Err(status.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo;
    use proto::notes::v1::GetNoteRequest;

    const GET_NOTE: &str = "/notes.v1.NotesService/GetNote";

    fn start_echo() -> SocketAddr {
        let (sender, address) = std::sync::mpsc::channel();
        thread::spawn(move || {
            crate::runtime().unwrap().block_on(async {
                let listener = echo::bind().await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                echo::serve(listener).await.unwrap();
            });
        });
        address.recv().unwrap()
    }

    fn get_note(name: &str) -> Call {
        Call::new(None, &GetNoteRequest { name: name.to_owned(), ..Default::default() })
    }

    #[test]
    fn every_call_is_answered_and_counted_and_answers_come_back_to_their_client() {
        let address = start_echo();
        let scripts = (0..6).map(|client| -> Script {
            let name = format!("notes/{client}");
            let mut calls = 0;
            Box::new(move |answer| {
                let note = proto::notes::v1::Note::decode(answer).unwrap();
                assert_eq!(note.name, if calls == 0 { String::new() } else { name.clone() });
                calls += 1;
                get_note(&name)
            })
        });
        let outcome = run(address, GET_NOTE, 2, scripts.collect(), &Until::Calls(10)).unwrap();
        assert_eq!(outcome.latencies.len(), 60);
        assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
        assert!(outcome.message_bytes > 256);
        assert!(outcome.rate() > 0.0 && outcome.quantile(0.5) <= outcome.quantile(0.99));
    }

    #[test]
    fn a_refused_call_is_counted_by_its_status_and_has_no_latency() {
        let address = start_echo();
        let script: Script = Box::new(|_| get_note("notes/1"));
        let outcome = run(address, "/notes.v1.Nothing/GetNote", 1, vec![script], &Until::Calls(3)).unwrap();
        assert_eq!(outcome.refused, BTreeMap::from([("12".to_owned(), 3)]), "UNIMPLEMENTED");
        assert_eq!(outcome.latencies.len(), 0);
    }

    #[test]
    fn a_run_stops_when_somebody_says_so() {
        let address = start_echo();
        let stopped = Arc::new(AtomicBool::new(false));
        let mut calls = 0;
        let stop = Arc::clone(&stopped);
        let script: Script = Box::new(move |_| {
            calls += 1;
            stop.store(calls == 5, Ordering::Relaxed);
            get_note("notes/1")
        });
        let outcome = run(address, GET_NOTE, 1, vec![script], &Until::Stopped(stopped)).unwrap();
        assert_eq!(outcome.latencies.len(), 5);
    }

    #[test]
    fn a_server_that_is_not_there_is_a_failure() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let scripts = (0..4).map(|_| -> Script { Box::new(|_| get_note("notes/1")) });
        assert!(run(closed, GET_NOTE, 4, scripts.collect(), &Until::Calls(1)).is_err());
    }
}
