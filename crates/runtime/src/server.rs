//! The server: every layer in its order, every limit in its place.

mod account;
mod browser;
mod call;
mod config;
mod connection;
mod deadline;
mod health;
mod listener;
mod metrics;
mod operations;
mod request_body;
mod stack;
mod stall;
mod tls;
mod translate;
mod trust_metrics;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use authn::{AccessPolicy, AuthLayer, ServiceCredentials, Verifier};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use self::config::{Limits, ServerConfig};
use self::health::Health;
use self::listener::Listener;
use self::metrics::Metrics;
use self::operations::Operations;
use self::stack::Stack;

/// What the operations listener may still take when the calls have drained.
const LAST_PROBES: Duration = Duration::from_secs(1);

/// The address of the peer of the connection that a call came on; in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// A probe that runs in the background; the service is ready while all say yes.
pub struct Check {
    /// What is checked, for the log.
    pub name: &'static str,
    /// Whether it is good now.
    pub probe: Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

/// What a listener serves.
pub struct Services {
    /// The name of the service in logs and in `ErrorInfo.domain`.
    pub domain: &'static str,
    /// The generated gRPC servers.
    pub grpc: tonic::service::Routes,
    /// Full names of the gRPC services served, for health and reflection.
    pub names: Vec<&'static str>,
    /// Plain HTTP beside gRPC (`/.well-known/…`): served to GET and HEAD without a token.
    pub http: axum::Router,
    /// Who may call what; health and reflection are added by the server.
    pub policy: AccessPolicy,
    /// Verifies the tokens.
    pub verifier: Verifier,
    /// What must be good for the services to be ready.
    pub checks: Vec<Check>,
    /// How many statements the store was given, for `/metrics`.
    pub statements: Option<Count>,
}

/// Tells a number that only grows.
pub type Count = Box<dyn Fn() -> u64 + Send + Sync>;

/// What the internal listener serves: gRPC for other services of the same operator, and nothing else.
pub struct InternalServices {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The generated gRPC servers.
    pub grpc: tonic::service::Routes,
    /// Who may call what.
    pub policy: AccessPolicy,
    /// What callers must show.
    pub credentials: ServiceCredentials,
}

/// A service that is bound to its addresses and not yet serving.
pub struct Server {
    config: ServerConfig,
    domain: &'static str,
    verifier: Verifier,
    calls: Listener,
    internal: Option<(Listener, Arc<Stack>)>,
    operations: Listener,
    stack: Arc<Stack>,
    metrics: Arc<Metrics>,
    health: Health,
    draining: CancellationToken,
}

impl Server {
    /// Binds the addresses; nothing is accepted before [`Server::serve`].
    ///
    /// # Errors
    /// If an address cannot be bound or the TLS files cannot be read.
    pub async fn bind(config: ServerConfig, services: Services) -> io::Result<Self> {
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let calls = Listener::bind(config.listen, tls, &config.limits).await?;
        let operations = Listener::bind(config.operations, None, &config.limits.of_operations()).await?;
        let draining = CancellationToken::new();
        let metrics = Arc::new(Metrics::new(services.domain, services.verifier.clone(), services.statements));
        let (health, health_server) = Health::new(&services.names, services.checks);
        let mut policy = services.policy.with_public_service(health::SERVICE);
        let mut grpc = services.grpc.add_service(health_server);
        if config.reflection {
            policy = health::REFLECTION.into_iter().fold(policy, AccessPolicy::with_public_service);
            grpc = health::with_reflection(grpc, &services.names);
        }
        let stack = Stack::assemble(stack::Parts {
            domain: services.domain,
            grpc,
            http: services.http,
            access: AuthLayer::new(policy, services.verifier.clone(), services.domain),
            metrics: Arc::clone(&metrics),
            draining: draining.clone(),
            config: &config,
        });
        let (domain, verifier, stack) = (services.domain, services.verifier, Arc::new(stack));
        Ok(Self { config, domain, verifier, calls, internal: None, operations, stack, metrics, health, draining })
    }

    /// Serves `internal` on a listener of its own, with the certificate of the first (and without its demand for one of
    /// the client's) and limits of its own. Neither listener serves what the other does.
    ///
    /// # Errors
    /// If the address cannot be bound or the TLS files cannot be read.
    pub async fn with_internal(mut self, internal: InternalServices) -> io::Result<Self> {
        let tls = self.config.tls.as_ref().map(|tls| tls::acceptor(&tls.for_any_client())).transpose()?;
        let listener = Listener::bind(internal.listen, tls, &self.config.limits).await?;
        let access = AuthLayer::new(internal.policy, self.verifier.clone(), self.domain);
        let stack = Stack::assemble(stack::Parts {
            domain: self.domain,
            grpc: internal.grpc,
            http: axum::Router::new(),
            access: access.accepting(internal.credentials),
            metrics: Arc::clone(&self.metrics),
            draining: self.draining.clone(),
            config: &self.config,
        });
        self.internal = Some((listener, Arc::new(stack)));
        Ok(self)
    }

    /// The bound address for calls, with the port that the system chose for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.calls.local_addr()
    }

    /// The bound address of `/livez`, `/readyz` and `/metrics`.
    #[must_use]
    pub fn operations_addr(&self) -> SocketAddr {
        self.operations.local_addr()
    }

    /// The bound address for other services, if there is one.
    #[must_use]
    pub fn internal_addr(&self) -> Option<SocketAddr> {
        self.internal.as_ref().map(|(listener, _)| listener.local_addr())
    }

    /// Serves until `shutdown` resolves, then says not ready, stops accepting, and finishes running calls within the
    /// drain deadline. Open streams are told and end at once.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { config, calls, internal, operations, stack, metrics, health, draining, .. } = self;
        let closing = CancellationToken::new();
        health.begin().await;
        let checks = tokio::spawn(health.clone().watch());
        let operations = tokio::spawn(operations.serve(
            Arc::new(Operations::new(health.clone(), Arc::clone(&metrics))),
            Arc::clone(&metrics),
            closing.clone(),
            config.limits.drain_deadline.min(LAST_PROBES),
        ));
        let serve = |listener: Listener, stack| {
            let (metrics, draining) = (Arc::clone(&metrics), draining.clone());
            tokio::spawn(listener.serve(stack, metrics, draining, config.limits.drain_deadline))
        };
        let calls = serve(calls, stack);
        let internal = internal.map(|(listener, stack)| serve(listener, stack));

        shutdown.await;
        tracing::info!("draining");
        checks.abort();
        // Else a look that began before could say ready once more.
        checks.await.ok();
        health.stop().await;
        tokio::time::sleep(config.limits.drain_delay).await;
        draining.cancel();
        for listener in [Some(calls), internal].into_iter().flatten() {
            if listener.await.is_err() {
                tracing::error!("a listener ended by a panic");
            }
        }
        closing.cancel();
        operations.await.ok();
        tracing::info!("drained");
    }
}
