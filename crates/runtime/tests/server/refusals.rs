//! What leaves when a call fails: a code, a reason of ours, and no words of a handler or a library.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Version};
use tonic_types::StatusExt as _;

use crate::toy::{ECHO, Event, GUARDED, LIBRARY, PANIC, PANIC_TEXT, RETURN, Toy, WAIT};
use crate::wire::{
    Connection, echo, framed, get, grpc_request, of_size, panicking, raw_request, saying, send, waiting,
};

const MALFORMED: &str = "InvalidArgument MALFORMED_REQUEST";

#[tokio::test]
async fn a_panic_is_an_internal_error_of_its_call_alone_and_names_the_trace() {
    let mut toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    let other = connection.begin(WAIT, &waiting());
    assert_eq!(toy.event().await, Event::Begun);

    let answer = connection.call(PANIC, &panicking("the caller's words")).await;
    assert_eq!(answer.outcome(), "Internal INTERNAL");
    assert_eq!(answer.grpc().message(), "internal error");
    let request = answer.grpc().get_details_request_info().expect("the details name the request");
    assert_eq!(request.request_id, answer.trace_id());
    let shown = format!("{answer:?} {:?}", answer.grpc().get_error_details());
    assert!(!shown.contains(PANIC_TEXT) && !shown.contains("the caller's words"), "{shown}");

    toy.open_gate();
    assert_eq!(other.await.expect("no panic").expect("the connection lives").outcome(), "Ok");
}

#[tokio::test]
async fn a_panic_of_a_plain_http_handler_leaves_the_calls_of_its_connection_alone() {
    let mut toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    let other = connection.begin(WAIT, &waiting());
    assert_eq!(toy.event().await, Event::Begun);

    let request = Request::get("http://toy.example/panic").body(Default::default()).expect("a request");
    let answer = connection.send(request).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.body.len()), (500, 0));

    toy.open_gate();
    assert_eq!(other.await.expect("no panic").expect("the connection lives").outcome(), "Ok");
    assert_eq!(get(toy.address, Version::HTTP_11, "/panic").await.status, 500);
}

