//! What one HTTP/2 connection may do, by frames.

use bytes::Bytes;
use http::{HeaderValue, Version};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::toy::{ECHO, Event, Toy, WAIT, within};
use crate::wire::{Connection, Frame, echo, framed, grpc_request, raw_http2, raw_request, send};

const REFUSED_STREAM: [u8; 4] = 7_u32.to_be_bytes();
/// Frames that come faster than the server can begin to answer them.
const BATCH: u32 = 1_000;
const ENHANCE_YOUR_CALM: [u8; 4] = 11_u32.to_be_bytes();

async fn write(stream: &mut TcpStream, frames: &[Vec<u8>]) {
    stream.write_all(&frames.concat()).await.expect("sent");
}

fn opened(stream: u32, path: &str) -> Vec<u8> {
    Frame::encode(Frame::HEADERS, Frame::END_HEADERS, stream, &Frame::request(path))
}

#[tokio::test]
async fn the_first_frame_says_how_many_streams_and_how_long_headers_may_be() {
    for (settings, streams, headers) in [
        (&[][..], 100, 16_384),
        (&[("LIMITS_STREAMS_PER_CONNECTION", "3"), ("LIMITS_HEADER_BYTES", "8 KiB")], 3, 8_192_u32),
    ] {
        let toy = Toy::start(settings).await;
        let first = Frame::read(&mut raw_http2(toy.address).await).await.expect("a frame");
        assert_eq!((first.kind, first.flags), (Frame::SETTINGS, 0));
        let said: Vec<_> = first
            .payload
            .chunks(6)
            .map(|entry| (entry[1], u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]])))
            .collect();
        assert!(said.contains(&(3, streams)), "MAX_CONCURRENT_STREAMS: {said:?}");
        assert!(said.contains(&(6, headers)), "MAX_HEADER_LIST_SIZE: {said:?}");
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_the_connection_lives_on() {
    let mut toy = Toy::start(&[("LIMITS_STREAMS_PER_CONNECTION", "2")]).await;
    let mut stream = raw_http2(toy.address).await;
    let data = |stream| Frame::encode(Frame::DATA, Frame::END_STREAM, stream, &framed(b""));
    write(&mut stream, &[opened(1, WAIT), data(1), opened(3, WAIT), data(3), opened(5, ECHO)]).await;
    let refused = frame_of(&mut stream, 5).await;
    assert_eq!((refused.kind, refused.payload), (Frame::RST_STREAM, REFUSED_STREAM.to_vec()));

    assert_eq!((toy.event().await, toy.event().await), (Event::Begun, Event::Begun));
    toy.open_gate();
    assert_eq!(frame_of(&mut stream, 1).await.kind, Frame::HEADERS, "the others were not touched");
    write(&mut stream, &[opened(7, ECHO), data(7)]).await;
    assert_eq!(frame_of(&mut stream, 7).await.kind, Frame::HEADERS, "and there is room again");
}

/// The first frame of this stream that comes; with 0, the frame that ends the connection.
async fn frame_of(stream: &mut (impl tokio::io::AsyncRead + Unpin), id: u32) -> Frame {
    loop {
        let frame = Frame::read(stream).await.expect("the connection lives");
        if frame.stream == id && (id != 0 || frame.kind == Frame::GOAWAY) {
            return frame;
        }
    }
}

/// Sends `frames` until the connection ends, and expects to be told to calm down; another connection goes on.
async fn is_sent_away(frames: impl Fn(u32) -> Vec<u8> + Send + 'static) {
    let toy = Toy::start(&[]).await;
    let other = Connection::open(toy.address).await;
    let (mut read, mut write) = raw_http2(toy.address).await.into_split();
    let writer = tokio::spawn(async move {
        for batch in 0..20 {
            let bytes: Vec<_> = (batch * BATCH..(batch + 1) * BATCH).flat_map(&frames).collect();
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let told = frame_of(&mut read, 0).await;
    assert_eq!(told.payload[4..8], ENHANCE_YOUR_CALM, "{}", told.payload.escape_ascii());
    writer.abort();
    other.call(ECHO, &echo("twin")).await.note();
}

#[tokio::test]
async fn a_peer_that_opens_and_resets_streams_without_end_is_sent_away() {
    const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
    is_sent_away(|index| {
        let stream = 2 * index + 1;
        [opened(stream, ECHO), Frame::encode(Frame::RST_STREAM, 0, stream, &CANCEL)].concat()
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_provokes_resets_without_end_is_sent_away() {
    // A window beyond 2^31 - 1 is an error of the stream (RFC 9113 §6.9.1), which the server must reset.
    is_sent_away(|index| {
        let stream = 2 * index + 1;
        [opened(stream, WAIT), Frame::encode(Frame::WINDOW_UPDATE, 0, stream, &i32::MAX.to_be_bytes())].concat()
    })
    .await;
}

#[tokio::test]
async fn headers_that_never_end_are_sent_away() {
    is_sent_away(|index| match index {
        0 => Frame::encode(Frame::HEADERS, 0, 1, &Frame::request(ECHO)),
        _ => Frame::encode(Frame::CONTINUATION, 0, 1, &[]),
    })
    .await;
}

#[tokio::test]
async fn resets_now_and_then_are_nobodys_fault() {
    let mut toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    for _ in 0..600 {
        let call = connection.begin(WAIT, &crate::wire::waiting());
        assert_eq!(toy.event().await, Event::Begun);
        call.abort();
        assert_eq!(toy.event().await, Event::Dropped);
    }
    connection.call(ECHO, &echo("twin")).await.note();
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused_and_the_connection_lives_on() {
    let toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    for (bytes, status) in [(20_000, 431), (12_000, 200)] {
        let value = HeaderValue::from_str(&"x".repeat(bytes)).expect("a value");
        let mut request = grpc_request(ECHO, &echo(""));
        request.headers_mut().insert("x-long", value.clone());
        let answer = connection.send(request).await.expect("an answer");
        assert_eq!(answer.status, status, "HTTP/2, {bytes} bytes");

        let mut request = raw_request(ECHO, Bytes::new());
        *request.method_mut() = http::Method::GET;
        *request.uri_mut() = "http://toy.example/hello".parse().expect("an address");
        request.headers_mut().insert("x-long", value);
        assert_eq!(send(toy.address, Version::HTTP_11, request).await.status, status, "HTTP/1.1, {bytes} bytes");
    }
    within(async { connection.call(ECHO, &echo("twin")).await.note() }).await;
}
