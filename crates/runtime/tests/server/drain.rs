//! The end of a process: who is told what, in which order, and how long it can take.

use std::time::{Duration, Instant};

use http::Version;
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};
use tonic_health::pb::health_client::HealthClient;

use crate::toy::{ECHO, Event, SERVICE, Toy, WAIT, within};
use crate::wire::{Connection, await_end, echo, get, outcome, raw_http2, waiting};

/// Much shorter than the drain deadline that is in force.
const AT_ONCE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_stop_is_announced_then_streams_end_then_running_calls_finish() {
    let mut toy = Toy::start(&[("LIMITS_DRAIN_DELAY", "1s")]).await;
    let channel = tonic::transport::Endpoint::new(format!("http://{}", toy.address)).expect("an address");
    let mut health = HealthClient::new(channel.connect().await.expect("the toy listens"));
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    let mut watch = health.watch(request).await.expect("health is open").into_inner();
    while within(watch.message()).await.expect("open").expect("a state").status() != Serving {}
    let connection = Connection::open(toy.address).await;
    let running = connection.begin(WAIT, &waiting());
    assert_eq!(toy.event().await, Event::Begun);

    toy.begin_stop();
    assert_eq!(within(watch.message()).await.expect("open").expect("a state").status(), NotServing);
    assert_eq!(get(toy.operations, Version::HTTP_11, "/readyz").await.status, 503);
    assert_eq!(get(toy.operations, Version::HTTP_11, "/livez").await.status, 200);
    // Who has not heard of it yet is still served.
    Connection::open(toy.address).await.call(ECHO, &echo("")).await.note();
    connection.call(ECHO, &echo("")).await.note();

    let ended = within(watch.message()).await.expect_err("the stream ends by a status");
    assert_eq!(outcome(&ended), "Unavailable DRAINING");
    assert!(TcpStream::connect(toy.address).await.is_err(), "nobody new is taken");
    assert_eq!(get(toy.operations, Version::HTTP_11, "/livez").await.status, 200, "it lives while it drains");
    toy.open_gate();
    assert_eq!(running.await.expect("no panic").expect("an answer").outcome(), "Ok");
    toy.stopped().await;
}

#[tokio::test]
async fn what_does_not_end_by_itself_is_cut_at_the_drain_deadline() {
    let mut toy = Toy::start(&[("LIMITS_DRAIN_DEADLINE", "300ms")]).await;
    let connection = Connection::open(toy.address).await;
    let running = connection.begin(WAIT, &waiting());
    assert_eq!(toy.event().await, Event::Begun);
    let mut deaf = raw_http2(toy.address).await;
    connection.call(ECHO, &echo("")).await.note();

    let begun = Instant::now();
    toy.begin_stop();
    assert_eq!(toy.event().await, Event::Dropped);
    assert!(begun.elapsed() >= Duration::from_millis(290), "it was cut before its time");
    assert!(running.await.expect("no panic").is_err());
    await_end(&mut deaf, begun).await;
    toy.stopped().await;
}

#[tokio::test]
async fn connections_that_do_nothing_do_not_delay_the_end() {
    let mut toy = Toy::start(&[]).await;
    let _silent = TcpStream::connect(toy.address).await.expect("the toy listens");
    // As a scraper that hangs: it does not even answer that it was told to go.
    let _deaf_probe = raw_http2(toy.operations).await;
    let idle = Connection::open(toy.address).await;
    idle.call(ECHO, &echo("")).await.note();
    get(toy.operations, Version::HTTP_2, "/livez").await;
    toy.begin_stop();
    tokio::time::timeout(AT_ONCE, toy.stopped()).await.expect("long before the drain deadline");
}
