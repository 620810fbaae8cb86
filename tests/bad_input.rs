//! Rubbish on every method: a clear status with a reason, nothing stored, nothing told, and the connection lives on.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::Full;

use crate::harness::descriptors::rpcs;
use crate::harness::raw::{self, framed};
use crate::harness::stack::{INTERNAL_CREDENTIAL, Stack};

/// Texts of libraries that must not reach a caller.
const INNER_WORDS: [&str; 12] = [
    "prost",
    "tonic",
    "hyper",
    "sqlx",
    "sqlite",
    "postgres",
    "select ",
    "wire type",
    "panicked",
    ".rs:",
    "serde",
    "base64",
];

#[tokio::test]
async fn bytes_that_are_no_message_are_refused_on_every_method() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let rubbish: [&[u8]; 5] = [
        b"\xff\xff\xff\xff",
        b"\x0a\xff\xff\xff\xff\x0f", // a length beyond the message
        b"\x0a\x02\xff\xfe",         // field 1 is no UTF-8
        b"\x0b\x0b\x0b\x0b\x0b\x0b", // groups without an end
        b"\x00\x01",                 // field number 0
    ];
    for rpc in rpcs() {
        let address = stack.address_of(&rpc);
        let credential = if rpc.is_internal() { INTERNAL_CREDENTIAL } else { &alice.tokens.access_token };
        for bytes in rubbish {
            let answer = raw::grpc(address, &rpc.path, Some(credential), bytes).await;
            let outcome = answer.outcome();
            let known = ["INVALID_ARGUMENT MALFORMED_REQUEST", "INVALID_ARGUMENT FIELD_INVALID", "OK"];
            assert!(known.contains(&outcome.as_str()), "{} {bytes:?}: {outcome}", rpc.path);
            let told =
                format!("{:?} {:?} {:?}", answer.headers, answer.trailers, answer.grpc().message()).to_lowercase();
            for word in INNER_WORDS {
                assert!(!told.contains(word), "{} tells {word:?}: {told}", rpc.path);
            }
        }
    }
    assert!(alice.list_all(Default::default()).await.is_empty(), "nothing was stored");
}

#[tokio::test]
async fn no_message_two_messages_and_half_a_message_execute_nothing() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let create = create_bytes("x");
    let bodies = [
        Bytes::new(),
        [framed(&create), framed(&create)].concat().into(),
        framed(&create).slice(..7),
        Bytes::from_static(&[0, 0, 0]),
        Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]),
        Bytes::from_static(&[1, 0, 0, 0, 0]), // compressed with nothing agreed
        Bytes::from_static(&[9, 0, 0, 0, 0]),
    ];
    for body in bodies {
        let mut request = raw::grpc_request(stack.notes.address(), CREATE, Some(&alice.tokens.access_token), &[]);
        *request.body_mut() = Full::new(body.clone());
        let answer = raw::send(stack.notes.address(), Version::HTTP_2, request).await;
        assert_ne!(answer.outcome(), "OK", "{body:?}");
        assert!(!answer.outcome().contains("without a reason"), "{body:?}: {}", answer.outcome());
        assert!(!answer.outcome().starts_with("INTERNAL"), "{body:?}: {}", answer.outcome());
    }
    assert!(alice.list_all(Default::default()).await.is_empty(), "nothing was stored");
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_and_the_connection_lives_on() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for (address, path, limit) in
        [(stack.auth.address(), "/auth.v1.AuthService/Register", 64 << 10), (stack.notes.address(), CREATE, 4 << 20)]
    {
        let answer = raw::grpc(address, path, Some(&alice.tokens.access_token), &vec![0; limit + 1]).await;
        assert_eq!(answer.outcome(), "RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE", "{path}");
    }
    alice.write("the client's other calls go on", "").await;
}

#[tokio::test]
async fn another_verb_content_type_or_a_query_never_executes_a_method() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let token = format!("Bearer {}", alice.tokens.access_token);
    let body = framed(&create_bytes("executed"));
    let request = |method: Method, path: &str, content_type: Option<&str>, version: Version| {
        let uri =
            if version == Version::HTTP_2 { format!("http://{}{path}", stack.notes.address()) } else { path.into() };
        let mut request = Request::builder().method(method).uri(uri).header("authorization", &token);
        request = request.header("host", stack.notes.address().to_string()).header("te", "trailers");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        request.body(Full::new(body.clone())).expect("a request")
    };
    for version in [Version::HTTP_2, Version::HTTP_11] {
        let grpc = if version == Version::HTTP_2 { "application/grpc" } else { "application/grpc-web" };
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD] {
            let answer =
                raw::send(stack.notes.address(), version, request(method.clone(), CREATE, Some(grpc), version));
            let status = answer.await.status;
            assert!(status.is_client_error(), "{method} {version:?}: {status}");
        }
        for content_type in [None, Some("application/json"), Some("text/plain"), Some("application/x-grpc"), Some("")] {
            let sent = request(Method::POST, CREATE, content_type, version);
            let answer = raw::send(stack.notes.address(), version, sent).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type:?} {version:?}");
        }
        let sent = request(Method::POST, &format!("{CREATE}?x=1"), Some(grpc), version);
        let answer = raw::send(stack.notes.address(), version, sent).await;
        assert_ne!(answer.outcome(), "OK", "a query, {version:?}");
    }
    assert!(alice.list_all(Default::default()).await.is_empty(), "nothing was executed");
}

#[tokio::test]
async fn text_that_looks_like_sql_is_text() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for text in ["'; drop table notes; --", "%_\\", "\" or 1=1", "$1 ? :name @p", "{{7*7}}", "\u{feff}bom", "\u{fffd}"]
    {
        let made = alice.write(text, text).await;
        let read = alice.get(&made.name).await.expect("read");
        assert_eq!((read.title.as_str(), read.content.as_str()), (text, text));
    }
    let mut visitor = alice.visitor.clone();
    for email in ["' or '1'='1@example.com", "a@b.c'; drop table accounts; --", "\0@example.com", "a\r\nb@example.com"]
    {
        let status = visitor.login(email, "irrelevant to the point").await.expect_err("nobody");
        assert!(
            ["INVALID_ARGUMENT FIELD_INVALID", "UNAUTHENTICATED CREDENTIALS_INVALID"]
                .contains(&raw::outcome(&status).as_str())
        );
    }
}

#[tokio::test]
async fn every_answer_carries_a_trace_id_that_the_caller_may_choose() {
    let stack = Stack::start().await;
    let mut request = raw::grpc_request(stack.auth.address(), "/auth.v1.AuthService/ListSigningKeys", None, &[]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = HeaderValue::from_str(&format!("00-{trace}-00f067aa0ba902b7-01")).expect("a header");
    request.headers_mut().insert("traceparent", parent);
    let answer = raw::send(stack.auth.address(), Version::HTTP_2, request).await;
    assert_eq!(answer.headers["x-trace-id"], trace);
    let refused = raw::grpc(stack.notes.address(), CREATE, None, &[]).await;
    assert_eq!(refused.headers["x-trace-id"].len(), 32);
}

const CREATE: &str = "/notes.v1.NotesService/CreateNote";

fn create_bytes(title: &str) -> Vec<u8> {
    use prost::Message as _;
    use proto::notes::v1::{CreateNoteRequest, Note};
    CreateNoteRequest { note: Some(Note { title: title.into(), ..Note::default() }), ..Default::default() }
        .encode_to_vec()
}
