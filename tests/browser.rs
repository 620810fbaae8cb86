//! From a browser's position: gRPC-Web, binary and text, over HTTP/1.1 and HTTP/2, with preflights, from an allowed
//! origin and from another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use http_body_util::Full;
use prost::Message as _;
use proto::notes::v1::{CreateNoteRequest, GetNoteRequest, Note};

use crate::harness::raw::{self, Answer, framed};
use crate::harness::stack::{ORIGIN, Stack};

const CREATE: &str = "/notes.v1.NotesService/CreateNote";
const GET: &str = "/notes.v1.NotesService/GetNote";
const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[derive(Clone, Copy, Debug)]
enum Format {
    Binary,
    Text,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Binary => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text+proto",
        }
    }

    fn encode(self, message: &[u8]) -> Bytes {
        match self {
            Self::Binary => framed(message),
            Self::Text => BASE64.encode(framed(message)).into(),
        }
    }

    /// The message and the trailers of an answer's body.
    fn decode(self, body: &[u8]) -> (Vec<u8>, HeaderMap) {
        let bytes = match self {
            Self::Binary => body.to_vec(),
            // Frames may be encoded one by one, each with its own padding.
            Self::Text => body
                .split_inclusive(|byte| *byte == b'=')
                .collect::<Vec<_>>()
                .chunk_by(|a, b| a.ends_with(b"=") && b == b"=")
                .flat_map(|group| BASE64.decode(group.concat()).expect("base64"))
                .collect(),
        };
        let (mut message, mut trailers) = (Vec::new(), HeaderMap::new());
        let mut rest = bytes.as_slice();
        while let [flags, a, b, c, d, after @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let (frame, next) = after.split_at(length);
            match flags {
                0x80 => trailers = parse_trailers(frame),
                _ => message.extend_from_slice(frame),
            }
            rest = next;
        }
        (message, trailers)
    }
}

fn parse_trailers(frame: &[u8]) -> HeaderMap {
    let text = std::str::from_utf8(frame).expect("trailers are text");
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).expect("a name");
            (name, HeaderValue::from_str(value.trim()).expect("a value"))
        })
        .collect()
}

async fn call(
    stack: &Stack,
    version: Version,
    format: Format,
    path: &str,
    token: Option<&str>,
    message: &[u8],
) -> Answer {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(uri(stack, version, path))
        .header("host", stack.notes.address().to_string())
        .header("content-type", format.content_type())
        .header("accept", format.content_type())
        .header("x-grpc-web", "1")
        .header("origin", ORIGIN);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::new(format.encode(message))).expect("a request");
    let mut answer = raw::send(stack.notes.address(), version, request).await;
    let (message, trailers) = format.decode(&answer.body);
    (answer.body, answer.trailers) = (message.into(), trailers);
    answer
}

fn uri(stack: &Stack, version: Version, path: &str) -> String {
    if version == Version::HTTP_2 { format!("http://{}{path}", stack.notes.address()) } else { path.to_owned() }
}

async fn preflight(stack: &Stack, version: Version, origin: &str) -> Answer {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(uri(stack, version, CREATE))
        .header("host", stack.notes.address().to_string())
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent")
        .body(Full::default())
        .expect("a request");
    raw::send(stack.notes.address(), version, request).await
}

#[tokio::test]
async fn a_note_is_written_and_read_in_both_formats_over_both_versions_of_http() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for version in VERSIONS {
        for format in [Format::Binary, Format::Text] {
            let note =
                Note { title: format!("{format:?} {version:?}"), content: "naïve ✓".into(), ..Note::default() };
            let create = CreateNoteRequest { note: Some(note.clone()), ..Default::default() }.encode_to_vec();
            let answer = call(&stack, version, format, CREATE, Some(&alice.tokens.access_token), &create).await;
            assert_eq!(answer.outcome(), "OK", "{format:?} {version:?}");
            assert_eq!(answer.headers["content-type"], format.content_type());
            assert_eq!(answer.headers["access-control-allow-origin"], ORIGIN);
            let made = Note::decode(answer.body).expect("a note");

            let get = GetNoteRequest { name: made.name.clone(), ..Default::default() }.encode_to_vec();
            let answer = call(&stack, version, format, GET, Some(&alice.tokens.access_token), &get).await;
            let read = Note::decode(answer.body).expect("a note");
            assert_eq!((read.title, read.content), (note.title, note.content));
        }
    }
}

#[tokio::test]
async fn errors_and_their_details_reach_the_browser() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let get = GetNoteRequest { name: "no name".into(), ..Default::default() }.encode_to_vec();
    for version in VERSIONS {
        for format in [Format::Binary, Format::Text] {
            for (token, expected) in [
                (None, "UNAUTHENTICATED TOKEN_MISSING"),
                (Some("rubbish"), "UNAUTHENTICATED TOKEN_INVALID"),
                (Some(alice.tokens.access_token.as_str()), "INVALID_ARGUMENT FIELD_INVALID"),
            ] {
                let answer = call(&stack, version, format, GET, token, &get).await;
                assert_eq!(answer.outcome(), expected, "{format:?} {version:?}");
                let exposed = answer.headers["access-control-expose-headers"].to_str().expect("text").to_lowercase();
                for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-trace-id"] {
                    assert!(exposed.contains(name), "{name} is hidden from scripts: {exposed}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_preflight_from_an_allowed_origin_allows_what_a_grpc_web_client_sends() {
    let stack = Stack::start().await;
    for version in VERSIONS {
        let answer = preflight(&stack, version, ORIGIN).await;
        assert!(answer.status.is_success(), "{answer:?}");
        assert_eq!(answer.headers["access-control-allow-origin"], ORIGIN);
        assert_eq!(answer.headers["access-control-allow-methods"], "POST");
        let allowed = answer.headers["access-control-allow-headers"].to_str().expect("text").to_lowercase();
        for name in ["authorization", "content-type", "grpc-timeout", "x-grpc-web", "x-user-agent"] {
            assert!(allowed.contains(name), "{name} is not allowed: {allowed}");
        }
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    }
}

#[tokio::test]
async fn another_origin_gets_no_cors_headers() {
    let stack = Stack::start().await;
    for version in VERSIONS {
        for origin in ["https://evil.example", "null", "https://app.example.evil.example", "http://app.example"] {
            let answer = preflight(&stack, version, origin).await;
            for name in answer.headers.keys() {
                assert_ne!(name, "access-control-allow-origin", "{origin}");
            }
        }
    }
}

#[tokio::test]
async fn bad_base64_is_a_fixed_client_error() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for version in VERSIONS {
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri(&stack, version, GET))
            .header("host", stack.notes.address().to_string())
            .header("content-type", Format::Text.content_type())
            .header("authorization", format!("Bearer {}", alice.tokens.access_token))
            .body(Full::new(Bytes::from_static(b"!!! not base64 !!!")));
        let mut answer = raw::send(stack.notes.address(), version, request.expect("a request")).await;
        if answer.trailers.is_empty() && !answer.headers.contains_key("grpc-status") {
            answer.trailers = Format::Text.decode(&answer.body).1;
        }
        assert_eq!(answer.outcome(), "INVALID_ARGUMENT MALFORMED_REQUEST");
    }
}
