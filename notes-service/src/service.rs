use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use authn::{AccessPolicy, Clock, JwksConfig, PublicKey, StreamConfig, StreamCredential, Trust, Verifier};
use proto::notes::v1::notes_service_server::NotesServiceServer;
use proto::notes::v1::tag_service_server::TagServiceServer;
use runtime::command::Service;
use runtime::config::Reader;
use runtime::server::{Check, Server, Services};

use crate::app::{App, PurgePace};
use crate::config::{Config, KeySource, PageTokenConfig, StreamSource, TrustConfig};
use crate::crypto::{PageTokens, SyncTokens, TokenKeys, page_token_secret};
use crate::repository::NoteRepository;
use crate::rpc::{DOMAIN, Notes, SERVICES, Tags};

/// Longest wait for the store when its readiness is looked at.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// The notes service, built and bound, not yet serving.
pub struct NotesService {
    server: Server,
    repository: NoteRepository,
    app: App,
    purge: PurgePace,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Service for NotesService {
    const NAME: &'static str = DOMAIN;
    const PREFIX: &'static str = "NOTES_SERVICE";
    type Config = Config;

    fn read_config(reader: &mut Reader) -> Config {
        Config::read(reader)
    }

    async fn build(config: Config, clock: Clock) -> Result<Self, Failure> {
        let verifier = verifier(&config.trust, clock.clone())?;
        let token_keys = Arc::new(token_keys(&config.page_tokens, &config.data_dir)?);
        let page_tokens = PageTokens::new(Arc::clone(&token_keys), config.page_tokens.lifetime);
        let sync_tokens = SyncTokens::new(token_keys, config.sync.epoch);
        let repository = NoteRepository::open(&config.database, config.batching).await?;
        let app = App::new(repository.clone(), page_tokens, sync_tokens, config.limits, config.sync.watch, clock);
        let max_request_bytes = config.server.max_request_bytes;
        let notes = NotesServiceServer::new(Notes::new(app.clone(), verifier.clone()))
            .max_decoding_message_size(max_request_bytes);
        let tags = TagServiceServer::new(Tags::new(app.clone())).max_decoding_message_size(max_request_bytes);
        let services = Services {
            domain: DOMAIN,
            grpc: tonic::service::Routes::new(notes).add_service(tags),
            names: SERVICES.to_vec(),
            http: axum::Router::new(),
            policy: AccessPolicy::new(own_rules()),
            checks: vec![store_check(&repository), keys_check(&verifier)],
            verifier,
            statements: Some(Box::new({
                let repository = repository.clone();
                move || repository.statements()
            })),
        };
        let server = Server::bind(config.server, services).await?;
        Ok(Self { server, repository, app, purge: config.purge })
    }

    async fn migrate(config: Config) -> Result<(), Failure> {
        Ok(NoteRepository::migrate(&config.database).await?)
    }

    fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![("notes", self.server.local_addr()), ("operations", self.server.operations_addr())]
    }

    fn operations_address(config: &Config) -> SocketAddr {
        config.server.operations
    }

    async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        // What is being removed when the server ends is finished before the store closes.
        let watches = self.app.clone();
        // Streams are told before the listener ends what still waits.
        let shutdown = async move {
            shutdown.await;
            watches.end_watches();
        };
        tokio::select! {
            () = self.server.serve(shutdown) => {}
            never = self.app.purge_forever(self.purge) => match never {},
            never = self.repository.keep_in_step() => match never {},
        }
        self.repository.close().await;
    }
}

/// The rules of this service's methods; those of others are not served here.
fn own_rules() -> impl Iterator<Item = (&'static str, authn::Rule)> {
    let own = |path: &str| {
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        service.is_some_and(|(service, _)| SERVICES.contains(&service))
    };
    proto::access::ACCESS.iter().copied().filter(move |(path, _)| own(path))
}

fn verifier(config: &TrustConfig, clock: Clock) -> Result<Verifier, Failure> {
    let trust = match &config.keys {
        KeySource::File(path) => Trust::fixed(vec![PublicKey::from_pem(&read(path)?)?]),
        KeySource::Jwks { config, ca_file, .. } => Trust::follow_jwks(jwks(config, ca_file.as_deref())?)?,
        KeySource::Stream(source) => Trust::follow_stream_by(stream(source)?, clock.clone())?,
        KeySource::Shared(trust) => trust.clone(),
    };
    Ok(Verifier::new(config.verifier.clone(), trust, clock))
}

fn jwks(config: &JwksConfig, ca_file: Option<&Path>) -> Result<JwksConfig, Failure> {
    Ok(JwksConfig { ca_pem: ca_file.map(read).transpose()?, ..config.clone() })
}

fn stream(source: &StreamSource) -> Result<StreamConfig, Failure> {
    let fallback = match source.fallback.as_ref() {
        KeySource::Jwks { config, ca_file, .. } => Some(jwks(config, ca_file.as_deref())?),
        KeySource::File(_) | KeySource::Stream(_) | KeySource::Shared(_) => None,
    };
    Ok(StreamConfig {
        ca_pem: source.ca_file.as_deref().map(read).transpose()?,
        fallback,
        snapshot_file: source.snapshot_file.clone(),
        ..StreamConfig::new(source.url.as_str(), StreamCredential::new(source.credential.expose())?)
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()).into())
}

fn token_keys(config: &PageTokenConfig, data_dir: &Path) -> Result<TokenKeys, Failure> {
    let secret = match &config.secret {
        Some(secret) => secret.clone(),
        None => page_token_secret(data_dir)?,
    };
    let before = config.previous_secret.as_ref().map(|secret| secret.expose().as_bytes());
    Ok(TokenKeys::new(secret.expose().as_bytes(), before))
}

fn store_check(repository: &NoteRepository) -> Check {
    let repository = repository.clone();
    let probe = move || {
        let repository = repository.clone();
        let answers: futures_util::future::BoxFuture<'static, bool> =
            Box::pin(async move { repository.is_ready(STORE_ANSWERS_WITHIN).await });
        answers
    };
    Check { name: "store", probe: Box::new(probe) }
}

/// Ready once the keys of the issuer have come, though it may be away again by then.
fn keys_check(verifier: &Verifier) -> Check {
    let verifier = verifier.clone();
    Check { name: "keys", probe: Box::new(move || Box::pin(std::future::ready(verifier.is_ready()))) }
}
