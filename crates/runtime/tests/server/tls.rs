//! TLS: what is agreed upon, how long it may take, and who may connect.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Version;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::toy::{ECHO, Toy, within};
use crate::wire::{Connection, await_end, echo, get};

const NAME: &str = "toy.example";
const HANDSHAKE: (&str, &str) = ("LIMITS_HANDSHAKE_DEADLINE", "200ms");

/// An authority, and the files that it made for a server.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key.
struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        let authority = Self { issuer, folder: tempfile::tempdir().expect("a folder") };
        let server = authority.identity(ExtendedKeyUsagePurpose::ServerAuth);
        authority.write("certificate.pem", &server.certificate.pem());
        authority.write("key.pem", &server.key.serialize_pem());
        authority.write("clients.pem", &authority.issuer.pem());
        authority
    }

    fn identity(&self, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new([NAME.to_owned()]).expect("a name");
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key");
        Identity { certificate: params.signed_by(&key, &self.issuer).expect("signed"), key }
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("text").to_owned()
    }

    async fn toy(&self, more: &[(&str, &str)]) -> Toy {
        let (certificate, key) = (self.path("certificate.pem"), self.path("key.pem"));
        let mut settings = vec![("TLS_CERTIFICATE_FILE", certificate.as_str()), ("TLS_PRIVATE_KEY_FILE", &key)];
        settings.extend_from_slice(more);
        Toy::start(&settings).await
    }

    /// Connects as a client that trusts this authority.
    async fn connect(
        &self,
        toy: &Toy,
        alpn: &[&[u8]],
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
                builder.with_client_auth_cert(vec![certificate.der().clone()], key).expect("a pair")
            }
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(toy.address).await?;
        let name = ServerName::try_from(NAME).expect("a name");
        within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }
}

#[tokio::test]
async fn http2_and_http1_are_agreed_upon_by_both_versions_of_tls() {
    let authority = Authority::new();
    let toy = authority.toy(&[]).await;
    for version in [&TLS12, &TLS13] {
        for (offered, agreed) in [
            (&[b"h2".as_slice(), b"http/1.1"][..], Some(b"h2".as_slice())),
            (&[b"http/1.1", b"h2"], Some(b"h2")),
            (&[b"http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ] {
            let mut stream = authority.connect(&toy, offered, &[version], None).await.expect("a handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            if agreed == Some(b"h2") {
                Connection::over(stream).await.call(ECHO, &echo("")).await.note();
            } else {
                let answer = speak_http1(&mut stream).await.expect("an answer");
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
        }
        let refused = authority.connect(&toy, &[b"spdy/1"], &[version], None).await;
        assert!(refused.is_err(), "nothing in common");
    }
}

async fn speak_http1(stream: &mut TlsStream<TcpStream>) -> io::Result<String> {
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: toy.example\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_handshake_must_be_made_in_time_and_words_must_follow_it() {
    let authority = Authority::new();
    let toy = authority.toy(&[HANDSHAKE]).await;
    // A record of 512 bytes that begins a ClientHello and does not end.
    for said in [b"".as_slice(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(toy.address).await.expect("the toy listens");
        stream.write_all(said).await.expect("sent");
        assert!(await_end(&mut stream, begun).await >= Duration::from_millis(190), "{}", said.escape_ascii());
    }
    let mut silent = authority.connect(&toy, &[b"h2"], &[&TLS13], None).await.expect("a handshake");
    await_end(&mut silent, Instant::now()).await;
    let quiet = authority.connect(&toy, &[b"h2"], &[&TLS13], None).await.expect("a handshake");
    Connection::over(quiet).await.call(ECHO, &echo("twin")).await.note();
}

#[tokio::test]
async fn plain_text_is_not_answered_where_tls_is_spoken_and_the_private_listener_speaks_it() {
    let authority = Authority::new();
    let toy = authority.toy(&[]).await;
    let mut stream = TcpStream::connect(toy.address).await.expect("the toy listens");
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: toy.example\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.ok();
    assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
    assert_eq!(get(toy.operations, Version::HTTP_11, "/livez").await.status, 200);
}

#[tokio::test]
async fn with_an_authority_for_clients_only_its_own_are_let_in() {
    let (authority, other) = (Authority::new(), Authority::new());
    let clients = authority.path("clients.pem");
    let toy = authority.toy(&[("TLS_CLIENT_CA_FILE", &clients)]).await;
    let friend = authority.identity(ExtendedKeyUsagePurpose::ClientAuth);
    let stranger = other.identity(ExtendedKeyUsagePurpose::ClientAuth);
    let server = authority.identity(ExtendedKeyUsagePurpose::ServerAuth);
    for version in [&TLS12, &TLS13] {
        for (who, identity, welcome) in [
            ("a client of the authority", Some(&friend), true),
            ("nobody", None, false),
            ("a client of another authority", Some(&stranger), false),
            ("a server of the authority", Some(&server), false),
        ] {
            // In TLS 1.3 a client learns of its refusal when it reads.
            let answer = match authority.connect(&toy, &[b"http/1.1"], &[version], identity).await {
                Ok(mut stream) => speak_http1(&mut stream).await,
                Err(error) => Err(error),
            };
            assert_eq!(answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")), welcome, "{who}, {version:?}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_is_not_made_does_not_delay_the_end() {
    let authority = Authority::new();
    let mut toy = authority.toy(&[]).await;
    let _silent = TcpStream::connect(toy.address).await.expect("the toy listens");
    let other = authority.connect(&toy, &[b"h2"], &[&TLS13], None).await.expect("a handshake");
    Connection::over(other).await.call(ECHO, &echo("")).await.note();
    toy.begin_stop();
    tokio::time::timeout(Duration::from_secs(3), toy.stopped()).await.expect("before the handshake deadline");
}

#[tokio::test]
async fn files_that_hold_no_certificate_or_key_are_named_at_the_start() {
    let authority = Authority::new();
    let certificate = authority.path("certificate.pem");
    let key = authority.path("key.pem");
    let clients = authority.path("clients.pem");
    authority.write("empty.pem", "");
    authority.write("another-key.pem", &KeyPair::generate().expect("a key").serialize_pem());
    let (empty, absent, another) =
        (authority.path("empty.pem"), authority.path("absent.pem"), authority.path("another-key.pem"));
    let open = authority.path("open.pem");
    std::fs::copy(&key, &open).expect("copied");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("ours");
    for (certificate, key, clients, named) in [
        (&certificate, &key, &clients, None),
        (&absent, &key, &clients, Some("absent.pem")),
        (&empty, &key, &clients, Some("empty.pem")),
        (&certificate, &absent, &clients, Some("absent.pem")),
        (&certificate, &empty, &clients, Some("empty.pem")),
        (&certificate, &key, &absent, Some("absent.pem")),
        (&certificate, &key, &empty, Some("empty.pem")),
        (&certificate, &another, &clients, Some("keys")),
        (&certificate, &open, &clients, Some("make it 600")),
    ] {
        let settings = [
            ("TLS_CERTIFICATE_FILE", certificate.as_str()),
            ("TLS_PRIVATE_KEY_FILE", key),
            ("TLS_CLIENT_CA_FILE", clients),
        ];
        match (crate::toy::bind(&settings).await, named) {
            (Ok(()), None) => {}
            (Err(error), Some(named)) => assert!(error.to_lowercase().contains(named), "{error}"),
            (bound, _) => panic!("{settings:?}: {bound:?}"),
        }
    }
}
