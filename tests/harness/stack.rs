//! Both services in this process: real sockets on free ports, stores of their own, one clock that moves when told to.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use auth_service::AuthService;
use authn::claims::Claims;
use authn::testing::TestIssuer;
use authn::{Clock, ManualClock};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use notes_service::NotesService;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use runtime::command::Service;
use runtime::config::Reader;
use runtime::database::Engine;
use runtime::testing::Store;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::actor::{Person, Visitor};
use super::descriptors::Rpc;

/// The origin that the stacks' browsers come from.
pub const ORIGIN: &str = "https://app.example";

/// What the stacks' verifiers show at the internal listener of the auth service.
pub const INTERNAL_CREDENTIAL: &str = "a-credential-of-services-that-only-the-tests-use";

/// What a test changes of the settings: environment variables and their values.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// A running service.
pub struct Running {
    listeners: Vec<(&'static str, SocketAddr)>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Reads the settings as a process would, builds, binds and serves.
    pub async fn start<S: Service>(environment: Vec<(String, String)>, clock: Clock) -> Self {
        let mut reader = Reader::new(S::PREFIX, None, environment).expect("readable settings");
        let config = S::read_config(&mut reader);
        reader.finish().expect("good settings");
        let service = S::build(config, clock).await.expect("the service starts");
        let listeners = service.listeners();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(service.serve(async {
            let _ = stopped.await;
        }));
        Self { listeners, stop: Some(stop), task }
    }

    /// Where it listens for calls.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0].1
    }

    /// Where it answers `/livez`, `/readyz` and `/metrics`.
    pub fn operations(&self) -> SocketAddr {
        self.listener("operations")
    }

    /// Where its listener with this name is.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.listeners.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no listener {name}")).1
    }

    /// Asks it to stop, as SIGTERM does.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops it and waits for the end.
    pub async fn stop(mut self) {
        self.end().await;
    }

    /// Stops it and waits for the end; where it was is still known.
    async fn end(&mut self) {
        self.begin_stop();
        (&mut self.task).await.expect("the service ends without a panic");
    }

    /// Waits until `service` says that it is ready.
    pub async fn ready(&self, service: &str) {
        await_ready(self.address(), service).await;
    }
}

/// Both services.
pub struct Stack {
    pub clock: ManualClock,
    /// Signs with the auth service's own key, so that tests can make every kind of token.
    pub issuer: TestIssuer,
    pub auth: Running,
    pub notes: Running,
    auth_environment: Vec<(String, String)>,
    notes_environment: Vec<(String, String)>,
    stores: (Store, Store),
    _folder: TempDir,
}

impl Stack {
    /// Both services with the settings that most tests want.
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// How many statements the store of the notes was given so far.
    pub async fn statements_of_notes(&self) -> u64 {
        let url = format!("http://{}/metrics", self.notes.operations());
        let text = reqwest::get(url).await.expect("an answer").text().await.expect("text");
        let count = text.lines().find_map(|line| line.strip_prefix("store_statements_total "));
        count.expect("they are counted").parse().expect("a number")
    }

    /// Both services, some settings changed.
    pub async fn start_with(auth_settings: Settings<'_>, notes_settings: Settings<'_>) -> Self {
        let stores = (Store::fresh().await, Store::fresh().await);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let issuer = TestIssuer::new("http://127.0.0.1:50051", "notes-service");
        let data_dir = folder.path().display().to_string();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            write_secret(&path, content);
            path.display().to_string()
        };
        let common = |prefix: &str, store: &Store| {
            vec![
                (format!("{prefix}_LISTEN"), "127.0.0.1:0".to_owned()),
                (format!("{prefix}_OPERATIONS_LISTEN"), "127.0.0.1:0".to_owned()),
                (format!("{prefix}_DATA_DIR"), data_dir.clone()),
                (format!("{prefix}_DATABASE_URL"), store.url()),
                (format!("{prefix}_CORS_ORIGINS"), ORIGIN.to_owned()),
                (format!("{prefix}_REFLECTION"), "true".to_owned()),
            ]
        };
        let mut auth_environment = common("AUTH_SERVICE", &stores.0);
        auth_environment.extend([
            ("AUTH_SERVICE_SIGNING_KEY_FILE".to_owned(), file("key.pem", &issuer.private_pem())),
            ("AUTH_SERVICE_REFRESH_SECRET".to_owned(), "a refresh secret that only the tests use".to_owned()),
            ("AUTH_SERVICE_INTERNAL_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("AUTH_SERVICE_INTERNAL_CREDENTIAL".to_owned(), INTERNAL_CREDENTIAL.to_owned()),
        ]);
        let mut notes_environment = common("NOTES_SERVICE", &stores.1);
        notes_environment.push((
            "NOTES_SERVICE_PAGE_TOKEN_SECRET".to_owned(),
            "a page token secret that only the tests use".to_owned(),
        ));
        change(&mut auth_environment, auth_settings);

        let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let auth = Running::start::<AuthService>(auth_environment.clone(), clock.clock()).await;
        notes_environment.extend(trust_of(&auth));
        change(&mut notes_environment, notes_settings);
        let notes = Running::start::<NotesService>(notes_environment.clone(), clock.clock()).await;
        auth.ready("auth.v1.AuthService").await;
        notes.ready("notes.v1.NotesService").await;
        Self { clock, issuer, auth, notes, auth_environment, notes_environment, stores, _folder: folder }
    }

    /// Stops the notes service and starts it again on the same store, with the keys where the auth service is now.
    pub async fn restart_notes(self) -> Self {
        self.restart_notes_with(&[]).await
    }

