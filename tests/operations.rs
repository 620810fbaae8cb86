//! What scripts and platforms rely on: health, reflection, start in any order, drain, and each service going on without
//! the other.

use std::time::Duration;

use notes_service::NotesService;
use runtime::testing::Store;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::assert::assert_refused;
use crate::harness::raw;
use crate::harness::stack::{Running, Stack, connect};

async fn state(running: &Running, service: &str) -> Result<ServingStatus, tonic::Status> {
    let mut health = HealthClient::new(connect(running.address()).await);
    let request = HealthCheckRequest { service: service.to_owned() };
    health.check(request).await.map(|response| response.into_inner().status())
}

#[tokio::test]
async fn health_is_open_and_names_every_service() {
    let stack = Stack::start().await;
    for (running, service) in [
        (&stack.auth, ""),
        (&stack.auth, "auth.v1.AuthService"),
        (&stack.auth, "auth.v1.AccountService"),
        (&stack.notes, ""),
        (&stack.notes, "notes.v1.NotesService"),
    ] {
        assert_eq!(state(running, service).await.expect("known"), ServingStatus::Serving, "{service}");
    }
    let unknown = state(&stack.notes, "auth.v1.AuthService").await.expect_err("not served here");
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn the_operations_listener_tells_life_readiness_and_metrics() {
    let stack = Stack::start().await;
    stack.register("alice").await.write("counted", "").await;
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{}{path}", stack.notes.operations())).await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    assert_eq!(get("/livez").await.0, 200);
    assert_eq!(get("/readyz").await.0, 200);
    let (status, metrics) = get("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("rpc_server_call_duration_seconds"), "{metrics}");
    assert!(metrics.contains("notes.v1.NotesService/CreateNote"), "{metrics}");
    assert_eq!(get("/anything").await.0, 404);
}

#[tokio::test]
async fn notes_started_first_wait_alive_and_become_ready_by_themselves() {
    let stack = Stack::start().await;
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        free.local_addr().expect("bound").port()
    };
    let (store, folder) = (Store::fresh().await, tempfile::tempdir().expect("a folder"));
    let environment = [
        ("NOTES_SERVICE_LISTEN", "127.0.0.1:0".to_owned()),
        ("NOTES_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0".to_owned()),
        ("NOTES_SERVICE_DATABASE_URL", store.url()),
        ("NOTES_SERVICE_DATA_DIR", folder.path().display().to_string()),
        ("NOTES_SERVICE_PAGE_TOKEN_SECRET", "a page token secret that only the tests use".to_owned()),
        ("NOTES_SERVICE_TRUST_JWKS_URL", format!("http://127.0.0.1:{port}/.well-known/jwks.json")),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let early = Running::start::<NotesService>(environment, stack.clock.clock()).await;
    assert_eq!(state(&early, "").await.expect("alive"), ServingStatus::Serving);
    assert_eq!(state(&early, "notes.v1.NotesService").await.expect("known"), ServingStatus::NotServing);
    let alice = stack.register("alice").await;
    let list = raw::grpc(early.address(), "/notes.v1.NotesService/ListNotes", Some(&alice.tokens.access_token), &[]);
    assert_eq!(list.await.outcome(), "UNAVAILABLE VERIFIER_NOT_READY");

    // The keys appear where the service looks for them: the auth service, moved to that port by a relay.
    let relay = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("still free");
    let target = stack.auth.address();
    tokio::spawn(async move {
        while let Ok((mut inbound, _)) = relay.accept().await {
            tokio::spawn(async move {
                let mut outbound = tokio::net::TcpStream::connect(target).await.expect("the auth service");
                let _ = tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await;
            });
        }
    });
    early.ready("notes.v1.NotesService").await;
    let list = raw::grpc(early.address(), "/notes.v1.NotesService/ListNotes", Some(&alice.tokens.access_token), &[]);
    assert_eq!(list.await.outcome(), "OK");
    early.stop().await;
}

#[tokio::test]
async fn notes_go_on_when_the_auth_service_stops() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("before", "").await;
    let Stack { auth, notes, .. } = stack;
    auth.stop().await;
    assert_eq!(alice.get(&made.name).await.expect("read"), made);
    alice.write("after", "").await;
    assert_eq!(state(&notes, "notes.v1.NotesService").await.expect("known"), ServingStatus::Serving);
}

#[tokio::test]
async fn both_services_find_everything_again_after_a_restart() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let made = alice.write("kept", "text").await;
    let page = proto::notes::v1::ListNotesRequest { page_size: 1, ..Default::default() };
    alice.write("second", "").await;
    let token = alice.list(page.clone()).await.expect("a page").next_page_token;

    let stack = stack.restart_auth().await.restart_notes().await;

    let mut again = stack.log_in(&alice).await;
    assert_eq!(again.get(&made.name).await.expect("read"), made);
    again.refresh().await.expect("refreshed");
    let rest = again.list(proto::notes::v1::ListNotesRequest { page_token: token, ..page }).await.expect("a page");
    assert_eq!(rest.notes.len(), 1, "a page token outlives the process");
    let (mut visitor, old) = (stack.visitor().await, alice.tokens.clone());
    visitor.refresh(&old.refresh_token).await.expect("the session outlives the process");
}

#[tokio::test]
async fn a_stopping_service_finishes_what_it_began_and_takes_nothing_new() {
    let mut stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut watch = HealthClient::new(connect(stack.notes.address()).await)
        .watch(HealthCheckRequest { service: "notes.v1.NotesService".to_owned() })
        .await
        .expect("health is open")
        .into_inner();
    assert_eq!(watch.message().await.expect("a state").expect("a state").status(), ServingStatus::Serving);

    let writers: Vec<_> = (0..4)
        .map(|n| {
            let alice = alice.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for i in 0.. {
                    let note = proto::notes::v1::Note { title: format!("{n}-{i}"), ..Default::default() };
                    let request = proto::notes::v1::CreateNoteRequest { note: Some(note), ..Default::default() };
                    match alice.create(request).await {
                        Ok(note) => acknowledged.push(note.name),
                        Err(status) if status.code() == tonic::Code::Unavailable => break,
                        Err(status) => {
                            assert_eq!(status.code(), tonic::Code::Unknown, "a closed connection: {status:?}")
                        }
                    }
                    if i > 100_000 {
                        panic!("the service did not stop");
                    }
                }
                acknowledged
            })
        })
        .collect();
    alice.write("the writers have begun", "").await;
    stack.notes.begin_stop();
    let last = tokio::time::timeout(Duration::from_secs(30), async {
        let mut last = ServingStatus::Serving;
        while let Ok(Some(state)) = watch.message().await {
            last = state.status();
        }
        last
    })
    .await
    .expect("an open stream does not hold the service");
    assert_eq!(last, ServingStatus::NotServing, "watchers are told first");
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("a writer"));
    }
    let stack = stack.restart_notes().await;
    let names: std::collections::BTreeSet<_> =
        stack.log_in(&alice).await.list_all(Default::default()).await.into_iter().map(|note| note.name).collect();
    for name in &acknowledged {
        assert!(names.contains(name), "{name} was acknowledged and is lost");
    }
}

#[tokio::test]
async fn tokens_of_this_issuer_are_refused_by_a_service_that_trusts_another() {
    let stack = Stack::start_with(&[], &[("NOTES_SERVICE_TRUST_AUDIENCE", "another-service")]).await;
    let alice = stack.register("alice").await;
    assert_refused(alice.list(Default::default()).await, "UNAUTHENTICATED TOKEN_INVALID");
    alice.account().await.expect("the twin: the auth service takes it");
}
