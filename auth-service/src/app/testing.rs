//! The use cases over a store of their own, with the time in our hands.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use authn::{ManualClock, Trust, Verifier, VerifierConfig};
use runtime::config::Secret;
use runtime::database::Engine;
use runtime::testing::Store;
use uuid::Uuid;

use super::login::LoggedIn;
use super::watch_trust::Progress;
use super::{
    App, Audit, AuditSettings, Caller, Error, KeyKeeper, Limits, LoginAttempt, NewAccount, SigningKeys, Tokens,
    TrustHub, TrustPace,
};
use crate::crypto::{
    HashingSettings, KeyBits, KeyEncryptionKey, PasswordHasher, RefreshSecret, SecretSource, TokenSettings, TokenSigner,
};
use crate::domain::{
    Account, AuditFilter, AuditRecord, ClientLabel, DisplayName, Email, EmailRules, KeyRules, Origin, Password,
    PasswordRules, PresentedPassword, Session, SessionLimits,
};
use crate::repository::Repository;

pub(super) const IDLE: Duration = Duration::from_secs(14 * 86_400);
pub(super) const ABSOLUTE: Duration = Duration::from_secs(90 * 86_400);
pub(super) const GRACE: Duration = Duration::from_secs(10);
pub(super) const SESSION: SessionLimits = SessionLimits { idle: IDLE, absolute: ABSOLUTE, reuse_grace: GRACE };
pub(super) const ACCESS_TTL: Duration = Duration::from_secs(300);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const LIMITS: Limits = Limits {
    access_token_ttl: ACCESS_TTL,
    session: SESSION,
    sessions_per_account: 5,
    session_retention: Duration::from_secs(30 * 86_400),
};
pub(super) const AUDIT: AuditSettings =
    AuditSettings { retention: Duration::from_secs(90 * 86_400), refusals_per_minute: 10 };
pub(super) const PACE: TrustPace = TrustPace { interval: Duration::from_millis(200), overlap: Duration::from_secs(20) };
pub(super) const KEY_RULES: KeyRules =
    KeyRules { rotation_interval: Duration::from_secs(30 * 86_400), publish_ahead: Duration::from_secs(600) };
pub(super) const SECRET: &str = "a secret of the tests that has more than thirty-two bytes";
pub(super) const PASSWORD: &str = "a quiet teapot!";
pub(super) const CHEAP: HashingSettings = HashingSettings { memory_kib: 64, iterations: 1, permits: 2, queue: 64 };

pub(super) struct Fixture {
    pub(super) app: Arc<App>,
    pub(super) clock: ManualClock,
    pub(super) store: Store,
}

impl Fixture {
    pub(super) async fn start() -> Self {
        Self::with(CHEAP).await
    }

    pub(super) async fn with(hashing: HashingSettings) -> Self {
        let store = Store::fresh().await;
        let clock = ManualClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let app = app(&store, &clock, hashing).await;
        app.begin_keys().await.expect("a store that answers");
        app.look_at_trust(&mut Progress::default()).await.expect("a store that answers");
        Self { app: Arc::new(app), clock, store }
    }

    /// Whether several services may be on one store.
    pub(super) fn is_shared(&self) -> bool {
        self.app.repository.database().engine() == Engine::Postgres
    }

    /// Another service on the same store.
    pub(super) async fn replica(&self) -> Arc<App> {
        let replica = app(&self.store, &self.clock, CHEAP).await;
        replica.repository.database().ready().await;
        replica.begin_keys().await.expect("a store that answers");
        Arc::new(App { verifier: self.app.verifier.clone(), trust: Arc::clone(&self.app.trust), ..replica })
    }

    /// Stops the service without a word, and starts it again. What it had in memory is gone.
    pub(super) async fn restart(&mut self) {
        self.app.repository.database().close().await;
        self.app = self.replica().await;
    }

    pub(super) async fn register(&self, address: &str) -> Result<Account, Error> {
        let email = email(address);
        let password = Password::choose(PASSWORD, &PasswordRules::new(15, &[]), Some(&email)).expect("good");
        let display_name = DisplayName::parse("Alice").expect("a name");
        self.app.register(NewAccount { email, password, display_name }).await
    }

