//! The private listener: alive, ready, measurements, and nothing else.

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::Full;

use crate::toy::{ECHO, LIBRARY, Toy};
use crate::wire::{Connection, echo, get, grpc_request, saying, send};

#[tokio::test]
async fn it_answers_get_and_head_and_no_other_verb() {
    let toy = Toy::start(&[]).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (method, path, status) in [
            ("GET", "/livez", 200),
            ("HEAD", "/livez", 200),
            ("GET", "/metrics", 200),
            ("HEAD", "/metrics", 200),
            ("GET", "/", 404),
            ("GET", "/livez/", 404),
            ("GET", "/hello", 404),
            ("POST", "/livez", 405),
            ("PUT", "/metrics", 405),
            ("DELETE", "/readyz", 405),
            ("OPTIONS", "/livez", 405),
        ] {
            let request: Request<Full<Bytes>> = Request::builder()
                .method(Method::from_bytes(method.as_bytes()).expect("a verb"))
                .uri(format!("http://toy.example{path}"))
                .body(Full::default())
                .expect("a request");
            let answer = send(toy.operations, version, request).await;
            assert_eq!(answer.status, status, "{version:?} {method} {path}");
            assert_eq!(answer.headers.contains_key("allow"), status == 405, "{version:?} {method} {path}");
        }
    }
    let answer = send(toy.operations, Version::HTTP_2, grpc_request(ECHO, &echo(""))).await;
    assert_eq!(answer.outcome(), "HTTP 405", "calls are not served here");
}

#[tokio::test]
async fn measurements_have_a_label_per_method_of_ours_and_one_for_all_others() {
    let toy = Toy::start(&[]).await;
    let connection = Connection::open(toy.address).await;
    connection.call(ECHO, &echo("")).await.note();
    connection.call(LIBRARY, &saying("reason5")).await;
    for path in ["/made.Up/ByACaller", "/made.Up/Again", "/notes.v1.NotesService/MadeUp"] {
        connection.call(path, &echo("")).await;
    }
    let answer = get(toy.operations, Version::HTTP_11, "/metrics").await;
    assert_eq!(answer.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = String::from_utf8(answer.body.to_vec()).expect("text");
    for line in [
        r#"build_info{service="toy-service",version=""#,
        r#"duration_seconds_count{rpc_method="notes.v1.NotesService/GetNote",rpc_response_status_code="OK"} 1"#,
        r#"_count{rpc_method="notes.v1.NotesService/UndeleteNote",rpc_response_status_code="NOT_FOUND"} 1"#,
        r#"_count{rpc_method="_OTHER",rpc_response_status_code="UNIMPLEMENTED"} 3"#,
        "rpc_server_calls_in_flight 0\n",
        "rpc_server_calls_shed_total 0\n",
        "log_lines_dropped_total 0\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.to_lowercase().contains("made"), "callers cannot make labels:\n{text}");
    assert!(text.ends_with("# EOF\n"));
}
