//! A server of the trust stream that does what it is told to, as no good one would.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use authn::testing::TestIssuer;
use authn::{StreamConfig, StreamCredential};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::auth::internal::v1::signing_key::State;
use proto::auth::internal::v1::trust_service_server::{TrustService, TrustServiceServer};
use proto::auth::internal::v1::watch_trust_response::Event;
use proto::auth::internal::v1::{
    Delta, Heartbeat, Revocation, SigningKey, Snapshot, WatchTrustRequest, WatchTrustResponse,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// What the server demands.
pub(crate) const CREDENTIAL: &str = "a-credential-of-tests-and-nobody-else";

#[derive(Clone)]
pub(crate) struct TrustServer {
    url: String,
    state: Arc<watch::Sender<Shown>>,
}

/// What the server has, and how it behaves.
#[derive(Clone)]
struct Shown {
    keys: Vec<SigningKey>,
    keys_changed_at: usize,
    revocations: Vec<Revocation>,
    /// A cursor is `epoch.position`.
    epoch: u64,
    is_paused: bool,
    breaks_off: bool,
}

impl TrustServer {
    pub(crate) async fn start(issuer: &TestIssuer) -> Self {
        Self::listen(issuer, None).await
    }

    /// A server with a certificate, and the PEM of the authority that it is of.
    pub(crate) async fn start_with_tls(issuer: &TestIssuer) -> (Self, Vec<u8>) {
        let mut authority = CertificateParams::new([]).expect("parameters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signed");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        let leaf = leaf.signed_by(&key, &authority).expect("signed");
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        let server = Self::listen(issuer, Some(TlsAcceptor::from(Arc::new(config)))).await;
        (server, authority.pem().into_bytes())
    }

    async fn listen(issuer: &TestIssuer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let shown = Shown {
            keys: vec![signing_key(issuer)],
            keys_changed_at: 0,
            revocations: Vec::new(),
            epoch: 1,
            is_paused: false,
            breaks_off: false,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Self { url: format!("{scheme}://localhost:{port}"), state: Arc::new(watch::Sender::new(shown)) };
        let service = TrustServiceServer::new(server.clone());
        match tls {
            None => {
                let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
                tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
            }
            Some(tls) => {
                let (accepted, incoming) = mpsc::channel(1);
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        // A client that does not trust us goes without asking.
                        let Ok(mut outside) = tls.accept(stream).await else { continue };
                        let (mut inside, plain) = tokio::io::duplex(1 << 16);
                        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut outside, &mut inside).await });
                        let _ = accepted.send(Ok::<_, std::io::Error>(plain)).await;
                    }
                });
                let incoming = ReceiverStream::new(incoming);
                tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
            }
        }
        server
    }

    pub(crate) fn config(&self) -> StreamConfig {
        StreamConfig::new(self.url.as_str(), StreamCredential::new(CREDENTIAL).expect("visible ASCII"))
    }

    pub(crate) fn revoke(&self, revocation: Revocation) {
        self.state.send_modify(|shown| shown.revocations.push(revocation));
    }

    pub(crate) fn replace_revocations(&self, revocations: Vec<Revocation>) {
        self.state.send_modify(|shown| shown.revocations = revocations);
    }

    pub(crate) fn add_key(&self, issuer: &TestIssuer) {
        self.state.send_modify(|shown| {
            shown.keys.push(signing_key(issuer));
            shown.keys_changed_at += 1;
        });
    }

    /// Changes the state of a key to revoked.
    pub(crate) fn revoke_key(&self, id: &str) {
        self.state.send_modify(|shown| {
            let key = shown.keys.iter_mut().find(|key| key.kid == id).expect("a known key");
            *key = SigningKey { kid: id.to_owned(), state: State::Revoked.into(), ..SigningKey::default() };
            shown.keys_changed_at += 1;
        });
    }

    /// Cuts every stream and refuses new ones.
    pub(crate) fn pause(&self) {
        self.state.send_modify(|shown| shown.is_paused = true);
    }

    pub(crate) fn resume(&self) {
        self.state.send_modify(|shown| shown.is_paused = false);
    }

    /// Knows none of the cursors any more that it has given.
    pub(crate) fn forget_cursors(&self) {
        self.state.send_modify(|shown| shown.epoch += 1);
    }

    /// Whether a stream ends in the middle of its snapshot.
    pub(crate) fn break_snapshots_off(&self, breaks_off: bool) {
        self.state.send_modify(|shown| shown.breaks_off = breaks_off);
    }
}

