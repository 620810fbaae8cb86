//! More calls than the server takes at the same time.

use std::time::Duration;

use http::Version;
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt as _;

use crate::toy::{ECHO, Event, PANIC, Toy, WAIT};
use crate::wire::{Connection, echo, get, panicking, waiting};

#[tokio::test]
async fn a_call_too_many_is_refused_at_once_with_a_time_to_come_again_and_health_still_answers() {
    let mut toy = Toy::start(&[("LIMITS_CONCURRENT_CALLS", "1")]).await;
    let connection = Connection::open(toy.address).await;
    let first = connection.begin(WAIT, &waiting());
    assert_eq!(toy.event().await, Event::Begun);

    // The cap is of all connections together.
    for connection in [&connection, &Connection::open(toy.address).await] {
        let refused = connection.call(ECHO, &echo("")).await;
        assert_eq!(refused.outcome(), "ResourceExhausted OVERLOADED");
        let advice = refused.grpc().get_details_retry_info().expect("advice");
        assert_eq!(advice.retry_delay, Some(Duration::from_secs(1)));
    }
    let health = connection.call("/grpc.health.v1.Health/Check", &HealthCheckRequest::default()).await;
    assert_eq!(health.outcome(), "Ok");
    let metrics = get(toy.operations, Version::HTTP_11, "/metrics").await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("rpc_server_calls_shed_total 2\n"));

    toy.open_gate();
    assert_eq!(first.await.expect("no panic").expect("an answer").outcome(), "Ok", "the first was not touched");
    assert_eq!(connection.call(ECHO, &echo("")).await.outcome(), "Ok", "and there is room again");
}

#[tokio::test]
async fn a_call_that_is_cancelled_or_panics_gives_its_place_back() {
    let mut toy = Toy::start(&[("LIMITS_CONCURRENT_CALLS", "1")]).await;
    let connection = Connection::open(toy.address).await;
    let call = connection.begin(WAIT, &waiting());
    assert_eq!(toy.event().await, Event::Begun);
    call.abort();
    assert_eq!(toy.event().await, Event::Dropped);
    assert_eq!(connection.call(PANIC, &panicking("")).await.outcome(), "Internal INTERNAL");
    assert_eq!(connection.call(ECHO, &echo("")).await.outcome(), "Ok");
}
