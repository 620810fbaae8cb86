//! From a browser's position: which pages may call, what they can read, and gRPC-Web in both formats.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use proto::notes::v1::{ListNotesResponse, Note};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::toy::{ECHO, GUARDED, RETURN, SERVICE, Toy, WAIT, token, within};
use crate::wire::{Answer, begin, echo, framed, get, of_size, send};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text+proto";
const ORIGIN: &str = "https://app.example";
const LISTED: (&str, &str) = ("CORS_ORIGINS", "https://app.example,http://localhost:5173");

fn request(format: &str, path: &str, origin: Option<&str>, message: &[u8]) -> Request<Full<Bytes>> {
    let body = if format == TEXT { BASE64.encode(framed(message)).into() } else { framed(message) };
    let mut request =
        Request::post(format!("http://toy.example{path}")).header("content-type", format).header("accept", format);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.body(Full::new(body)).expect("a request")
}

fn preflight(origin: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::OPTIONS)
        .uri(format!("http://toy.example{WAIT}"))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent")
        .body(Full::default())
        .expect("a request")
}

/// The messages and the trailers of a gRPC-Web body.
fn decode(format: &str, body: &[u8]) -> (Vec<Vec<u8>>, HeaderMap) {
    let bytes = match format {
        // Frames may be encoded one by one, each with its own padding.
        TEXT => body
            .split_inclusive(|byte| *byte == b'=')
            .collect::<Vec<_>>()
            .chunk_by(|a, b| a.ends_with(b"=") && b == b"=")
            .flat_map(|group| BASE64.decode(group.concat()).expect("base64"))
            .collect(),
        _ => body.to_vec(),
    };
    let (mut messages, mut trailers, mut rest) = (Vec::new(), HeaderMap::new(), bytes.as_slice());
    while let [flags, a, b, c, d, after @ ..] = rest {
        let (frame, next) = after.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        match flags {
            0x80 => trailers = parse_trailers(frame),
            _ => messages.push(frame.to_vec()),
        }
        rest = next;
    }
    (messages, trailers)
}

fn parse_trailers(frame: &[u8]) -> HeaderMap {
    let text = std::str::from_utf8(frame).expect("trailers are text");
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).expect("a name");
            (name, HeaderValue::from_str(value.trim()).expect("a value"))
        })
        .collect()
}

/// The answer to a gRPC-Web request, with the trailers out of its body, and its messages.
async fn call(toy: &Toy, version: Version, format: &str, request: Request<Full<Bytes>>) -> (Answer, Vec<Vec<u8>>) {
    let mut answer = send(toy.address, version, request).await;
    let (messages, trailers) = decode(format, &answer.body);
    answer.trailers = trailers;
    (answer, messages)
}

fn cors_headers(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn a_preflight_from_a_listed_origin_allows_what_a_client_sends_and_no_more() {
    let toy = Toy::start(&[LISTED]).await;
    for version in VERSIONS {
        for origin in [ORIGIN, "http://localhost:5173"] {
            let answer = send(toy.address, version, preflight(origin)).await;
            assert!(answer.status.is_success(), "{answer:?}");
            assert_eq!(answer.headers["access-control-allow-origin"], origin);
            assert_eq!(answer.headers["access-control-allow-methods"], "POST");
            assert_eq!(answer.headers["access-control-max-age"], "7200");
            assert_eq!(answer.headers["vary"], "origin");
            assert!(!answer.headers.contains_key("access-control-allow-credentials"), "tokens are no cookies");
            let allowed = answer.headers["access-control-allow-headers"].to_str().expect("text").to_lowercase();
            for name in ["authorization", "content-type", "grpc-timeout", "traceparent", "x-grpc-web", "x-user-agent"] {
                assert!(allowed.split(',').any(|allowed| allowed.trim() == name), "{name}: {allowed}");
            }
            assert!(!allowed.contains('*') && !allowed.contains("cookie"), "{allowed}");
        }
    }
}

#[tokio::test]
async fn any_other_origin_gets_no_leave_by_preflight_call_or_error() {
    let listed = Toy::start(&[LISTED]).await;
    let default = Toy::start(&[]).await;
    for version in VERSIONS {
        for origin in
            ["https://evil.example", "null", "https://app.example.evil.example", "http://app.example", "*", ""]
        {
            let answer = send(listed.address, version, preflight(origin)).await;
            assert_eq!((answer.status.as_u16(), cors_headers(&answer.headers)), (405, vec![]), "{origin}");
            assert_eq!(answer.headers["vary"], "origin", "{origin}");
            for path in [ECHO, GUARDED, "/nothing"] {
                let answer = send(listed.address, version, request(BINARY, path, Some(origin), b"")).await;
                assert_eq!(cors_headers(&answer.headers), Vec::<&str>::new(), "{origin} {path}");
                assert_eq!(answer.headers["vary"], "origin", "{origin} {path}");
            }
        }
        let answer = send(default.address, version, preflight(ORIGIN)).await;
        assert_eq!((answer.status.as_u16(), cors_headers(&answer.headers)), (405, vec![]), "nobody is listed");
    }
}

#[tokio::test]
async fn without_an_origin_nothing_is_said_but_that_answers_differ_by_it() {
    let toy = Toy::start(&[LISTED]).await;
    let (answer, messages) = call(&toy, Version::HTTP_2, BINARY, request(BINARY, ECHO, None, b"")).await;
    assert_eq!((answer.outcome().as_str(), messages.len()), ("Ok", 1));
    assert_eq!(cors_headers(&answer.headers), Vec::<&str>::new());
    assert_eq!(answer.headers["vary"], "origin");
    assert_eq!(get(toy.address, Version::HTTP_2, "/hello").await.headers["vary"], "origin");
}

#[tokio::test]
async fn a_listed_page_can_read_errors_and_refusals() {
    let toy = Toy::start(&[LISTED]).await;
    for version in VERSIONS {
        for (format, path, expected) in [
            (BINARY, GUARDED, "Unauthenticated TOKEN_MISSING"),
            (TEXT, GUARDED, "Unauthenticated TOKEN_MISSING"),
            (BINARY, "/nothing", "Unimplemented METHOD_UNKNOWN"),
            (BINARY, "/notes.v1.NotesService/GetNote?", "HTTP 400"),
            ("text/plain", ECHO, "HTTP 415"),
            (BINARY, ECHO, "Ok"),
        ] {
            let (answer, _) = call(&toy, version, format, request(format, path, Some(ORIGIN), b"")).await;
            assert_eq!(answer.outcome(), expected, "{version:?} {format}");
            assert_eq!(answer.headers["access-control-allow-origin"], ORIGIN, "{expected}");
            let exposed = answer.headers["access-control-expose-headers"].to_str().expect("text").to_lowercase();
            for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-trace-id"] {
                assert!(exposed.contains(name), "{name} is hidden from scripts: {exposed}");
            }
        }
    }
}

