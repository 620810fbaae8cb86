//! Streams of WatchNotes: what one costs that waits, and how long a write takes to reach them.

use std::net::SocketAddr;
use std::time::Instant;

use hdrhistogram::Histogram;
use proto::notes::v1::notes_service_client::NotesServiceClient;
use proto::notes::v1::watch_notes_response::Event;
use proto::notes::v1::{CreateNoteRequest, WatchNotesRequest, WatchNotesResponse};
use tonic::Streaming;
use tonic::transport::Channel;

use crate::Failure;
use crate::program::Program;
use crate::scene::{self, Person};

/// Streams on one connection: as many as the service takes.
const STREAMS_PER_CONNECTION: usize = 100;

/// What watching was found to cost.
pub(crate) struct Watched {
    /// Memory of the service for each stream, with its part of a connection, in bytes.
    pub(crate) bytes_per_stream: f64,
    /// From sending a write until a stream has it, in microseconds: more than from its commit.
    pub(crate) latencies: Histogram<u64>,
}

/// Opens this many streams, one of the first person and the rest shared among the others, and lets the first one write and
/// see, `writes` times.
///
/// # Errors
/// If the service refuses, or a stream ends.
pub(crate) async fn measure(
    service: &Program,
    people: &[Person],
    streams: usize,
    writes: usize,
) -> Result<Watched, Failure> {
    let Some((writing, others @ [_, ..])) = people.split_first() else { return Err("there are too few people".into()) };
    let address = service.address("notes");
    let writer = NotesServiceClient::new(scene::channel(address).await?);
    // What the first calls after a start leave in memory is not the streams'.
    for person in people {
        write(&writer, person).await?;
    }
    let before = service.memory()?;
    let mut open = Vec::with_capacity(streams);
    let mut client = None;
    for index in 0..streams {
        if index % STREAMS_PER_CONNECTION == 0 {
            client = None;
        }
        let client = match &client {
            Some(client) => client,
            None => client.insert(connect(address).await?),
        };
        let person = if index == 0 { writing } else { &others[index % others.len()] };
        let request = scene::authorized(person, WatchNotesRequest::default());
        let mut stream = client.clone().watch_notes(request).await?.into_inner();
        next(&mut stream).await?;
        open.push(stream);
    }
    let after = service.memory()?;

    let mut latencies = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    for _ in 0..writes {
        let begin = Instant::now();
        let (written, seen) = tokio::join!(write(&writer, writing), see(&mut open[0]));
        written?;
        seen?;
        latencies.record(u64::try_from(begin.elapsed().as_micros())?)?;
    }
    let bytes = after.saturating_sub(before) as f64;
    Ok(Watched { bytes_per_stream: bytes / streams as f64, latencies })
}

async fn connect(address: SocketAddr) -> Result<NotesServiceClient<Channel>, Failure> {
    Ok(NotesServiceClient::new(scene::channel(address).await?))
}

async fn write(client: &NotesServiceClient<Channel>, person: &Person) -> Result<(), Failure> {
    let request = CreateNoteRequest { note: Some(scene::new_note()), ..Default::default() };
    client.clone().create_note(scene::authorized(person, request)).await?;
    Ok(())
}

/// Waits for a change.
async fn see(stream: &mut Streaming<WatchNotesResponse>) -> Result<(), Failure> {
    while !matches!(next(stream).await?.event, Some(Event::Batch(_))) {}
    Ok(())
}

async fn next(stream: &mut Streaming<WatchNotesResponse>) -> Result<WatchNotesResponse, Failure> {
    Ok(stream.message().await?.ok_or("a stream ended")?)
}
