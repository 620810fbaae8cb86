use std::time::Duration;

/// Where a verifier's keys come from, and the snapshot in force. Cheap to clone; all clones see the same snapshot.
#[derive(Clone, Debug)]
pub struct Trust(());

/// A public RSA key with its key id.
#[derive(Clone, Debug)]
pub struct PublicKey(());

/// How a key set is fetched.
#[derive(Clone, Debug)]
pub struct JwksConfig {
    /// The URL of the key set; the only address that is ever asked.
    pub url: String,
    /// Least time between two fetches, at least 10 s.
    pub cooldown: Duration,
    /// How long a key set is used before it is fetched again.
    pub refresh_interval: Duration,
    /// Longest time for one fetch.
    pub timeout: Duration,
    /// PEM certificates to trust instead of the platform's, for `https`.
    pub ca_pem: Option<Vec<u8>>,
}

/// Why a key or key set was refused.
#[derive(Debug, thiserror::Error)]
#[error("TODO")]
pub struct TrustError;

impl PublicKey {
    /// Reads a public key from PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`); its key id is the RFC 7638 thumbprint.
    ///
    /// # Errors
    /// If it is no RSA key of 2,048 to 8,192 bits with an odd exponent above 1.
    pub fn from_pem(_pem: &[u8]) -> Result<Self, TrustError> {
        todo!()
    }

    /// The key id: the RFC 7638 SHA-256 thumbprint, or what its key set says.
    #[must_use]
    pub fn key_id(&self) -> &str {
        todo!()
    }
}

impl Trust {
    /// Trusts exactly these keys.
    #[must_use]
    pub fn fixed(_keys: Vec<PublicKey>) -> Self {
        todo!()
    }

    /// Follows the key set at a URL with a background task that ends with the last clone. Not ready until the first
    /// set has come; the last good set is kept whatever happens.
    ///
    /// # Errors
    /// If the configuration cannot work.
    pub fn follow_jwks(_config: JwksConfig) -> Result<Self, TrustError> {
        todo!()
    }

    /// Whether keys have come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        todo!()
    }
}
