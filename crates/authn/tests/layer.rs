//! A service behind the layer, called over a socket as strangers would.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::claims::Claims;
use authn::testing::TestIssuer;
use authn::{
    AccessPolicy, AuthLayer, Authenticate, Clock, ManualClock, RequestExt as _, Rule, Trust, Verifier, VerifierConfig,
};
use http::uri::PathAndQuery;
use proto::auth::v1::account_service_server::{AccountService, AccountServiceServer};
use proto::auth::v1::{
    Account, ChangePasswordRequest, ChangePasswordResponse, DeleteAccountRequest, DeleteAccountResponse,
    GetAccountRequest, ListSessionsRequest, ListSessionsResponse, RevokeSessionRequest, RevokeSessionResponse,
    SignOutRequest, SignOutResponse, UpdateAccountRequest,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::client::Grpc;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

const METHOD: &str = "/auth.v1.AccountService/GetAccount";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const SCOPE: &str = "account.read";
const DOMAIN: &str = "accounts";

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A service that says who called, and how often it was.
#[derive(Clone, Default)]
struct Accounts {
    calls: Arc<AtomicUsize>,
    /// Moved past every token's end while a call is being answered.
    slow: Option<ManualClock>,
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(clock) = &self.slow {
            clock.advance(Duration::from_secs(3600));
        }
        let name = request.subject().map_or_else(|_| "nobody".to_owned(), |subject| subject.to_string());
        Ok(Response::new(Account { name, ..Account::default() }))
    }

    async fn update_account(&self, _: Request<UpdateAccountRequest>) -> Result<Response<Account>, Status> {
        unreachable!("no test calls it")
    }

    async fn change_password(
        &self,
        _: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        unreachable!("no test calls it")
    }

    async fn list_sessions(&self, _: Request<ListSessionsRequest>) -> Result<Response<ListSessionsResponse>, Status> {
        unreachable!("no test calls it")
    }

    async fn revoke_session(
        &self,
        _: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        unreachable!("no test calls it")
    }

    async fn delete_account(
        &self,
        _: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        unreachable!("no test calls it")
    }

    async fn sign_out(&self, _: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        unreachable!("no test calls it")
    }
}

/// A server whose one method is guarded by a rule, and its issuer.
struct Guarded {
    channel: Channel,
    accounts: Accounts,
    issuer: TestIssuer,
    clock: ManualClock,
}

impl Guarded {
    async fn by(rule: Rule) -> Self {
        Self::start(AccessPolicy::new([(METHOD, rule)]), Accounts::default()).await
    }

    async fn start(policy: AccessPolicy, accounts: Accounts) -> Self {
        let clock = accounts.slow.clone().unwrap_or_else(|| ManualClock::starting_at(start()));
        let issuer = TestIssuer::new("https://login.example", DOMAIN);
        let layer = AuthLayer::new(policy, issuer.verifier(clock.clock()), DOMAIN);
        let channel = serve(layer, accounts.clone()).await;
        Self { channel, accounts, issuer, clock }
    }

    fn claims(&self, scope: &str) -> Claims {
        Claims { scope: scope.to_owned(), ..self.issuer.claims(start()) }
    }

    fn good_token(&self) -> String {
        self.issuer.sign(&self.claims(SCOPE))
    }

    fn calls(&self) -> usize {
        self.accounts.calls.load(Ordering::SeqCst)
    }

