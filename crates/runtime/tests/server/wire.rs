//! HTTP and gRPC without a client library that would hide what is compared here: whole answers, and frames as bytes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use proto::notes::v1::{
    CreateNoteRequest, DeleteNoteRequest, GetNoteRequest, Note, UndeleteNoteRequest, UpdateNoteRequest,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::toy::within;

/// The HTTP/2 preface of a client (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An HTTP/2 connection; requests run side by side on its clones.
#[derive(Clone)]
pub struct Connection(http2::SendRequest<Full<Bytes>>);

/// One answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the toy listens")).await
    }

    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) =
            within(http2::handshake(TokioExecutor::new(), TokioIo::new(stream))).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let (parts, body) = within(self.0.clone().send_request(request)).await?.into_parts();
        let collected = within(body.collect()).await?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(Answer { status: parts.status, headers: parts.headers, body: collected.to_bytes(), trailers })
    }

    /// A gRPC call.
    pub async fn call(&self, path: &str, message: &impl Message) -> Answer {
        self.send(grpc_request(path, message)).await.expect("an answer")
    }

    /// A gRPC call that goes on by itself.
    pub fn begin(&self, path: &str, message: &impl Message) -> tokio::task::JoinHandle<Result<Answer, hyper::Error>> {
        let (connection, request) = (self.clone(), grpc_request(path, message));
        tokio::spawn(async move { connection.send(request).await })
    }
}

impl Answer {
    /// The gRPC status, from the trailers or, for an answer without a body, from the headers.
    pub fn grpc(&self) -> tonic::Status {
        tonic::Status::from_header_map(&self.trailers)
            .or_else(|| tonic::Status::from_header_map(&self.headers))
            .unwrap_or_else(|| panic!("no grpc-status in {self:?}"))
    }

    /// Code and reason, `InvalidArgument FIELD_INVALID`, `Ok`, or `HTTP 415` for what is no gRPC answer.
    pub fn outcome(&self) -> String {
        if self.status == StatusCode::OK { outcome(&self.grpc()) } else { format!("HTTP {}", self.status.as_u16()) }
    }

    /// The note of a successful answer.
    pub fn note(&self) -> Note {
        assert_eq!(self.outcome(), "Ok", "{self:?}");
        Note::decode(self.body.slice(5..)).expect("a note")
    }

    pub fn trace_id(&self) -> &str {
        self.headers["x-trace-id"].to_str().expect("text")
    }
}

/// Code and reason of a status; the domain must be the toy's.
pub fn outcome(status: &tonic::Status) -> String {
    match status.get_details_error_info() {
        _ if status.code() == Code::Ok => "Ok".to_owned(),
        Some(info) => {
            assert_eq!(info.domain, crate::toy::DOMAIN);
            format!("{:?} {}", status.code(), info.reason)
        }
        None => format!("{:?} without a reason: {}", status.code(), status.message()),
    }
}

/// A message with the five bytes before it that gRPC puts there.
pub fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a test message is small");
    [&[0], length.to_be_bytes().as_slice(), message].concat().into()
}

pub fn grpc_request(path: &str, message: &impl Message) -> Request<Full<Bytes>> {
    raw_request(path, framed(&message.encode_to_vec()))
}

/// A gRPC request with this body, as it is.
pub fn raw_request(path: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://toy.example{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body))
        .expect("a request")
}

/// Sends `request` over a connection of its own.
pub async fn send(address: SocketAddr, version: Version, request: Request<Full<Bytes>>) -> Answer {
    let (parts, body) = begin(address, version, request).await.into_parts();
    let collected = within(body.collect()).await.expect("a whole body");
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Answer { status: parts.status, headers: parts.headers, body: collected.to_bytes(), trailers }
}

/// Sends `request` over a connection of its own, and does not wait for the body of the answer.
pub async fn begin(address: SocketAddr, version: Version, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
    let stream = TokioIo::new(TcpStream::connect(address).await.expect("the toy listens"));
    if version == Version::HTTP_2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        return within(sender.send_request(request)).await.expect("an answer");
    }
    request.headers_mut().insert("host", "toy.example".parse().expect("a name"));
    *request.uri_mut() = request.uri().path_and_query().expect("a path").as_str().parse().expect("a path");
    let (mut sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    within(sender.send_request(request)).await.expect("an answer")
}

/// GET over a connection of its own.
pub async fn get(address: SocketAddr, version: Version, path: &str) -> Answer {
    let request = Request::get(format!("http://toy.example{path}")).body(Full::default()).expect("a request");
    send(address, version, request).await
}

pub fn echo(name: &str) -> GetNoteRequest {
    GetNoteRequest { name: name.to_owned(), ..Default::default() }
}

pub fn waiting() -> CreateNoteRequest {
    CreateNoteRequest { note: Some(Note { name: "waited".to_owned(), ..Note::default() }), ..Default::default() }
}

pub fn panicking(name: &str) -> DeleteNoteRequest {
    DeleteNoteRequest { name: name.to_owned(), ..Default::default() }
}

pub fn saying(code: &str) -> UndeleteNoteRequest {
    UndeleteNoteRequest { name: code.to_owned() }
}

/// A message whose content has this many bytes.
pub fn of_size(bytes: usize) -> UpdateNoteRequest {
    let note = Note { content: "x".repeat(bytes), ..Note::default() };
    UpdateNoteRequest { note: Some(note), ..Default::default() }
}

/// One HTTP/2 frame (RFC 9113 §4.1).
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;

    pub fn encode(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// The next frame; `None` at the end of the connection, however it ended.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut head = [0; 9];
        within(stream.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        within(stream.read_exact(&mut payload)).await.ok()?;
        Some(Self { kind, flags, stream: u32::from_be_bytes(id), payload })
    }

    /// The head of a gRPC request, in literals that are not indexed (RFC 7541 §6.2.2).
    pub fn request(path: &str) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "toy.example"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).expect("shorter than 127"));
                block.extend_from_slice(text.as_bytes());
            }
        }
        block
    }
}

/// A connection that has sent its preface and settings.
pub async fn raw_http2(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the toy listens");
    let hello = [PREFACE, &Frame::encode(Frame::SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.expect("sent");
    stream
}

/// Reads to the end of the connection and tells how long that took from `begun`.
pub async fn await_end(stream: &mut (impl AsyncRead + Unpin), begun: std::time::Instant) -> Duration {
    let mut sink = [0; 4_096];
    while let Ok(1..) = within(stream.read(&mut sink)).await {}
    begun.elapsed()
}
