//! The server: every layer in its order, every limit in its place.

use std::future::Future;
use std::net::SocketAddr;

use authn::{AccessPolicy, Verifier};
use futures_util::future::BoxFuture;

use crate::config::Reader;

/// The limits of a listener and what it offers.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Longest request message, in bytes; also to be given to the generated servers.
    pub max_request_bytes: usize,
    // the rest is the runtime's
}

impl ServerConfig {
    /// Reads `listen`, `limits.*`, `tls.*`, `cors.*`, `reflection` and the rest.
    pub fn read(_reader: &mut Reader, _listen: &str, _max_request_bytes: usize) -> Self {
        todo!()
    }
}

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
}

/// A listener that is bound and not yet serving.
pub struct Server(());

impl Server {
    /// Binds the address; nothing is accepted before [`Server::serve`].
    ///
    /// # Errors
    /// If the address cannot be bound or the TLS files cannot be read.
    pub async fn bind(_config: ServerConfig, _services: Services) -> std::io::Result<Self> {
        todo!()
    }

    /// The bound address, with the port that the system chose for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Serves until `shutdown` resolves, then says not ready, stops accepting, and finishes running calls within the
    /// drain deadline.
    pub async fn serve(self, _shutdown: impl Future<Output = ()> + Send) {
        todo!()
    }
}

