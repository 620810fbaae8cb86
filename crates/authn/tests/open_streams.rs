//! Streams that are open when what began them is revoked, and methods that are for services.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::claims::Claims;
use authn::testing::TestIssuer;
use authn::{
    AccessPolicy, AuthLayer, KeySet, ManualClock, Revocation, Revoked, Rule, ServiceCredentials, SessionId, Trust,
    TrustFeed, Verifier, VerifierConfig,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::StatusExt as _;

const WATCH: &str = "/grpc.health.v1.Health/Watch";
const SCOPE: &str = "account.read";

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A service with one method that answers by a stream that goes on.
struct Watched {
    channel: Channel,
    issuer: TestIssuer,
    feed: TrustFeed,
}

impl Watched {
    async fn by(rule: Rule) -> Self {
        let issuer = TestIssuer::new("https://login.example", "accounts");
        let clock = ManualClock::starting_at(start());
        let (feed, trust) = Trust::fed();
        let keys = KeySet { trusted: vec![issuer.public_key()], revoked: Vec::new() };
        feed.replace(&keys, &[], start());
        let expected = VerifierConfig::new("https://login.example", "accounts");
        let verifier = Verifier::new(expected, trust, clock.clock());
        let layer = AuthLayer::new(AccessPolicy::new([(WATCH, rule)]), verifier, "accounts")
            .accepting(ServiceCredentials::for_audience("inside", ["the-secret"]));
        let (_, health) = tonic_health::server::health_reporter();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = Server::builder().layer(layer).add_service(health);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
        Self { channel, issuer, feed }
    }

    fn somebody(&self) -> Claims {
        Claims { scope: SCOPE.to_owned(), ..self.issuer.claims(start()) }
    }

    async fn watch_as(&self, claims: &Claims) -> Streaming<HealthCheckResponse> {
        let mut stream = self.watch(&self.issuer.sign(claims)).await.expect("let in");
        stream.message().await.expect("alive").expect("the first message");
        stream
    }

    async fn watch(&self, token: &str) -> Result<Streaming<HealthCheckResponse>, Status> {
        let mut request = Request::new(HealthCheckRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
        HealthClient::new(self.channel.clone()).watch(request).await.map(tonic::Response::into_inner)
    }

    fn revoke(&self, revocation: Revocation) {
        let revoked = Revoked { revocation, revoked_at: start(), expires_at: start() + Duration::from_secs(600) };
        self.feed.extend(None, &[revoked], start());
    }
}

/// Waits for the end of a stream and returns its reason.
async fn end_of(mut stream: Streaming<HealthCheckResponse>) -> String {
    let last = tokio::time::timeout(Duration::from_secs(30), stream.message()).await.expect("it ends");
    let status = last.expect_err("it ends by a refusal");
    assert_eq!(status.code(), Code::Unauthenticated);
    reason(&status)
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().expect("a reason").reason.clone()
}

fn goes_on(stream: &mut Streaming<HealthCheckResponse>) {
    let next = std::pin::pin!(stream.message());
    assert!(futures_util::FutureExt::now_or_never(next).is_none(), "it has ended");
}

#[tokio::test]
async fn a_stream_ends_when_its_session_is_revoked_and_those_of_others_go_on() {
    let watched = Watched::by(Rule::Scope(SCOPE)).await;
    let (alice, bob) = (watched.somebody(), watched.somebody());
    let hers = watched.watch_as(&alice).await;
    let mut on_another_device = watched.watch_as(&Claims { sid: Some(uuid::Uuid::new_v4()), ..alice.clone() }).await;
    let mut his = watched.watch_as(&bob).await;

    watched.revoke(Revocation::Session(SessionId::from_uuid(alice.sid.expect("a session"))));
    assert_eq!(end_of(hers).await, "TOKEN_REVOKED");
    goes_on(&mut on_another_device);
    goes_on(&mut his);

    watched.revoke(Revocation::Subject { subject: alice.sub, minimum_version: 2 });
    assert_eq!(end_of(on_another_device).await, "TOKEN_REVOKED");
    goes_on(&mut his);

    watched.revoke(Revocation::Key(watched.issuer.key_id().to_owned()));
    assert_eq!(end_of(his).await, "TOKEN_KEY_REVOKED");
}

#[tokio::test]
async fn a_stream_that_is_begun_after_the_revocation_is_refused_at_once() {
    let watched = Watched::by(Rule::Scope(SCOPE)).await;
    let alice = watched.somebody();
    watched.revoke(Revocation::Session(SessionId::from_uuid(alice.sid.expect("a session"))));
    let refused = watched.watch(&watched.issuer.sign(&alice)).await.expect_err("revoked");
    assert_eq!(reason(&refused), "TOKEN_REVOKED");
    watched.watch_as(&watched.somebody()).await;
}

#[tokio::test]
async fn a_method_for_services_is_for_the_credential_of_its_audience_alone() {
    let watched = Watched::by(Rule::Service("inside")).await;
    let token = watched.issuer.sign(&watched.somebody());
    for wrong in ["another-secret", "the-secret-", token.as_str()] {
        let refused = watched.watch(wrong).await.expect_err("another credential");
        assert_eq!(reason(&refused), "SERVICE_CREDENTIAL_INVALID");
    }
    let mut stream = watched.watch("the-secret").await.expect("let in");
    stream.message().await.expect("alive").expect("the first message");

    let elsewhere = Watched::by(Rule::Service("elsewhere")).await;
    let refused = elsewhere.watch("the-secret").await.expect_err("for another audience");
    assert_eq!(reason(&refused), "SERVICE_CREDENTIAL_INVALID");
}
