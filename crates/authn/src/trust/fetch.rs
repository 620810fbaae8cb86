//! One fetch of a key set, within its bounds.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, StatusCode, Url};
use tracing::warn;

use super::jwk;
use super::{JwksConfig, PublicKey, TrustError};

/// Longest key set, in bytes.
const MAX_SET_BYTES: usize = 64 * 1024;

/// Fetches from one address and from nowhere else: redirects are not followed, proxies of the environment not used.
pub(super) struct Fetcher {
    client: Client,
    url: Url,
}

impl Fetcher {
    pub(super) fn new(config: &JwksConfig) -> Result<Self, TrustError> {
        let url = Url::parse(&config.url).map_err(|_| TrustError::Setting("the URL of the key set is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TrustError::Setting("the URL of the key set has a user name or password in it"));
        }
        let mut client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(config.timeout)
            .pool_max_idle_per_host(0); // the next fetch is minutes away
        match (url.scheme(), &config.ca_pem) {
            ("https", None) => {}
            ("https", Some(pem)) => {
                let authorities = Certificate::from_pem_bundle(pem).map_err(TrustError::Client)?;
                if authorities.is_empty() {
                    return Err(TrustError::Setting("the CA certificates of the key set are no PEM certificates"));
                }
                client = client.tls_certs_only(authorities).https_only(true);
            }
            ("http", None) => {
                if !is_loopback(&url) {
                    warn!("the key set is fetched without TLS: whoever is on the way can replace the keys");
                }
                // Without this, a machine that has no CA certificates could not make a client, needing none.
                client = client.tls_certs_only([]);
            }
            ("http", Some(_)) => {
                return Err(TrustError::Setting("CA certificates are for https, the URL of the key set is http"));
            }
            _ => return Err(TrustError::Setting("the URL of the key set is neither https nor http")),
        }
        Ok(Self { client: client.build().map_err(TrustError::Client)?, url })
    }

    pub(super) async fn fetch(&self) -> Result<Vec<PublicKey>, TrustError> {
        let failed = |error: reqwest::Error| TrustError::Fetch(error.without_url());
        let request = self.client.get(self.url.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
        let mut response = request.send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(TrustError::Answer(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_SET_BYTES {
                return Err(TrustError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        jwk::read_set(&body)
    }
}

fn is_loopback(url: &Url) -> bool {
    use std::net::IpAddr;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The innermost reason, which says what the others only wrap.
pub(super) fn root_cause(error: &TrustError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.source().is_some() { format!("{error}: {cause}") } else { error.to_string() }
}

/// Longest time that one fetch may be given.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(3);
