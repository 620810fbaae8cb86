use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::config::Secret;

/// Longest secret that is read, in bytes.
const LONGEST: u64 = 64 * 1024;
/// What group and others may do.
const GROUP_AND_OTHERS: u32 = 0o077;

/// The secret of page tokens in the data folder; made, for its owner alone, if there is none. Blocks.
///
/// # Errors
/// If it is open to others, or cannot be read or made.
pub fn page_token_secret(data_dir: &Path) -> io::Result<Secret> {
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let path = data_dir.join("page-token-secret");
    match File::open(&path) {
        Ok(file) => read(file, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path),
        Err(error) => Err(error),
    }
}

fn read(file: File, path: &Path) -> io::Result<Secret> {
    let mode = file.metadata()?.permissions().mode();
    if mode & GROUP_AND_OTHERS != 0 {
        let why = format!("{} is open to others (mode {:03o}): make it 600", path.display(), mode & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut secret = String::new();
    file.take(LONGEST).read_to_string(&mut secret)?;
    Ok(Secret::new(secret))
}

/// Writes beside the final place first, so that a crash leaves no half of a secret behind.
fn make(path: &Path) -> io::Result<Secret> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| io::Error::other("the system has no random bytes"))?;
    let secret = URL_SAFE_NO_PAD.encode(random);
    let unfinished = path.with_extension("new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    Ok(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("deep/data");
        let made = page_token_secret(&data).expect("made");
        assert!(made.expose().len() >= 32);
        assert_eq!(page_token_secret(&data).expect("read").expose(), made.expose());
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&data), mode(&data.join("page-token-secret"))), (0o700, 0o600));
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        page_token_secret(folder.path()).expect("made");
        let path = folder.path().join("page-token-secret");
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
            let refused = page_token_secret(folder.path()).expect_err("open to others");
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{mode:o}");
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("ours");
        page_token_secret(folder.path()).expect("private enough");
    }
}
