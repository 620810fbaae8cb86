//! Who you are: accounts, passwords, sessions, access and refresh tokens, and the key that signs them.
//!
//! Begin with `app`, the list of what the service does, one file per use case. Beneath it [`domain`] decides,
//! `crypto` hashes, signs and proves, `repository` stores; above it `rpc` translates the contracts of `auth.v1`.
//! [`Config`] has every setting, and [`AuthService`] wires it all together. [`authctl`] is the operator's command line.
//!
//! What is deliberately not here: sending mail, a full OAuth 2 or OpenID provider, and the verification of tokens,
//! which is the library `authn`, so that any service can do it.

mod app;
pub mod authctl;
mod config;
mod crypto;
pub mod domain;
mod repository;
mod rpc;

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authn::{Clock, Trust, Verifier, VerifierConfig};
use futures_util::FutureExt as _;
use runtime::config::{Reader, Secret};
use runtime::database::{Database, DatabaseError};
use runtime::kept_secret;
use runtime::server::{Check, InternalServices, Server, Services};
use uuid::Uuid;

use self::app::{App, Audit, Error as AppError, KeyKeeper, Limits, SigningKeys, TrustHub};
pub use self::config::Config;
use self::crypto::{
    KeyEncryptionKey, PasswordHasher, RefreshSecret, SecretSource, SigningKey, TokenSettings, TokenSigner,
};
use self::repository::{Repository, RepositoryError};
use self::rpc::{Published, Rules};

/// Longest wait for the store to say that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// Longest wait for the signing keys before the service starts without them.
const KEYS_WITHIN: Duration = Duration::from_secs(3);

type BoxError = Box<dyn Error + Send + Sync>;

/// The service, built and bound, not yet serving.
pub struct AuthService {
    app: Arc<App>,
    server: Server,
    database: Database,
}

impl runtime::command::Service for AuthService {
    const NAME: &'static str = "auth-service";
    const PREFIX: &'static str = "AUTH_SERVICE";
    type Config = Config;

    fn read_config(reader: &mut Reader) -> Config {
        Config::read(reader)
    }

    async fn build(config: Config, clock: Clock) -> Result<Self, BoxError> {
        // The store comes first: on SQLite its lock keeps a second process from making secrets.
        make_data_folder(&config)?;
        let repository = Repository::open(&config.database).await?.with_tokens_in_audit(config.audit.tokens);
        let database = repository.database().clone();
        let signer = TokenSigner::new(token_settings(&config));
        let earlier_key = earlier_key(&config).await?;
        let keys = signing_keys(&config, &signer, earlier_key.as_ref()).await?;
        let (feed, trust) = Trust::fed();
        let verifier = Verifier::new(verifier_config(&config), trust, clock.clone());
        let published = Published {
            issuer: config.token.issuer.clone(),
            scopes: config.token.scopes.clone(),
            max_age: config.jwks_max_age,
        };
        let app = Arc::new(App {
            clock,
            repository,
            hasher: PasswordHasher::start(config.hashing).await?,
            signer,
            keys,
            refresh_secret: RefreshSecret::load(secret_source(&config)).await?,
            verifier: verifier.clone(),
            trust: Arc::new(TrustHub::new(Uuid::new_v4(), feed, config.trust)),
            limits: limits(&config),
            audit: Audit::new(config.audit.settings),
        });
        begin_keys(&app).await?;
        if let Some(key) = earlier_key {
            forget_earlier_key(&config, &app, &key)?;
        }
        let published_keys = {
            let app = Arc::clone(&app);
            move || app.published_keys()
        };
        let rules = Rules { email: config.email, password: config.password };
        let services = Services {
            domain: rpc::DOMAIN,
            grpc: rpc::routes(&app, rules, config.server.max_request_bytes),
            names: rpc::SERVICES.to_vec(),
            http: rpc::router(&published, published_keys),
            policy: rpc::policy(),
            checks: vec![database_check(database.clone()), trust_check(&verifier)],
            verifier,
            statements: Some(Box::new({
                let database = database.clone();
                move || database.statements()
            })),
        };
        let mut server = Server::bind(config.server, services).await?;
        if let Some(credential) = &config.internal.credential {
            let credentials = [Some(credential), config.internal.previous_credential.as_ref()];
            let internal = InternalServices {
                listen: config.internal.listen,
                grpc: rpc::internal_routes(&app),
                policy: rpc::internal_policy(),
                credentials: rpc::internal_credentials(credentials.into_iter().flatten().map(Secret::expose)),
            };
            server = server.with_internal(internal).await?;
        }
        Ok(Self { app, server, database })
    }

    async fn migrate(config: Config) -> Result<(), BoxError> {
        make_data_folder(&config)?;
        Ok(Repository::migrate(&config.database).await?)
    }

    fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let internal = self.server.internal_addr().map(|address| ("auth-internal", address));
        let public = [("auth", self.server.local_addr()), ("operations", self.server.operations_addr())];
        public.into_iter().chain(internal).collect()
    }

    fn operations_address(config: &Config) -> SocketAddr {
        config.server.operations
    }

    async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let app = Arc::clone(&self.app);
        let forgetting = tokio::spawn(async move {
            tokio::join!(
                app.keep_forgetting_sessions(),
                app.keep_cleaning_up(),
                app.keep_writing_audit(),
                app.keep_watching_trust(),
                app.keep_rotating_keys()
            );
        });
        self.server.serve(shutdown).await;
        forgetting.abort();
        self.app.write_audit().await;
        self.database.close().await;
    }
}

