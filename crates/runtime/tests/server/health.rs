//! Whether it lives and whether it is ready, for clients over gRPC and for platforms over plain HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::Version;
use runtime::server::Check;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, Serving};
use tonic_health::pb::health_client::HealthClient;

use crate::toy::{SERVICE, Toy, within};
use crate::wire::{get, outcome};

const GOOD: u8 = 0;
const BAD: u8 = 1;
const PANICS: u8 = 2;
const HANGS: u8 = 3;

/// A check and what it will do.
fn check() -> (Check, Arc<AtomicU8>) {
    let state = Arc::new(AtomicU8::new(BAD));
    let asked = Arc::clone(&state);
    let probe = move || -> futures_util::future::BoxFuture<'static, bool> {
        match asked.load(Ordering::SeqCst) {
            GOOD => Box::pin(async { true }),
            BAD => Box::pin(async { false }),
            PANICS => panic!("the check"),
            _ => Box::pin(std::future::pending()),
        }
    };
    (Check { name: "toy", probe: Box::new(probe) }, state)
}

async fn client(toy: &Toy) -> HealthClient<tonic::transport::Channel> {
    let endpoint = tonic::transport::Endpoint::new(format!("http://{}", toy.address)).expect("an address");
    HealthClient::new(endpoint.connect().await.expect("the toy listens"))
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// Waits until watchers are told `expected`.
async fn told(watch: &mut tonic::Streaming<tonic_health::pb::HealthCheckResponse>, expected: ServingStatus) {
    while within(watch.message()).await.expect("open").expect("a state").status() != expected {}
}

#[tokio::test]
async fn a_service_is_ready_while_its_checks_are_good_and_the_process_lives_anyway() {
    let (check, state) = check();
    let toy = Toy::start_with(&[], vec![check]).await;
    let mut health = client(&toy).await;
    let mut watch = health.watch(of(SERVICE)).await.expect("open").into_inner();
    for now in [BAD, GOOD, HANGS, GOOD, PANICS, GOOD] {
        state.store(now, Ordering::SeqCst);
        let (expected, ready) = if now == GOOD { (Serving, 200) } else { (NotServing, 503) };
        told(&mut watch, expected).await;
        assert_eq!(health.check(of(SERVICE)).await.expect("known").into_inner().status(), expected);
        assert_eq!(health.check(of("")).await.expect("known").into_inner().status(), Serving, "it lives");
        assert_eq!(get(toy.operations, Version::HTTP_11, "/readyz").await.status, ready);
        assert_eq!(get(toy.operations, Version::HTTP_11, "/livez").await.status, 200);
    }
}

#[tokio::test]
async fn a_service_that_is_not_served_here_is_unknown() {
    let toy = Toy::start(&[]).await;
    let mut health = client(&toy).await;
    let unknown = health.check(of("auth.v1.AuthService")).await.expect_err("not served here");
    assert_eq!(outcome(&unknown), "NotFound SERVICE_UNKNOWN");
    told(&mut health.watch(of(SERVICE)).await.expect("open").into_inner(), Serving).await;
}