    async fn call(&self, metadata: &[(&'static str, &str)]) -> Result<Account, Status> {
        call(&self.channel, METHOD, metadata).await
    }

    async fn call_with_token(&self, token: &str) -> Result<Account, Status> {
        self.call(&[("authorization", &format!("Bearer {token}"))]).await
    }
}

async fn serve(layer: AuthLayer, accounts: Accounts) -> Channel {
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(layer).add_service(AccountServiceServer::new(accounts)).add_service(health);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy()
}

fn metadata_of(entries: &[(&'static str, &str)]) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for (name, value) in entries {
        let value = AsciiMetadataValue::try_from(*value).expect("a header value");
        metadata.append(AsciiMetadataKey::from_static(name), value);
    }
    metadata
}

async fn call(channel: &Channel, path: &'static str, metadata: &[(&'static str, &str)]) -> Result<Account, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("connected");
    let mut request = Request::new(GetAccountRequest {});
    *request.metadata_mut() = metadata_of(metadata);
    let codec = ProstCodec::<GetAccountRequest, Account>::default();
    let answer = client.unary(request, PathAndQuery::from_static(path), codec).await;
    answer.map(Response::into_inner)
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) -> Status {
    let status = answer.expect_err("refused");
    let details = status.get_error_details();
    let info = details.error_info().expect("an ErrorInfo");
    assert_eq!((status.code(), info.reason.as_str(), info.domain.as_str()), (code, reason, DOMAIN), "{status:?}");
    let challenge = status.metadata().get("www-authenticate").map(|value| value.to_str().expect("ASCII"));
    assert_eq!(challenge, (code == Code::Unauthenticated).then_some("Bearer"));
    status
}

#[tokio::test]
async fn a_good_token_reaches_the_handler_as_its_subject() {
    let guarded = Guarded::by(Rule::Scope(SCOPE)).await;
    let claims = guarded.claims("account.write account.read");
    let account = guarded.call_with_token(&guarded.issuer.sign(&claims)).await.expect("let in");
    assert_eq!(account.name, claims.sub.to_string());
}

#[tokio::test]
async fn without_a_token_a_call_is_refused_before_the_handler() {
    let guarded = Guarded::by(Rule::Scope(SCOPE)).await;
    assert_refused(guarded.call(&[]).await, Code::Unauthenticated, "TOKEN_MISSING");
    assert_eq!(guarded.calls(), 0);
}

#[tokio::test]
async fn a_token_anywhere_else_is_not_looked_at() {
    let guarded = Guarded::by(Rule::Scope(SCOPE)).await;
    let token = guarded.good_token();
    let bearer = format!("Bearer {token}");
    for entry in [("cookie", bearer.as_str()), ("x-authorization", &bearer), ("proxy-authorization", &bearer)] {
        assert_refused(guarded.call(&[entry]).await, Code::Unauthenticated, "TOKEN_MISSING");
    }
    let path: &'static str = format!("{METHOD}?access_token={token}").leak();
    assert_refused(call(&guarded.channel, path, &[]).await, Code::Unauthenticated, "TOKEN_MISSING");
}

#[tokio::test]
async fn a_broken_token_is_refused_and_all_refusals_look_the_same() {
    let guarded = Guarded::by(Rule::Scope(SCOPE)).await;
    let good = guarded.claims(SCOPE);
    let mut seen = None;
    for case in guarded.issuer.broken_tokens(&good) {
        if AsciiMetadataValue::try_from(case.token.as_str()).is_err() {
            continue; // cannot be sent at all
        }
        let answer = guarded.call_with_token(&case.token).await;
        let status = assert_refused(answer, Code::Unauthenticated, case.rejection.reason());
        if case.rejection == authn::Rejection::TokenInvalid {
            let mut metadata = status.metadata().clone();
            metadata.remove("date");
            let shown = format!("{:?} {} {:?} {metadata:?}", status.code(), status.message(), status.details());
            assert_eq!(seen.get_or_insert_with(|| shown.clone()), &shown, "{}", case.name);
        }
    }
    assert_eq!(guarded.calls(), 0);
    guarded.call_with_token(&guarded.issuer.sign(&good)).await.expect("the unbroken one is let in");
}

#[tokio::test]
async fn the_scheme_is_bearer_in_any_case() {
    let guarded = Guarded::by(Rule::Scope(SCOPE)).await;
    let token = guarded.good_token();
    for value in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER  {token}")] {
        guarded.call(&[("authorization", &value)]).await.expect("let in");
    }
    for value in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        token.clone(),
        format!("Basic {token}"),
        format!("Bearer{token}"),
        format!("Bearer:{token}"),
        format!("Bearer\t{token}"),
        format!("Bearer Bearer {token}"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer token={token}"),
        format!("BearerX {token}"),
    ] {
        let answer = guarded.call(&[("authorization", &value)]).await;
        assert_refused(answer, Code::Unauthenticated, "TOKEN_INVALID");
    }
}