#[tokio::test]
async fn a_message_goes_and_comes_in_both_formats_over_both_versions_of_http() {
    let toy = Toy::start(&[]).await;
    for version in VERSIONS {
        for format in [BINARY, TEXT] {
            for length in [0, 1, 2, 3, 30_000] {
                let message = of_size(length).encode_to_vec();
                let (answer, messages) = call(&toy, version, format, request(format, RETURN, None, &message)).await;
                assert_eq!(answer.outcome(), "Ok", "{version:?} {format}");
                assert_eq!(answer.headers["content-type"], format);
                assert_eq!(answer.headers["cache-control"], "no-store");
                let [note] = messages.as_slice() else { panic!("{} messages", messages.len()) };
                assert_eq!(Note::decode(note.as_slice()).expect("a note").content.len(), length);
            }
            let mut guarded = request(format, GUARDED, None, b"");
            let bearer = HeaderValue::from_str(&format!("Bearer {}", token())).expect("a value");
            guarded.headers_mut().insert("authorization", bearer);
            let (answer, messages) = call(&toy, version, format, guarded).await;
            assert_eq!(answer.outcome(), "Ok", "{version:?} {format}");
            let response = ListNotesResponse::decode(messages[0].as_slice()).expect("a response");
            assert_eq!(response.next_page_token, "read");
        }
    }
}

#[tokio::test]
async fn a_stream_reaches_a_browser_as_it_happens_and_ends_with_a_status() {
    for version in VERSIONS {
        for format in [BINARY, TEXT] {
            let mut toy = Toy::start(&[]).await;
            let message = HealthCheckRequest { service: SERVICE.to_owned() }.encode_to_vec();
            let watch = request(format, "/grpc.health.v1.Health/Watch", None, &message);
            let mut body = begin(toy.address, version, watch).await.into_body();
            let mut bytes = Vec::new();
            while last_state(format, &bytes) != Some(ServingStatus::Serving) {
                let frame = within(body.frame()).await.expect("the stream is open").expect("a frame");
                bytes.extend_from_slice(&frame.into_data().expect("data"));
            }
            toy.begin_stop();
            bytes.extend_from_slice(&within(body.collect()).await.expect("the end").to_bytes());
            assert_eq!(last_state(format, &bytes), Some(ServingStatus::NotServing), "{version:?} {format}");
            let status = tonic::Status::from_header_map(&decode(format, &bytes).1).expect("a status");
            assert_eq!(crate::wire::outcome(&status), "Unavailable DRAINING");
        }
    }
}

fn last_state(format: &str, body: &[u8]) -> Option<ServingStatus> {
    let last = decode(format, body).0.pop()?;
    Some(HealthCheckResponse::decode(last.as_slice()).expect("a state").status())
}

#[tokio::test]
async fn what_is_no_message_is_a_fixed_client_error_in_both_formats() {
    let toy = Toy::start(&[("LIMITS_REQUEST_BYTES", "2 KiB")]).await;
    let long = BASE64.encode(framed(&of_size(3_000).encode_to_vec()));
    let two = [framed(b""), framed(b"")].concat();
    let (malformed, too_long) = ("InvalidArgument MALFORMED_REQUEST", "ResourceExhausted MESSAGE_TOO_LARGE");
    let miscounted = "Unimplemented MESSAGE_COUNT";
    for version in VERSIONS {
        for (format, body, expected) in [
            (TEXT, b"!!! not base64 !!!".to_vec(), malformed),
            (TEXT, b"AAAAA".to_vec(), malformed),
            (TEXT, BASE64.encode(&two).into_bytes(), miscounted),
            (TEXT, Vec::new(), miscounted),
            (TEXT, long.clone().into_bytes(), too_long),
            (BINARY, b"\0\0".to_vec(), malformed),
            (BINARY, two.clone(), miscounted),
            (BINARY, framed(&of_size(3_000).encode_to_vec()).to_vec(), too_long),
        ] {
            let mut broken = request(format, RETURN, None, b"");
            *broken.body_mut() = Full::new(body.clone().into());
            let (answer, _) = call(&toy, version, format, broken).await;
            assert_eq!(answer.outcome(), expected, "{version:?} {format} {}", body.escape_ascii());
            assert!(!format!("{:?}", answer.grpc()).contains("tonic"), "{answer:?}");
        }
    }
    let (answer, _) = call(&toy, Version::HTTP_11, TEXT, request(TEXT, ECHO, None, &echo("x").encode_to_vec())).await;
    assert_eq!(answer.outcome(), "Ok");
}
