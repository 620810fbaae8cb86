//! Calls as bytes on a socket: what a client library would hide is compared here to the last header.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_types::StatusExt as _;

/// One answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Answer {
    /// The gRPC status, from the trailers or, for an answer without a body, from the headers.
    pub fn grpc(&self) -> tonic::Status {
        tonic::Status::from_header_map(&self.trailers)
            .or_else(|| tonic::Status::from_header_map(&self.headers))
            .unwrap_or_else(|| panic!("no grpc-status in {self:?}"))
    }

    /// Code and reason, as in `INVALID_ARGUMENT FIELD_INVALID`.
    pub fn outcome(&self) -> String {
        if self.status != StatusCode::OK {
            return format!("HTTP {}", self.status.as_u16());
        }
        outcome(&self.grpc())
    }

    /// Everything but what names the moment and the call: what two indistinguishable answers have in common.
    pub fn fingerprint(&self) -> String {
        let names = |map: &HeaderMap| {
            let mut lines: Vec<_> = map
                .iter()
                .filter(|(name, _)| !["date", "x-trace-id"].contains(&name.as_str()))
                .map(|(name, value)| format!("{name}: {value:?}"))
                .collect();
            lines.sort();
            lines
        };
        format!("{} {:?} {:?} {:?}", self.status, names(&self.headers), self.body, names(&self.trailers))
    }
}

/// Code and reason of a status, as in `NOT_FOUND NOTE_NOT_FOUND`.
pub fn outcome(status: &tonic::Status) -> String {
    match status.get_details_error_info() {
        _ if status.code() == Code::Ok => "OK".to_owned(),
        Some(info) => format!("{} {}", code_name(status.code()), info.reason),
        None => format!("{} without a reason", code_name(status.code())),
    }
}

fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// A message with the five bytes before it that gRPC puts there.
pub fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a test message is small");
    [&[0], length.to_be_bytes().as_slice(), message].concat().into()
}

/// Sends `request` over a connection of its own.
pub async fn send(address: SocketAddr, version: Version, request: Request<Full<Bytes>>) -> Answer {
    let (parts, body) = begin(address, version, request).await.into_parts();
    let collected = body.collect().await.expect("a whole body");
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Answer { status: parts.status, headers: parts.headers, body: collected.to_bytes(), trailers }
}

pub async fn begin(address: SocketAddr, version: Version, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let stream = TokioIo::new(TcpStream::connect(address).await.expect("the service listens"));
    let response = if version == Version::HTTP_2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    response.expect("an answer")
}

/// A unary gRPC request over HTTP/2, to be changed before it is sent.
pub fn grpc_request(address: SocketAddr, path: &str, token: Option<&str>, message: &[u8]) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Full::new(framed(message))).expect("a request")
}

/// A unary gRPC call over HTTP/2.
pub async fn grpc(address: SocketAddr, path: &str, token: Option<&str>, message: &[u8]) -> Answer {
    send(address, Version::HTTP_2, grpc_request(address, path, token, message)).await
}

/// How a call begins that is answered by a stream: `OK` with its first message, or why it is refused.
pub async fn grpc_stream(address: SocketAddr, path: &str, token: Option<&str>, message: &[u8]) -> String {
    let request = grpc_request(address, path, token, message);
    let (parts, mut body) = begin(address, Version::HTTP_2, request).await.into_parts();
    let frame = body.frame().await.map(|frame| frame.expect("a frame"));
    let trailers = match frame.map(Frame::into_data) {
        Some(Ok(_)) => return "OK".to_owned(),
        Some(Err(frame)) => frame.into_trailers().unwrap_or_default(),
        None => HeaderMap::new(),
    };
    Answer { status: parts.status, headers: parts.headers, body: Bytes::new(), trailers }.outcome()
}