impl AuthService {
    /// What this service trusts now: its keys and revocations, for verifiers in the same process.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.app.verifier.trust().clone()
    }
}

/// Makes the folder that an embedded store and its secrets are in; with any other store nothing is kept here.
fn make_data_folder(config: &Config) -> std::io::Result<()> {
    if config.is_embedded() { kept_secret::make_private_folder(&config.data_dir) } else { Ok(()) }
}

/// Where a signing key was kept before there were keys in the store.
fn earlier_key_file(config: &Config) -> PathBuf {
    config.data_dir.join("signing-key.pem")
}

async fn earlier_key(config: &Config) -> Result<Option<SigningKey>, BoxError> {
    if !config.is_embedded() || config.signing_keys.is_fixed() {
        return Ok(None);
    }
    Ok(SigningKey::kept(earlier_key_file(config)).await?)
}

/// Where the keys that sign come from. A store without keys begins with the one that signed before, if there is one.
async fn signing_keys(
    config: &Config,
    signer: &TokenSigner,
    earlier_key: Option<&SigningKey>,
) -> Result<SigningKeys, BoxError> {
    let given = match &config.signing_keys.given {
        Some(pem) => Some(SigningKey::given(pem.clone()).await?),
        None => None,
    };
    if config.signing_keys.is_fixed()
        && let Some(key) = given
    {
        let public = key.public().clone();
        signer.take(key)?;
        return Ok(SigningKeys::Given(public));
    }
    let encryption = KeyEncryptionKey::load(encryption_key_source(config)).await?;
    let encryption = Arc::new(encryption.after(config.signing_keys.previous_encryption_key.as_ref())?);
    let first = given.as_ref().or(earlier_key).map(|key| key.seal(&encryption)).transpose()?;
    let keys = &config.signing_keys;
    Ok(SigningKeys::kept(KeyKeeper { encryption: Some(encryption), bits: keys.bits, rules: keys.rules, first }))
}

fn encryption_key_source(config: &Config) -> SecretSource {
    match &config.signing_keys.encryption_key {
        Some(secret) => SecretSource::Given(secret.clone()),
        None => SecretSource::Kept(config.data_dir.join("key-encryption-key")),
    }
}

/// Has a key sign before anybody calls. A store that cannot be reached is waited for by the service, which is not ready
/// until then; keys that cannot be decrypted are refused here.
async fn begin_keys(app: &App) -> Result<(), BoxError> {
    if matches!(app.keys, SigningKeys::Given(_)) {
        return Ok(());
    }
    let begun = tokio::time::timeout(KEYS_WITHIN, async {
        app.repository.database().ready().await;
        app.begin_keys().await
    });
    match begun.await {
        Ok(Err(AppError::Repository(RepositoryError::Database(DatabaseError::Unavailable(_))))) | Err(_) => {
            tracing::warn!("the signing keys cannot be read yet");
            Ok(())
        }
        Ok(begun) => Ok(begun?),
    }
}

/// Removes the file of a key that is in the store by now, where it is encrypted and ends when it is due.
fn forget_earlier_key(config: &Config, app: &App, key: &SigningKey) -> std::io::Result<()> {
    let file = earlier_key_file(config);
    if !app.published_keys().contains(key.public()) {
        tracing::warn!(file = %file.display(), "{} is not used", file.display());
        return Ok(());
    }
    std::fs::remove_file(&file)?;
    tracing::info!(file = %file.display(), "moved the signing key of {} into the store", file.display());
    Ok(())
}

fn secret_source(config: &Config) -> SecretSource {
    match &config.refresh_secret {
        Some(secret) => SecretSource::Given(secret.clone()),
        None => SecretSource::Kept(config.data_dir.join("refresh-secret")),
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        access_token_ttl: config.token.ttl,
        session: config.session,
        sessions_per_account: config.sessions_per_account,
        session_retention: config.session_retention,
    }
}

fn token_settings(config: &Config) -> TokenSettings {
    TokenSettings {
        issuer: config.token.issuer.clone(),
        audiences: config.token.audiences.clone(),
        scopes: config.token.scopes.clone(),
    }
}

fn verifier_config(config: &Config) -> VerifierConfig {
    VerifierConfig {
        issuer: config.token.issuer.clone(),
        audience: config.token.audience.clone(),
        leeway: config.token.leeway,
        max_lifetime: domain::MAX_ACCESS_TOKEN_TTL,
        remembered_tokens: config.token.remembered,
        max_staleness: None,
    }
}

/// Ready once the keys and revocations were read, though the store may be away again by then.
fn trust_check(verifier: &Verifier) -> Check {
    let verifier = verifier.clone();
    Check { name: "trust", probe: Box::new(move || std::future::ready(verifier.is_ready()).boxed()) }
}

fn database_check(database: Database) -> Check {
    let probe = move || {
        let database = database.clone();
        async move { database.is_ready(READY_WITHIN).await }.boxed()
    };
    Check { name: "database", probe: Box::new(probe) }
}