    /// As [`Stack::restart_notes`], some settings changed.
    pub async fn restart_notes_with(self, settings: Settings<'_>) -> Self {
        let Self { clock, notes, mut notes_environment, .. } = self;
        notes.stop().await;
        let trust = trust_of(&self.auth);
        change(&mut notes_environment, &trust.each_ref().map(|(name, value)| (name.as_str(), value.as_str())));
        change(&mut notes_environment, settings);
        let notes = Running::start::<NotesService>(notes_environment.clone(), clock.clock()).await;
        notes.ready("notes.v1.NotesService").await;
        Self { clock, notes, notes_environment, ..self }
    }

    /// Another replica of the notes service on the same store; none where that has one process alone.
    pub async fn another_notes(&self) -> Option<Running> {
        if self.stores.1.engine() == Engine::Sqlite {
            return None;
        }
        let notes = Running::start::<NotesService>(self.notes_environment.clone(), self.clock.clock()).await;
        notes.ready("notes.v1.NotesService").await;
        Some(notes)
    }

    /// Stops the auth service and starts it again on the same store, on another port.
    pub async fn restart_auth(self) -> Self {
        let Self { clock, auth, auth_environment, .. } = self;
        auth.stop().await;
        let auth = Running::start::<AuthService>(auth_environment.clone(), clock.clock()).await;
        auth.ready("auth.v1.AuthService").await;
        Self { clock, auth, auth_environment, ..self }
    }

    /// Where this method is served.
    pub fn address_of(&self, rpc: &Rpc) -> SocketAddr {
        match rpc {
            rpc if rpc.is_internal() => self.auth.listener("auth-internal"),
            rpc if rpc.is_of_notes() => self.notes.address(),
            _ => self.auth.address(),
        }
    }

    /// Stops the auth service.
    pub async fn stop_auth(mut self) -> Self {
        self.auth.end().await;
        self
    }

    /// Starts the auth service again that was stopped, on the same store and where it was.
    pub async fn start_auth_again(self) -> Self {
        let mut environment = self.auth_environment.clone();
        let [calls, internal] = [self.auth.address(), self.auth.listener("auth-internal")].map(|at| at.to_string());
        change(&mut environment, &[("AUTH_SERVICE_LISTEN", &calls), ("AUTH_SERVICE_INTERNAL_LISTEN", &internal)]);
        let auth = Running::start::<AuthService>(environment, self.clock.clock()).await;
        auth.ready("auth.v1.AuthService").await;
        Self { auth, ..self }
    }

    /// Stops the notes service and starts it again with the same settings, wherever the auth service is.
    pub async fn restart_notes_alone(self) -> Self {
        let Self { clock, notes, notes_environment, .. } = self;
        notes.stop().await;
        let notes = Running::start::<NotesService>(notes_environment.clone(), clock.clock()).await;
        notes.ready("notes.v1.NotesService").await;
        Self { clock, notes, notes_environment, ..self }
    }

    /// A second auth service on the same store; nothing on SQLite, which one process has for itself.
    pub async fn second_auth(&self) -> Option<Running> {
        if self.stores.0.engine() == Engine::Sqlite {
            return None;
        }
        let auth = Running::start::<AuthService>(self.auth_environment.clone(), self.clock.clock()).await;
        auth.ready("auth.v1.AuthService").await;
        Some(auth)
    }

    /// Whoever has no account yet.
    pub async fn visitor(&self) -> Visitor {
        Visitor { auth: AuthServiceClient::new(connect(self.auth.address()).await) }
    }

    /// The claims of this person's access token, to be changed and signed again.
    pub fn claims_of(&self, person: &Person) -> Claims {
        let claims = person.tokens.access_token.split('.').nth(1).expect("three parts");
        let json = BASE64URL.decode(claims).expect("base64url");
        serde_json::from_slice(&json).expect("claims")
    }

    /// The same person, logged in anew at the addresses where the services listen now.
    pub async fn log_in(&self, person: &Person) -> Person {
        person.clone().at(connect(self.auth.address()).await, connect(self.notes.address()).await).await
    }

    /// A person with an account and a session.
    pub async fn register(&self, name: &str) -> Person {
        Person::register(name, connect(self.auth.address()).await, connect(self.notes.address()).await).await
    }
}

/// What makes a notes service trust a running auth service.
fn trust_of(auth: &Running) -> [(String, String); 3] {
    [
        ("JWKS_URL", format!("http://{}/.well-known/jwks.json", auth.address())),
        ("STREAM_URL", format!("http://{}", auth.listener("auth-internal"))),
        ("STREAM_CREDENTIAL", INTERNAL_CREDENTIAL.to_owned()),
    ]
    .map(|(name, value)| (format!("NOTES_SERVICE_TRUST_{name}"), value))
}

/// Waits until `service` at `address` says that it is ready.
pub async fn await_ready(address: SocketAddr, service: &str) {
    let mut health = HealthClient::new(connect(address).await);
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut states = health.watch(request).await.expect("health is open").into_inner();
    tokio::time::timeout(Duration::from_secs(30), async {
        while states.message().await.expect("the watch goes on").expect("a state").status() != ServingStatus::Serving {}
    })
    .await
    .unwrap_or_else(|_| panic!("{service} did not become ready"));
}

/// A connection to `address`.
pub async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).expect("a URL").connect().await.expect("the service listens")
}

/// Writes a file that only its owner can read.
pub fn write_secret(path: &std::path::Path, content: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .expect("a writable folder");
    file.write_all(content.as_bytes()).expect("a writable file");
}

fn change(environment: &mut Vec<(String, String)>, settings: Settings<'_>) {
    for (name, value) in settings {
        environment.retain(|(known, _)| known != name);
        environment.push(((*name).to_owned(), (*value).to_owned()));
    }
}
