//! The connection to the internal listener, with TLS by the authorities given and by no others.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Error};
use tracing::warn;

use super::StreamConfig;
use crate::trust::TrustError;

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const HTTPS_PORT: u16 = 443;

pub(super) struct Connector {
    endpoint: Endpoint,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    address: (String, u16),
}

impl Connector {
    pub(super) fn new(config: &StreamConfig) -> Result<Self, TrustError> {
        let uri: Uri =
            config.url.parse().map_err(|_| TrustError::Setting("the URL of the trust stream is not a URL"))?;
        let authority = uri.authority().ok_or(TrustError::Setting("the URL of the trust stream names no host"))?;
        if authority.as_str().contains('@') {
            return Err(TrustError::Setting("the URL of the trust stream has a user name or password in it"));
        }
        let host = authority.host().trim_matches(['[', ']']);
        let tls = match (uri.scheme_str(), &config.ca_pem) {
            (Some("https"), Some(pem)) => Some(Tls {
                connector: connector(pem)?,
                name: ServerName::try_from(host.to_owned())
                    .map_err(|_| TrustError::Setting("the host of the trust stream is no name and no address"))?,
                address: (host.to_owned(), authority.port_u16().unwrap_or(HTTPS_PORT)),
            }),
            (Some("https"), None) => {
                return Err(TrustError::Setting("a trust stream over https needs the certificates of its authority"));
            }
            (Some("http"), None) => {
                if !is_loopback(host) {
                    warn!("the trust stream has no TLS: whoever is on the way can replace the keys");
                }
                None
            }
            (Some("http"), Some(_)) => {
                return Err(TrustError::Setting("CA certificates are for https, the URL of the trust stream is http"));
            }
            _ => return Err(TrustError::Setting("the URL of the trust stream is neither https nor http")),
        };
        // tonic is built without TLS of its own, so to it this is plain.
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))
            .map_err(|_| TrustError::Setting("the URL of the trust stream is not a URL"))?
            .connect_timeout(CONNECT_WITHIN);
        Ok(Self { endpoint, tls })
    }

    pub(super) async fn connect(&self) -> Result<Channel, Error> {
        let Some(tls) = self.tls.clone() else { return self.endpoint.connect().await };
        let connect = tower::service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move {
                let stream = TcpStream::connect((tls.address.0.as_str(), tls.address.1)).await?;
                stream.set_nodelay(true)?;
                tls.connector.connect(tls.name, stream).await.map(TokioIo::new)
            }
        });
        self.endpoint.connect_with_connector(connect).await
    }
}

fn connector(pem: &[u8]) -> Result<TlsConnector, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| TrustError::Certificates)?;
        roots.add(certificate).map_err(|_| TrustError::Certificates)?;
    }
    if roots.is_empty() {
        return Err(TrustError::Certificates);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TrustError::Certificates)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn is_loopback(host: &str) -> bool {
    use std::net::IpAddr;
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
