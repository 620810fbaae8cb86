//! A server of key sets that counts who asks, and answers as badly as it is told to.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use authn::Clock;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// 200 with this body.
    Set(String),
    /// This status line and these headers, and a body that is a good key set.
    Status(&'static str, String),
    /// 200, and a body that never ends.
    Endless,
    /// 200, and a body that announces its length of 1,000 bytes and stops after one.
    Stuck,
    /// Nothing.
    Silence,
    /// The connection is closed.
    Close,
}

pub(crate) struct KeyServer {
    address: String,
    answer: Arc<Mutex<Answer>>,
    requests: watch::Receiver<Vec<SystemTime>>,
    hung_up: watch::Receiver<usize>,
}

/// A certificate for `localhost`, and the authority that signed it.
pub(crate) struct Certificate {
    pub(crate) authority_pem: String,
    acceptor: TlsAcceptor,
}

impl Certificate {
    pub(crate) fn for_name(name: &str) -> Self {
        let mut authority = CertificateParams::new([]).expect("parameters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signed");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new([name.to_owned()]).expect("parameters");
        let leaf = leaf.signed_by(&key, &authority).expect("signed");
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .expect("a certificate");
        Self { authority_pem: authority.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

impl KeyServer {
    /// Starts a server that notes the time of each request by `clock`.
    pub(crate) async fn start(clock: Clock, answer: Answer) -> Self {
        Self::listen(clock, answer, None).await
    }

    pub(crate) async fn start_with_tls(clock: Clock, answer: Answer, certificate: &Certificate) -> Self {
        Self::listen(clock, answer, Some(certificate.acceptor.clone())).await
    }

    async fn listen(clock: Clock, answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (hang_up, hung_up) = watch::channel(0);
        let (request, requests) = watch::channel(Vec::new());
        let server = Self {
            address: format!("{scheme}://localhost:{port}"),
            answer: Arc::new(Mutex::new(answer)),
            requests,
            hung_up,
        };
        let answer = Arc::clone(&server.answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, clock, tls) = (Arc::clone(&answer), clock.clone(), tls.clone());
                let (request, hang_up) = (request.clone(), hang_up.clone());
                tokio::spawn(async move {
                    serve(stream, tls, || {
                        request.send_modify(|requests| requests.push(clock.now()));
                        answer.lock().expect("not poisoned").clone()
                    })
                    .await;
                    hang_up.send_modify(|count| *count += 1);
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/.well-known/jwks.json", self.address)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock().expect("not poisoned") = answer;
    }

    /// When each request came.
    pub(crate) fn requests(&self) -> Vec<SystemTime> {
        self.requests.borrow().clone()
    }

    /// Waits until somebody has asked.
    pub(crate) async fn client_asked(&mut self) {
        self.requests.wait_for(|requests| !requests.is_empty()).await.expect("the server lives");
    }

    /// Waits until a client that was left without an answer has gone.
    pub(crate) async fn client_hung_up(&mut self) {
        self.hung_up.wait_for(|count| *count > 0).await.expect("the server lives");
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, answer: impl FnOnce() -> Answer) {
    match tls {
        None => answer_on(stream, answer).await,
        Some(tls) => {
            // A client that does not trust us goes without asking.
            if let Ok(stream) = tls.accept(stream).await {
                answer_on(stream, answer).await;
            }
        }
    }
}

async fn answer_on(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: impl FnOnce() -> Answer) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let with_length = |status: &str, headers: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
    };
    let text = match answer() {
        Answer::Set(body) => with_length("200 OK", "content-type: application/jwk-set+json\r\n", &body),
        Answer::Status(status, headers) => {
            let issuer = authn::testing::TestIssuer::new("", "");
            with_length(status, &headers, &issuer.with_another_key().jwks())
        }
        Answer::Endless => {
            let chunk = format!("8000\r\n{}\r\n", " ".repeat(0x8000));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            return;
        }
        Answer::Stuck => "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{".to_owned(),
        Answer::Silence => String::new(),
        Answer::Close => return,
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.read_u8().await; // until the client goes
}
