//! Secrets that a service on an embedded store makes at its first start and keeps in its data folder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

/// No secret is longer, in bytes.
const MAX_BYTES: u64 = 64 * 1024;
/// What group and others may do.
const GROUP_AND_OTHERS: u32 = 0o077;

/// Makes a folder that only its owner may enter; one that is there stays as it is.
///
/// # Errors
/// If it cannot be made.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Reads the secret kept in a file, or makes one and keeps it there with mode 0600. Blocks.
///
/// # Errors
/// If the file is readable by others than its owner, cannot be read or written, or `make` fails.
pub fn read_or_keep(
    path: &Path,
    make: impl FnOnce() -> io::Result<Zeroizing<String>>,
) -> io::Result<Zeroizing<String>> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = make()?;
            keep(path, &secret)?;
            Ok(secret)
        }
        read => read,
    }
}

/// Reads the secret kept in a file. Blocks.
///
/// # Errors
/// If the file is not there, readable by others than its owner, or cannot be read.
pub fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & GROUP_AND_OTHERS != 0 {
        let why = format!("{} is open to others (mode {:03o}): make it 600", path.display(), mode & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut secret = Zeroizing::new(String::new());
    file.take(MAX_BYTES).read_to_string(&mut secret)?;
    Ok(secret)
}

/// Writes beside the final place first, so that a crash leaves no half of a secret behind.
fn keep(path: &Path, secret: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn made() -> io::Result<Zeroizing<String>> {
        Ok(Zeroizing::new("made once".to_owned()))
    }

    fn never() -> io::Result<Zeroizing<String>> {
        panic!("the kept secret is read")
    }

    #[test]
    fn a_secret_is_made_once_and_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("deep/data");
        make_private_folder(&data).expect("made");
        assert_eq!(data.metadata().expect("it is there").permissions().mode() & 0o777, 0o700);

        let path = data.join("secret.pem");
        assert_eq!(*read_or_keep(&path, made).expect("made"), "made once");
        assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(*read_or_keep(&path, never).expect("read"), "made once");
        assert_eq!(std::fs::read_dir(&data).expect("it is there").count(), 1, "nothing unfinished stays");
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        read_or_keep(&path, made).expect("made");
        for mode in [0o640, 0o604, 0o660, 0o777] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
            let refused = read_or_keep(&path, never).expect_err("open to others");
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{mode:o}");
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("ours");
        assert_eq!(*read_or_keep(&path, never).expect("private enough"), "made once");
    }

    #[test]
    fn what_a_crash_left_unfinished_is_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret.new"), "half of").expect("written");
        let path = folder.path().join("secret");
        assert_eq!(*read_or_keep(&path, made).expect("made"), "made once");
    }
}