    pub(super) async fn login(&self, address: &str, password: &str) -> Result<LoggedIn, Error> {
        let attempt = LoginAttempt {
            email: email(address),
            password: PresentedPassword::parse(password).expect("possible"),
            client_label: ClientLabel::parse("laptop").expect("a label"),
            origin: Origin::default(),
        };
        self.app.login(attempt).await
    }

    pub(super) async fn alice(&self) -> LoggedIn {
        self.register("alice@example.com").await.expect("registered");
        self.login("alice@example.com", PASSWORD).await.expect("logged in")
    }

    pub(super) async fn refresh(&self, tokens: &Tokens) -> Result<Tokens, Error> {
        self.app.refresh(tokens.refresh.expose()).await
    }

    pub(super) async fn change_password(&self, tokens: &Tokens, current: &str, new: &str) -> Result<Tokens, Error> {
        let caller = self.caller(tokens).await?;
        let new = Password::choose(new, &PasswordRules::new(15, &[]), None).expect("good");
        self.app.change_password(caller, PresentedPassword::parse(current).expect("possible"), new).await
    }

    pub(super) async fn caller(&self, tokens: &Tokens) -> Result<Caller, Error> {
        self.app.admit(&self.app.verifier.verify(&tokens.access).expect("good")).await
    }

    pub(super) async fn stored(&self, session: &Session) -> Session {
        self.app.repository.find_session(session.key).await.expect("read").expect("it is there").0
    }

    pub(super) async fn is_active(&self, token: &str) -> bool {
        self.app.verify_token(token).await.expect("no failure").is_some()
    }

    /// The audit of people as it is once what was noted is written: name, account, session and reason of each record.
    pub(super) async fn audit(&self) -> Vec<[String; 4]> {
        self.app.write_audit().await;
        let records = self.app.repository.audit_records(&AuditFilter::default(), 1000).await.expect("read");
        let fields = |record: AuditRecord| {
            let session = record.session.map(|session| session.to_string()).unwrap_or_default();
            let account = record.account.map(|account| account.to_string()).unwrap_or_default();
            [record.event, account, session, record.reason.unwrap_or_default()]
        };
        records.into_iter().filter(|record| record.kid.is_none()).map(fields).collect()
    }

    pub(super) async fn execute(&self, sql: &'static str) {
        self.app.repository.execute(sql).await;
    }
}

/// A service on a store, which has not looked at it yet.
pub(super) async fn app(store: &Store, clock: &ManualClock, hashing: HashingSettings) -> App {
    let (feed, trust) = Trust::fed();
    let verifier = VerifierConfig {
        issuer: "http://auth.test".to_owned(),
        audience: "auth-service".to_owned(),
        leeway: Duration::from_secs(5),
        max_lifetime: Duration::from_secs(600),
        remembered_tokens: 100,
        max_staleness: None,
    };
    let settings = TokenSettings {
        issuer: "http://auth.test".to_owned(),
        audiences: vec!["auth-service".to_owned()],
        scopes: vec!["account.read".to_owned(), "notes.read".to_owned()],
    };
    App {
        clock: clock.clock(),
        repository: Repository::open(&store.config()).await.expect("opens").with_tokens_in_audit(true),
        hasher: PasswordHasher::start(hashing).await.expect("good settings"),
        signer: TokenSigner::new(settings),
        keys: SigningKeys::kept(keeper(SECRET).await),
        refresh_secret: RefreshSecret::load(secret(SECRET)).await.expect("long enough"),
        verifier: Verifier::new(verifier, trust, clock.clock()),
        trust: Arc::new(TrustHub::new(Uuid::from_u128(1), feed, PACE)),
        limits: LIMITS,
        audit: Audit::new(AUDIT),
    }
}

/// Keeps keys encrypted under this secret.
pub(super) async fn keeper(text: &str) -> KeyKeeper {
    let encryption = KeyEncryptionKey::load(secret(text)).await.expect("long enough");
    KeyKeeper { encryption: Some(Arc::new(encryption)), bits: KeyBits::Rsa2048, rules: KEY_RULES, first: None }
}

fn secret(text: &str) -> SecretSource {
    SecretSource::Given(Secret::new(text.to_owned()))
}

pub(super) fn email(address: &str) -> Email {
    Email::parse(address, EmailRules::AsciiLocalPart).expect("well formed")
}
