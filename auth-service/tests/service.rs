//! The service as its callers meet it: the real server on a free port, the engine under test beneath it.

use std::time::{Duration, UNIX_EPOCH};

use auth_service::AuthService;
use authn::ManualClock;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::auth::v1::account_service_client::AccountServiceClient;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use proto::auth::v1::{
    GetAccountRequest, ListSigningKeysRequest, LoginRequest, LoginResponse, LogoutRequest, RefreshTokenRequest,
    RegisterRequest, TokenPair, TokenType, VerifyTokenRequest, VerifyTokenResponse,
};
use runtime::command::Service as _;
use runtime::config::Reader;
use runtime::testing::Store;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

const PASSWORD: &str = "a quiet teapot!";

struct Service {
    url: String,
    channel: Channel,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    _folder: TempDir,
    _store: Store,
}

impl Service {
    async fn start() -> Self {
        let store = Store::fresh().await;
        let folder = tempfile::tempdir().expect("a folder");
        let environment = [
            ("LISTEN", "127.0.0.1:0".to_owned()),
            ("OPERATIONS_LISTEN", "127.0.0.1:0".to_owned()),
            ("DATA_DIR", folder.path().display().to_string()),
            ("DATABASE_URL", store.url()),
            ("SIGNING_KEY", signing_key()),
            ("REFRESH_SECRET", "a secret of the tests that has more than thirty-two bytes".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (format!("AUTH_SERVICE_{name}"), value));
        let mut reader = Reader::new(AuthService::PREFIX, None, environment).expect("no file");
        let config = AuthService::read_config(&mut reader);
        reader.finish().expect("good settings");
        let clock = ManualClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let service = AuthService::build(config, clock.clock()).await.expect("builds");
        let (_, address) = *service.listeners().first().expect("it listens");
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(service.serve(async {
            let _ = stopped.await;
        }));
        let url = format!("http://{address}");
        let channel = Channel::from_shared(url.clone()).expect("a URL").connect().await.expect("it answers");
        Self { url, channel, stop, serving, _folder: folder, _store: store }
    }

    fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    async fn register(&self, email: &str) -> Result<(), Status> {
        let (email, password) = (email.to_owned(), PASSWORD.to_owned());
        let request = RegisterRequest { email, password, display_name: "Alice".to_owned() };
        self.auth().register(request).await.map(|_| ())
    }

    async fn login(&self, email: &str, password: &str) -> Result<LoginResponse, Status> {
        let (email, password) = (email.to_owned(), password.to_owned());
        let mut request = Request::new(LoginRequest { email, password, client_label: "laptop".to_owned() });
        request.metadata_mut().insert("authorization", "Bearer a.stale.one".parse().expect("ASCII"));
        self.auth().login(request).await.map(tonic::Response::into_inner)
    }

    async fn alice(&self) -> LoginResponse {
        self.register("alice@example.com").await.expect("registered");
        self.login("alice@example.com", PASSWORD).await.expect("logged in")
    }

    async fn refresh(&self, token: &str) -> Result<TokenPair, Status> {
        let request = RefreshTokenRequest { refresh_token: token.to_owned() };
        Ok(self.auth().refresh_token(request).await?.into_inner().tokens.expect("tokens"))
    }

    async fn verify(&self, token: &str) -> VerifyTokenResponse {
        let request = VerifyTokenRequest { token: token.to_owned() };
        self.auth().verify_token(request).await.expect("it tells").into_inner()
    }

    async fn stop(self) {
        drop(self.channel);
        self.stop.send(()).expect("it serves");
        self.serving.await.expect("it ends well");
    }
}

fn signing_key() -> String {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("made");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("encoded");
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()))
}

#[track_caller]
fn assert_reason(status: &Status, code: Code, reason: &str) {
    let details = status.get_error_details();
    let info = details.error_info().expect("every error says why");
    assert_eq!((status.code(), info.reason.as_str(), info.domain.as_str()), (code, reason, "auth-service"));
}