#[tonic::async_trait]
impl TrustService for TrustServer {
    type WatchTrustStream = Pin<Box<dyn Stream<Item = Result<WatchTrustResponse, Status>> + Send>>;

    async fn watch_trust(
        &self,
        request: Request<WatchTrustRequest>,
    ) -> Result<Response<Self::WatchTrustStream>, Status> {
        let authorization = request.metadata().get("authorization").expect("a credential").to_str().expect("ASCII");
        if authorization != format!("Bearer {CREDENTIAL}") {
            return Err(Status::unauthenticated("another credential"));
        }
        let cursor = request.into_inner().resume_cursor;
        let mut state = self.state.subscribe();
        if state.borrow_and_update().is_paused {
            return Err(Status::unavailable("paused"));
        }
        let (messages, stream) = mpsc::channel(16);
        tokio::spawn(async move { tell(&mut state, &cursor, &messages).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream).map(Ok))))
    }
}

/// Tells one verifier until it goes or the server is paused.
async fn tell(
    state: &mut watch::Receiver<Shown>,
    cursor: &str,
    messages: &mpsc::Sender<WatchTrustResponse>,
) -> Option<()> {
    let shown = state.borrow().clone();
    let told = cursor.split_once('.').filter(|(epoch, _)| *epoch == shown.epoch.to_string());
    let mut told: Option<usize> = told.and_then(|(_, position)| position.parse().ok());
    let mut keys_told_at = shown.keys_changed_at;
    let send = |shown: &Shown, event| {
        let cursor = format!("{}.{}", shown.epoch, shown.revocations.len());
        messages.send(WatchTrustResponse { cursor, age_micros: 0, event: Some(event) })
    };
    loop {
        let shown = state.borrow_and_update().clone();
        if shown.is_paused {
            return None;
        }
        let news = &shown.revocations[told.unwrap_or(0).min(shown.revocations.len())..];
        if told.is_none() {
            // In two parts, of which the first alone is nothing.
            let part = Snapshot { keys: shown.keys.clone(), ..Snapshot::default() };
            send(&shown, Event::Snapshot(part)).await.ok()?;
            if shown.breaks_off {
                return None;
            }
            let rest = Snapshot { revocations: news.to_vec(), complete: true, ..Snapshot::default() };
            send(&shown, Event::Snapshot(rest)).await.ok()?;
        } else if news.is_empty() && shown.keys_changed_at == keys_told_at {
            send(&shown, Event::Heartbeat(Heartbeat {})).await.ok()?;
        } else {
            let keys = if shown.keys_changed_at == keys_told_at { Vec::new() } else { shown.keys.clone() };
            send(&shown, Event::Delta(Delta { keys, revocations: news.to_vec() })).await.ok()?;
        }
        (told, keys_told_at) = (Some(shown.revocations.len()), shown.keys_changed_at);
        tokio::select! {
            changed = state.changed() => changed.ok()?,
            () = tokio::time::sleep(std::time::Duration::from_millis(500)) => {}
            () = messages.closed() => return None,
        }
    }
}

fn signing_key(issuer: &TestIssuer) -> SigningKey {
    let jwk = issuer.jwk();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("text")).expect("base64url");
    SigningKey {
        kid: issuer.key_id().to_owned(),
        state: State::Current.into(),
        modulus: number("n"),
        exponent: number("e"),
    }
}

/// Serves a key set over plain HTTP and returns its URL.
pub(crate) async fn serve_jwks(set: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/jwks.json", listener.local_addr().expect("bound"));
    let served = Arc::new(Mutex::new(set));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let set = served.lock().expect("not poisoned").clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{set}", set.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.read_u8().await;
            });
        }
    });
    url
}