#[tokio::test]
async fn the_words_of_a_library_never_leave_and_every_status_has_a_reason() {
    let toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    for code in 1..=16 {
        let answer = connection.call(LIBRARY, &saying(&code.to_string())).await;
        let reason = answer.grpc().get_details_error_info().map(|info| info.reason);
        assert!(reason.is_some_and(|reason| !reason.is_empty()), "{code}: {}", answer.outcome());
        let status = answer.grpc();
        assert!(!format!("{answer:?} {status:?}").contains("h2::lib"), "{code}: {status:?}");

        let answer = connection.call(LIBRARY, &saying(&format!("reason{code}"))).await;
        let (ours, message) = (answer.outcome(), answer.grpc().message().to_owned());
        assert_eq!((ours.split(' ').next_back(), message.as_str()), (Some("OF_THE_SERVICE"), "words for the caller"));
        assert_eq!(answer.grpc().code() as i32, code);
    }
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_unimplemented() {
    let toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    for path in [
        "/notes.v1.NotesService/Nothing",
        "/notes.v1.NotesService/getnote",
        "/notes.v1.NotesService/GetNote/",
        "/nothing.v1.Nothing/GetNote",
        "/grpc.health.v1.Health/Nothing",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/hello",
        "/",
    ] {
        let answer = connection.call(path, &echo("")).await;
        assert_eq!(answer.outcome(), "Unimplemented METHOD_UNKNOWN", "{path}");
    }
    let refused = connection.call(GUARDED, &echo("")).await;
    assert_eq!(refused.outcome(), "Unauthenticated TOKEN_MISSING", "a method that exists asks for a token");
}

#[tokio::test]
async fn a_body_that_is_not_one_message_is_a_fixed_client_error() {
    let toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    let good = framed(b"\x0a\x02ab");
    const MISCOUNTED: &str = "Unimplemented MESSAGE_COUNT";
    for (name, body, expected) in [
        ("one message", good.to_vec(), "Ok"),
        ("an empty message", framed(b"").to_vec(), "Ok"),
        ("none", Vec::new(), MISCOUNTED),
        ("two", [good.as_ref(), good.as_ref()].concat(), MISCOUNTED),
        ("one and a byte", [good.as_ref(), b"x"].concat(), MISCOUNTED),
        ("half a prefix", good[..3].to_vec(), MALFORMED),
        ("half a message", good[..7].to_vec(), MALFORMED),
        ("compressed, without saying how", [b"\x01", &good[1..]].concat(), MALFORMED),
        ("an unknown flag", [b"\x02", &good[1..]].concat(), MALFORMED),
        ("a wrong wire type", framed(b"\x0f\x0f\x0f").to_vec(), MALFORMED),
        ("a length beyond the end", framed(b"\x0a\x7fab").to_vec(), MALFORMED),
        ("no UTF-8", framed(b"\x0a\x02\xff\xfe").to_vec(), MALFORMED),
    ] {
        let answer = connection.send(raw_request(ECHO, body.into())).await.expect("an answer");
        assert_eq!(answer.outcome(), expected, "{name}");
        if expected == MALFORMED {
            assert_eq!(answer.grpc().message(), "the request is malformed", "{name}");
        }
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_and_the_connection_lives_on() {
    let toy = Toy::start(&[("LIMITS_REQUEST_BYTES", "2 KiB")]).await;
    let connection = Connection::open(toy.address).await;
    let answer = connection.call(RETURN, &of_size(2_100)).await;
    assert_eq!(answer.outcome(), "ResourceExhausted MESSAGE_TOO_LARGE");
    // Refused by the announcement alone.
    let answer = connection.send(raw_request(RETURN, Bytes::from_static(b"\0\xff\xff\xff\xff"))).await;
    assert_eq!(answer.expect("an answer").outcome(), "ResourceExhausted MESSAGE_TOO_LARGE");
    assert_eq!(connection.call(RETURN, &of_size(2_000)).await.note().content.len(), 2_000);
}

#[tokio::test]
async fn compressed_messages_are_not_accepted() {
    let toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    for (encoding, expected) in [
        ("gzip", "Unimplemented ENCODING_UNSUPPORTED"),
        ("zstd", "Unimplemented ENCODING_UNSUPPORTED"),
        ("made-up", "Unimplemented ENCODING_UNSUPPORTED"),
        ("identity", "Ok"),
    ] {
        let mut request = grpc_request(ECHO, &echo("x"));
        request.headers_mut().insert("grpc-encoding", HeaderValue::from_static(encoding));
        assert_eq!(connection.send(request).await.expect("an answer").outcome(), expected, "{encoding}");
    }
}

#[tokio::test]
async fn what_is_no_call_is_refused_before_anything_runs() {
    let mut toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    for (method, content_type, query, expected) in [
        ("PUT", "application/grpc", "", "HTTP 405"),
        ("DELETE", "application/grpc", "", "HTTP 405"),
        ("PATCH", "application/grpc", "", "HTTP 405"),
        ("OPTIONS", "application/grpc", "", "HTTP 405"),
        ("TRACE", "application/grpc", "", "HTTP 405"),
        ("MADE-UP", "application/grpc", "", "HTTP 405"),
        ("GET", "application/grpc", "", "HTTP 404"),
        ("HEAD", "application/grpc", "", "HTTP 404"),
        ("POST", "", "", "HTTP 415"),
        ("POST", "application/json", "", "HTTP 415"),
        ("POST", "text/plain", "", "HTTP 415"),
        ("POST", "application/x-www-form-urlencoded", "", "HTTP 415"),
        ("POST", "application/grpc+json", "", "HTTP 415"),
        ("POST", "application/grpcx", "", "HTTP 415"),
        ("POST", "application/grpc", "?a=b", "HTTP 400"),
        ("POST", "application/grpc-web", "?", "HTTP 400"),
    ] {
        let mut request = grpc_request(WAIT, &waiting());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a verb");
        *request.uri_mut() = format!("http://toy.example{WAIT}{query}").parse().expect("an address");
        request.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
        let answer = connection.send(request).await.expect("an answer");
        assert_eq!(answer.outcome(), expected, "{method} {content_type} {query}");
        assert!(answer.body.is_empty(), "{answer:?}");
        if expected == "HTTP 405" {
            assert_eq!(answer.headers["allow"], "POST");
        }
    }
    let over_http1 = send(toy.address, Version::HTTP_11, grpc_request(WAIT, &waiting())).await;
    assert_eq!(over_http1.outcome(), "HTTP 415", "trailers do not arrive over HTTP/1.1");
    assert!(toy.is_quiet(), "something was executed");

    toy.open_gate();
    let mut request = grpc_request(WAIT, &waiting());
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc+proto"));
    assert_eq!(connection.send(request).await.expect("an answer").outcome(), "Ok");
}

#[tokio::test]
async fn plain_http_is_answered_on_the_same_port_beside_calls() {
    let toy = Toy::start(&[]).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let answer = get(toy.address, version, "/hello").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, b"hello".as_ref()), "{version:?}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.trace_id().len(), 32);
        assert!(!answer.headers.contains_key("server"), "{answer:?}");
        let head = Request::head("http://toy.example/hello").body(Default::default()).expect("a request");
        let answer = send(toy.address, version, head).await;
        assert_eq!((answer.status.as_u16(), answer.headers["content-length"].as_bytes()), (200, b"5".as_ref()));
        assert_eq!(get(toy.address, version, "/nothing").await.status, 404);
        assert_eq!(get(toy.address, version, "/metrics").await.status, 404, "that is the private listener's");
    }
    Connection::open(toy.address).await.call(ECHO, &echo("twin")).await.note();
}
