use std::io;
use std::path::Path;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::config::Secret;
use runtime::kept_secret::{make_private_folder, read_or_keep};

/// The secret of page tokens in the data folder; made, for its owner alone, if there is none. Blocks.
///
/// # Errors
/// If it is open to others, or cannot be read or made.
pub fn page_token_secret(data_dir: &Path) -> io::Result<Secret> {
    make_private_folder(data_dir)?;
    read_or_keep(&data_dir.join("page-token-secret"), make).map(|secret| Secret::new((*secret).clone()))
}

fn make() -> io::Result<zeroize::Zeroizing<String>> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| io::Error::other("the system has no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(random).into())
}