#[tokio::test]
async fn an_account_registers_logs_in_reads_itself_refreshes_and_logs_out() {
    let service = Service::start().await;
    let alice = service.alice().await;
    let (account, session) = (alice.account.expect("an account"), alice.session.expect("a session"));
    let tokens = alice.tokens.expect("tokens");
    assert_eq!(session.ip_prefix, "127.0.0.0/24");
    assert!(session.user_agent.contains("tonic"), "{}", session.user_agent);
    assert!(session.current && tokens.token_type == "Bearer");

    let mut request = Request::new(GetAccountRequest {});
    let bearer = format!("Bearer {}", tokens.access_token);
    request.metadata_mut().insert("authorization", bearer.parse().expect("ASCII"));
    let mut accounts = AccountServiceClient::new(service.channel.clone());
    let read = accounts.get_account(request).await.expect("its own").into_inner();
    assert_eq!(read, account);

    let verified = service.verify(&tokens.access_token).await;
    assert!(verified.active);
    assert_eq!(
        (verified.token_type(), &verified.subject, &verified.session),
        (TokenType::Access, &account.name, &session.name)
    );

    let next = service.refresh(&tokens.refresh_token).await.expect("rotated");
    let logout = LogoutRequest { refresh_token: next.refresh_token.clone() };
    service.auth().logout(logout.clone()).await.expect("ended");
    service.auth().logout(logout).await.expect("ended before");
    assert_reason(
        &service.refresh(&next.refresh_token).await.expect_err("ended"),
        Code::Unauthenticated,
        "SESSION_REVOKED",
    );
    assert_eq!(service.verify(&tokens.access_token).await, VerifyTokenResponse::default());
    service.stop().await;
}

#[tokio::test]
async fn refused_logins_cannot_be_told_apart() {
    let service = Service::start().await;
    service.register("alice@example.com").await.expect("registered");
    let wrong = service.login("alice@example.com", "a loud teapot!!").await.expect_err("wrong");
    let unknown = service.login("nobody@example.com", PASSWORD).await.expect_err("unknown");
    for refused in [&wrong, &unknown] {
        assert_reason(refused, Code::Unauthenticated, "CREDENTIALS_INVALID");
    }
    assert_eq!((wrong.message(), wrong.details()), (unknown.message(), unknown.details()), "byte for byte");
    service.login("alice@example.com", PASSWORD).await.expect("the allowed twin");
    service.stop().await;
}

#[tokio::test]
async fn a_bad_registration_is_told_all_that_is_wrong_with_it() {
    let service = Service::start().await;
    let refused = service.auth().register(RegisterRequest { email: "alice".to_owned(), ..Default::default() }).await;
    let refused = refused.expect_err("bad");
    assert_reason(&refused, Code::InvalidArgument, "FIELD_INVALID");
    let details = refused.get_error_details();
    let violations = &details.bad_request().expect("violations").field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["email", "password"]);

    service.register("alice@example.com").await.expect("registered");
    let taken = service.register("ALICE@example.com").await.expect_err("taken");
    assert_reason(&taken, Code::AlreadyExists, "EMAIL_TAKEN");
    service.stop().await;
}

#[tokio::test]
async fn the_keys_are_the_same_over_grpc_and_over_http() {
    let service = Service::start().await;
    let listed = service.auth().list_signing_keys(ListSigningKeysRequest {}).await.expect("public").into_inner().keys;
    let url = format!("{}/.well-known/jwks.json", service.url);
    let answer = reqwest::get(url).await.expect("HTTP/1.1");
    assert!(answer.headers().contains_key("etag"));
    let published: serde_json::Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(published["keys"].as_array().map(Vec::len), Some(listed.len()));
    assert_eq!(
        (&published["keys"][0]["kid"], &published["keys"][0]["n"]),
        (&listed[0].kid.as_str().into(), &listed[0].n.as_str().into())
    );
    service.stop().await;
}
