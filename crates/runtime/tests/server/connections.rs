//! One connection and all of them: the handshake deadline, the caps, the age, the deaf peer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::toy::{ECHO, Event, Toy, WAIT, within};
use crate::wire::{Connection, Frame, PREFACE, await_end, echo, framed, get, grpc_request, raw_http2, waiting};

const SOON: (&str, &str) = ("LIMITS_HANDSHAKE_DEADLINE", "200ms");
/// Timers are exact to a millisecond, and the clock of the peer begins a little later.
const ALMOST: Duration = Duration::from_millis(190);

async fn says(address: SocketAddr, bytes: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.expect("the toy listens");
    stream.write_all(bytes).await.expect("sent");
    await_end(&mut stream, begun).await
}

#[tokio::test]
async fn a_connection_that_does_not_introduce_itself_is_closed_at_the_handshake_deadline() {
    let toy = Toy::start(&[SOON]).await;
    let quiet = Connection::open(toy.address).await;
    let said: [&[u8]; 6] = [
        b"",
        b"P",
        &PREFACE[..12],
        PREFACE,
        b"GET /hello HTTP/1.1\r\nhost: toy.exa",
        b"POST /notes.v1.NotesService/GetNote HTTP/1.1\r\nhost: toy.example\r\ncontent-type: application/grpc-web\r\n",
    ];
    for (said, took) in said.iter().zip(join_all(said.iter().map(|said| says(toy.address, said))).await) {
        assert!(took >= ALMOST, "{} was closed after {took:?}", said.escape_ascii());
    }
    assert_eq!(quiet.call(ECHO, &echo("twin")).await.note().name, "twin", "a whole preface may be followed by silence");
}

#[tokio::test]
async fn a_kept_http1_connection_that_asks_nothing_more_is_closed() {
    let toy = Toy::start(&[SOON]).await;
    let request = b"GET /hello HTTP/1.1\r\nhost: toy.example\r\n\r\n";
    let mut stream = TcpStream::connect(toy.address).await.expect("the toy listens");
    for _ in 0..2 {
        stream.write_all(request).await.expect("sent");
        let mut answer = vec![0; 4_096];
        let length = within(stream.read(&mut answer)).await.expect("an answer");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "{}", answer[..length].escape_ascii());
    }
    await_end(&mut stream, Instant::now()).await;
}

#[tokio::test]
async fn the_handshake_deadline_does_not_cut_a_short_request_that_takes_longer() {
    let mut toy = Toy::start(&[SOON]).await;
    let mut stream = TcpStream::connect(toy.address).await.expect("the toy listens");
    stream.write_all(b"GET /wait HTTP/1.1\r\nhost:a\r\n\r\n").await.expect("sent");
    assert_eq!(toy.event().await, Event::Begun);
    says(toy.address, b"").await; // came later and is closed at the deadline
    toy.open_gate();
    assert_eq!(toy.event().await, Event::Finished);
    let mut answer = vec![0; 4_096];
    let length = within(stream.read(&mut answer)).await.expect("an answer");
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "{}", answer[..length].escape_ascii());
}

/// Tries until the toy takes another connection.
async fn again(address: SocketAddr) -> Connection {
    within(async {
        loop {
            let connection = Connection::open(address).await;
            if connection.send(grpc_request(ECHO, &echo(""))).await.is_ok() {
                return connection;
            }
        }
    })
    .await
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_at_once_and_those_that_end_make_room() {
    let toy = Toy::start(&[("LIMITS_CONNECTIONS", "2")]).await;
    let (first, second) = (Connection::open(toy.address).await, Connection::open(toy.address).await);
    first.call(ECHO, &echo("")).await.note();
    second.call(ECHO, &echo("")).await.note();
    says(toy.address, b"").await; // long before any deadline
    assert!(metrics(&toy).await.contains("server_connections_refused_total 1\n"));

    drop(first);
    let third = again(toy.address).await;
    third.call(ECHO, &echo("")).await.note();
    second.call(ECHO, &echo("")).await.note();
}

async fn metrics(toy: &Toy) -> String {
    let answer = get(toy.operations, Version::HTTP_11, "/metrics").await;
    String::from_utf8(answer.body.to_vec()).expect("text")
}

#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
#[tokio::test]
async fn one_address_cannot_take_the_connections_of_another() {
    let toy = Toy::start(&[("LIMITS_CONNECTIONS_PER_ADDRESS", "1")]).await;
    let first = Connection::open(toy.address).await;
    first.call(ECHO, &echo("")).await.note();
    says(toy.address, b"").await;

    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("ours");
    let neighbour = Connection::over(socket.connect(toy.address).await.expect("the toy listens")).await;
    assert!(neighbour.call(ECHO, &echo("")).await.note().content.starts_with("127.0.0.2:"));
    first.call(ECHO, &echo("")).await.note();
}

#[tokio::test]
async fn a_connection_of_age_is_asked_to_end_and_its_running_call_finishes() {
    let mut toy = Toy::start(&[("LIMITS_CONNECTION_AGE", "1s")]).await;
    let stream = TcpStream::connect(toy.address).await.expect("the toy listens");
    let (mut sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let (parts, body) = grpc_request(WAIT, &waiting()).into_parts();
    let (response, mut send) = sender.send_request(http::Request::from_parts(parts, ()), false).expect("sent");
    send.send_data(http_body_util::BodyExt::collect(body).await.expect("whole").to_bytes(), true).expect("sent");
    assert_eq!(toy.event().await, Event::Begun);

    let told = within(async {
        loop {
            match sender.clone().ready().await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    })
    .await;
    assert!(told.is_go_away() && told.reason() == Some(h2::Reason::NO_ERROR), "{told:?}");
    toy.open_gate();
    let mut body = within(response).await.expect("an answer").into_body();
    while let Some(data) = within(body.data()).await {
        data.expect("a whole answer");
    }
    assert_eq!(within(body.trailers()).await.expect("trailers").expect("trailers")["grpc-status"], "0");
    drop((sender, send, body));
    within(connection).await.expect("no panic").expect("the connection ends in peace");
    Connection::open(toy.address).await.call(ECHO, &echo("twin")).await.note();
}

#[tokio::test]
async fn what_never_ends_does_not_keep_a_connection_beyond_its_age() {
    let toy = Toy::start(&[("LIMITS_CONNECTION_AGE", "1s"), ("LIMITS_CALL_DEADLINE", "200ms")]).await;
    let mut watching = raw_http2(toy.address).await;
    let head = Frame::encode(Frame::HEADERS, Frame::END_HEADERS, 1, &Frame::request("/grpc.health.v1.Health/Watch"));
    let body = Frame::encode(Frame::DATA, Frame::END_STREAM, 1, &framed(b""));
    watching.write_all(&[head, body].concat()).await.expect("sent");
    let mut frames = Vec::new();
    while let Some(frame) = Frame::read(&mut watching).await {
        frames.push(frame);
    }
    let told = |kind| frames.iter().any(|frame: &Frame| frame.kind == kind);
    assert!(told(Frame::DATA) && told(Frame::GOAWAY), "it was served, then asked to end, then cut: {frames:?}");
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_cut_and_one_that_does_stays() {
    let toy = Toy::start(&[("LIMITS_KEEPALIVE_INTERVAL", "1s"), ("LIMITS_KEEPALIVE_TIMEOUT", "1s")]).await;
    let lively = Connection::open(toy.address).await;
    let mut deaf = raw_http2(toy.address).await;
    await_end(&mut deaf, Instant::now()).await;
    lively.call(ECHO, &echo("twin")).await.note();
}
