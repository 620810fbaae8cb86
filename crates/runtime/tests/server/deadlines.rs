//! How long a call may take, by the server's word and by the caller's.

use bytes::Bytes;
use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::toy::{ECHO, Event, Toy, WAIT, within};
use crate::wire::{Answer, Connection, echo, grpc_request, raw_request, waiting};

const SOON: (&str, &str) = ("LIMITS_CALL_DEADLINE", "200ms");
const TOO_LATE: &str = "DeadlineExceeded DEADLINE_EXCEEDED";

async fn call_with_timeout(connection: &Connection, path: &str, timeout: &str) -> Answer {
    let mut request = if path == WAIT { grpc_request(path, &waiting()) } else { grpc_request(path, &echo("")) };
    request.headers_mut().insert("grpc-timeout", HeaderValue::from_str(timeout).expect("a value"));
    connection.send(request).await.expect("an answer")
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_told_so_and_its_work_stops() {
    let mut toy = Toy::start(&[SOON]).await;
    let connection = Connection::open(toy.address).await;
    assert_eq!(connection.call(WAIT, &waiting()).await.outcome(), TOO_LATE);
    assert_eq!((toy.event().await, toy.event().await), (Event::Begun, Event::Dropped));

    let call = connection.begin(WAIT, &waiting());
    assert_eq!(toy.event().await, Event::Begun);
    toy.open_gate();
    let answer = call.await.expect("no panic").expect("an answer");
    assert_eq!(answer.note().name, "waited", "the twin: the same in time");
}

#[tokio::test]
async fn a_body_that_does_not_come_to_its_end_is_not_waited_for() {
    let toy = Toy::start(&[SOON]).await;
    let stream = TcpStream::connect(toy.address).await.expect("the toy listens");
    let (mut sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let (parts, _) = raw_request(ECHO, Bytes::new()).into_parts();
    let (response, mut body) = sender.send_request(http::Request::from_parts(parts, ()), false).expect("sent");
    body.send_data(Bytes::from_static(b"\0\0\0\0\x09ha"), false).expect("sent");
    let answer = within(response).await.expect("an answer");
    let status = tonic::Status::from_header_map(answer.headers()).expect("a status");
    assert_eq!(crate::wire::outcome(&status), TOO_LATE);
    Connection::open(toy.address).await.call(ECHO, &echo("twin")).await.note();
}

#[tokio::test]
async fn nor_is_one_over_http1() {
    let toy = Toy::start(&[SOON]).await;
    let mut stream = TcpStream::connect(toy.address).await.expect("the toy listens");
    let head = format!(
        "POST {ECHO} HTTP/1.1\r\nhost: toy.example\r\ncontent-type: application/grpc-web\r\ncontent-length: 14\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(b"\0\0\0\0\x09ha").await.expect("sent");
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.expect("an answer, and the end");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("\r\ngrpc-status: 4\r\n"), "{answer}");
}

#[tokio::test]
async fn the_callers_shorter_time_wins_and_a_longer_one_does_not() {
    let mut toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    assert_eq!(call_with_timeout(&connection, WAIT, "50m").await.outcome(), TOO_LATE);
    assert_eq!((toy.event().await, toy.event().await), (Event::Begun, Event::Dropped));
    assert_eq!(call_with_timeout(&connection, ECHO, "5S").await.outcome(), "Ok");

    let toy = Toy::start(&[SOON]).await;
    let connection = Connection::open(toy.address).await;
    assert_eq!(call_with_timeout(&connection, WAIT, "99999999H").await.outcome(), TOO_LATE);
}

#[tokio::test]
async fn a_call_without_time_or_with_a_malformed_time_executes_nothing() {
    let mut toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    for (timeout, expected) in [
        ("0n", TOO_LATE),
        ("0H", TOO_LATE),
        ("-1S", "InvalidArgument MALFORMED_REQUEST"),
        ("soon", "InvalidArgument MALFORMED_REQUEST"),
        ("1", "InvalidArgument MALFORMED_REQUEST"),
        ("123456789m", "InvalidArgument MALFORMED_REQUEST"),
    ] {
        assert_eq!(call_with_timeout(&connection, WAIT, timeout).await.outcome(), expected, "{timeout}");
    }
    assert!(toy.is_quiet(), "something was executed");
    toy.open_gate();
    assert_eq!(call_with_timeout(&connection, WAIT, "5S").await.outcome(), "Ok");
}
