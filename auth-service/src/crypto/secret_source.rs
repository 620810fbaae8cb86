use std::io;
use std::path::PathBuf;

use aws_lc_rs::rand::{self, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::config::Secret;
use runtime::kept_secret;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::refresh_secret::NoRandomness;

/// Where a secret of the server comes from that is never in the database.
#[derive(Clone, Debug)]
pub(crate) enum SecretSource {
    /// The operator has given it.
    Given(Secret),
    /// It is kept in this file, and made at the first start.
    Kept(PathBuf),
}

impl SecretSource {
    /// The secret; a kept one that is missing is made.
    ///
    /// # Errors
    /// If its file cannot be read, written, or is open to others.
    pub(super) async fn read_or_make(self) -> io::Result<Zeroizing<String>> {
        match self {
            Self::Given(secret) => Ok(Zeroizing::new(secret.expose().to_owned())),
            Self::Kept(path) => spawn_blocking(move || kept_secret::read_or_keep(&path, make)).await?,
        }
    }

    /// The secret. Blocks.
    ///
    /// # Errors
    /// If its file is missing, cannot be read, or is open to others.
    pub(super) fn read(&self) -> io::Result<Zeroizing<String>> {
        match self {
            Self::Given(secret) => Ok(Zeroizing::new(secret.expose().to_owned())),
            Self::Kept(path) => kept_secret::read(path),
        }
    }
}

/// A new secret as text.
fn make() -> io::Result<Zeroizing<String>> {
    let secret = rand::generate::<[u8; 32]>(&SystemRandom::new()).map_err(|_| io::Error::other(NoRandomness))?;
    let secret = Zeroizing::new(secret.expose());
    Ok(Zeroizing::new(format!("{}\n", URL_SAFE_NO_PAD.encode(secret.as_slice()))))
}