#[tokio::test]
async fn two_authorization_values_are_refused_even_if_one_or_both_are_good() {
    let guarded = Guarded::by(Rule::Scope(SCOPE)).await;
    let good = format!("Bearer {}", guarded.good_token());
    for (first, second) in [(good.as_str(), "Bearer evil"), ("Bearer evil", &good), (&good, &good), (&good, "")] {
        let answer = guarded.call(&[("authorization", first), ("authorization", second)]).await;
        assert_refused(answer, Code::Unauthenticated, "TOKEN_INVALID");
    }
    guarded.call(&[("authorization", &good)]).await.expect("one is let in");
}

#[tokio::test]
async fn an_expired_token_says_so() {
    let guarded = Guarded::by(Rule::Scope(SCOPE)).await;
    let token = guarded.good_token();
    guarded.call_with_token(&token).await.expect("let in");
    guarded.clock.advance(Duration::from_secs(305));
    assert_refused(guarded.call_with_token(&token).await, Code::Unauthenticated, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_lack_of_scope_names_the_scope() {
    let guarded = Guarded::by(Rule::Scope(SCOPE)).await;
    for scope in ["", "account", "account.write", "account.read.all", "ACCOUNT.READ"] {
        let token = guarded.issuer.sign(&guarded.claims(scope));
        let status =
            assert_refused(guarded.call_with_token(&token).await, Code::PermissionDenied, "INSUFFICIENT_SCOPE");
        let details = status.get_error_details();
        assert_eq!(details.error_info().and_then(|info| info.metadata.get("requiredScope")), Some(&SCOPE.to_owned()));
    }
    assert_eq!(guarded.calls(), 0);
}

#[tokio::test]
async fn a_public_method_does_not_look_at_the_header() {
    let guarded = Guarded::by(Rule::Public).await;
    let expired = guarded.issuer.sign(&Claims { exp: 1, iat: 0, ..guarded.claims("") });
    let good = guarded.good_token();
    for value in ["", "Bearer rotten", "Basic abc", &format!("Bearer {expired}"), &format!("Bearer {good}")] {
        let twice = [("authorization", value), ("authorization", value)];
        for entries in [&twice[..1], &twice] {
            let account = guarded.call(entries).await.expect("open to all");
            assert_eq!(account.name, "nobody", "{value}");
        }
    }
}

#[tokio::test]
async fn a_path_without_a_rule_is_refused_before_any_handler() {
    let guarded = Guarded::start(AccessPolicy::new([("/a.A/A", Rule::Public)]), Accounts::default()).await;
    let bearer = format!("Bearer {}", guarded.good_token());
    for path in [METHOD, WATCH, "/auth.v1.AccountService/Nothing", "/nothing.v1.Nothing/At", "/"] {
        for metadata in [&[][..], &[("authorization", bearer.as_str())]] {
            let answer = call(&guarded.channel, path, metadata).await;
            assert_refused(answer, Code::Unimplemented, "METHOD_UNKNOWN");
        }
    }
    assert_eq!(guarded.calls(), 0);
}

#[tokio::test]
async fn a_verifier_without_keys_refuses_as_unavailable_and_public_methods_go_on() {
    let verifier = Verifier::new(VerifierConfig::new("i", "a"), Trust::fixed(Vec::new()), Clock::system());
    let layer = |rule| AuthLayer::new(AccessPolicy::new([(METHOD, rule)]), verifier.clone(), DOMAIN);
    let bearer = [("authorization", "Bearer a.b.c")];

    let guarded = serve(layer(Rule::Scope(SCOPE)), Accounts::default()).await;
    let status = assert_refused(call(&guarded, METHOD, &bearer).await, Code::Unavailable, "VERIFIER_NOT_READY");
    assert!(status.get_error_details().retry_info().is_some_and(|retry| retry.retry_delay.is_some()));

    let open = serve(layer(Rule::Public), Accounts::default()).await;
    call(&open, METHOD, &bearer).await.expect("open to all");
}

#[tokio::test]
async fn a_call_is_refused_before_its_body_has_come() {
    let guarded = Guarded::by(Rule::Scope(SCOPE)).await;
    let mut client = Grpc::new(guarded.channel.clone());
    client.ready().await.expect("connected");
    let never = Request::new(tokio_stream::pending::<GetAccountRequest>());
    let codec = ProstCodec::<GetAccountRequest, Account>::default();
    let answer = client.client_streaming(never, PathAndQuery::from_static(METHOD), codec).await;
    assert_refused(answer, Code::Unauthenticated, "TOKEN_MISSING");
}

async fn watch(guarded: &Guarded, metadata: &[(&'static str, &str)]) -> tonic::Streaming<HealthCheckResponse> {
    let mut request = Request::new(HealthCheckRequest::default());
    *request.metadata_mut() = metadata_of(metadata);
    let stream = HealthClient::new(guarded.channel.clone()).watch(request).await.expect("let in");
    stream.into_inner()
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires() {
    let guarded = Guarded::start(AccessPolicy::new([(WATCH, Rule::Scope(SCOPE))]), Accounts::default()).await;
    let bearer = format!("Bearer {}", guarded.good_token());
    let mut stream = watch(&guarded, &[("authorization", &bearer)]).await;
    stream.message().await.expect("alive").expect("the first message");

    guarded.clock.advance(Duration::from_secs(305));

    let last = tokio::time::timeout(Duration::from_secs(30), stream.message()).await.expect("it ends");
    assert_refused(last, Code::Unauthenticated, "TOKEN_EXPIRED");
    assert!(stream.message().await.expect("ended").is_none());
}

#[tokio::test]
async fn a_stream_of_a_public_method_has_no_end() {
    let guarded = Guarded::start(AccessPolicy::new([(WATCH, Rule::Public)]), Accounts::default()).await;
    let mut stream = watch(&guarded, &[]).await;
    stream.message().await.expect("alive").expect("the first message");
    guarded.clock.advance(Duration::from_secs(1_000_000));
    let nothing = futures_util::poll!(std::pin::pin!(stream.message()));
    assert!(nothing.is_pending(), "{nothing:?}");
}

#[tokio::test]
async fn an_answer_that_was_worked_for_is_delivered_though_the_token_has_expired_meanwhile() {
    let slow = ManualClock::starting_at(start());
    let accounts = Accounts { slow: Some(slow), ..Accounts::default() };
    let guarded = Guarded::start(AccessPolicy::new([(METHOD, Rule::Scope(SCOPE))]), accounts).await;
    guarded.call_with_token(&guarded.good_token()).await.expect("delivered");
}

#[tokio::test]
async fn the_interceptor_alone_guards_a_single_service() {
    let issuer = TestIssuer::new("https://login.example", DOMAIN);
    let clock = ManualClock::starting_at(start());
    let authenticate = Authenticate::new(issuer.verifier(clock.clock()), DOMAIN);
    for (authenticate, scope) in [(authenticate.clone(), ""), (authenticate.requiring(SCOPE), SCOPE)] {
        let service = AccountServiceServer::with_interceptor(Accounts::default(), authenticate);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();

        let claims = Claims { scope: scope.to_owned(), ..issuer.claims(start()) };
        let bearer = format!("Bearer {}", issuer.sign(&claims));
        let account = call(&channel, METHOD, &[("authorization", &bearer)]).await.expect("let in");
        assert_eq!(account.name, claims.sub.to_string());

        assert_refused(call(&channel, METHOD, &[]).await, Code::Unauthenticated, "TOKEN_MISSING");
        let rotten = call(&channel, METHOD, &[("authorization", "Bearer rotten")]).await;
        assert_refused(rotten, Code::Unauthenticated, "TOKEN_INVALID");
        let without = format!("Bearer {}", issuer.sign(&issuer.claims(start())));
        let answer = call(&channel, METHOD, &[("authorization", &without)]).await;
        match scope {
            "" => drop(answer.expect("any good token is enough")),
            _ => drop(assert_refused(answer, Code::PermissionDenied, "INSUFFICIENT_SCOPE")),
        }
    }
}
