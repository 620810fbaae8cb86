//! The last good snapshot on disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use futures_util::FutureExt;
use prost::Message as _;
use proto::auth::internal::v1::WatchTrustResponse;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::warn;

/// What the file begins with; the SHA-256 of all that follows comes next.
const MAGIC: &[u8] = b"authn trust snapshot 1\n";
/// No file is longer, in bytes.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
/// How often changes are written at most.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// How often the file is written though nothing has changed but its age.
const LONGEST_INTERVAL: Duration = Duration::from_secs(30);
/// Writing takes no more than one part in so many of the time.
const SHARE_OF_TIME: u32 = 10;

/// The file and when it was written.
pub(super) struct Kept {
    path: PathBuf,
    has_changed: bool,
    written_at: Option<Instant>,
    writing: Option<JoinHandle<Duration>>,
    interval: Duration,
}

impl Kept {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, has_changed: false, written_at: None, writing: None, interval: LEAST_INTERVAL }
    }

    /// What was kept, and of what moment it is. Blocks.
    ///
    /// # Errors
    /// If it cannot be read, others than its owner can write it, or it is not what was written.
    pub(super) fn read(&self) -> io::Result<Option<(SystemTime, WatchTrustResponse)>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        check_private(&file)?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        decode(&bytes).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged"))
    }

    /// What is in force is not what is kept any more.
    pub(super) fn note_change(&mut self) {
        self.has_changed = true;
    }

    /// Writes what is in force in the background, if there is something to write and it is not too early.
    pub(super) fn keep_in_time(&mut self, snapshot: impl FnOnce() -> (SystemTime, WatchTrustResponse)) {
        if let Some(writing) = &self.writing {
            if !writing.is_finished() {
                return;
            }
            if let Some(took) = self.writing.take().and_then(FutureExt::now_or_never) {
                self.interval = (took.unwrap_or_default() * SHARE_OF_TIME).max(LEAST_INTERVAL);
            }
        }
        let interval = if self.has_changed { self.interval } else { LONGEST_INTERVAL.max(self.interval) };
        if self.written_at.is_some_and(|at| at.elapsed() < interval) {
            return;
        }
        let (as_of, message) = snapshot();
        let path = self.path.clone();
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            if let Err(error) = write(&path, &encode(as_of, &message)) {
                warn!(cause = %error, "the snapshot cannot be kept in {}", path.display());
            }
            begun.elapsed()
        }));
        (self.has_changed, self.written_at) = (false, Some(Instant::now()));
    }
}

fn encode(as_of: SystemTime, message: &WatchTrustResponse) -> Vec<u8> {
    let since = as_of.duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    let content = [micros.to_be_bytes().as_slice(), &message.encode_to_vec()].concat();
    [MAGIC, digest(&SHA256, &content).as_ref(), &content].concat()
}

fn decode(bytes: &[u8]) -> Option<(SystemTime, WatchTrustResponse)> {
    let (expected, content) = bytes.strip_prefix(MAGIC)?.split_at_checked(SHA256_OUTPUT_LEN)?;
    if digest(&SHA256, content).as_ref() != expected {
        return None;
    }
    let (micros, message) = content.split_first_chunk()?;
    let as_of = UNIX_EPOCH + Duration::from_micros(u64::from_be_bytes(*micros));
    Some((as_of, WatchTrustResponse::decode(message).ok()?))
}

/// Writes beside the final place first, so that a crash leaves the one or the other.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Whoever can write the keys of a verifier can make tokens for it.
#[cfg(unix)]
fn check_private(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o022 == 0 {
        return Ok(());
    }
    let why = format!("others than its owner can write it (mode {:03o}): make it 600", mode & 0o777);
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

#[cfg(not(unix))]
fn check_private(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> WatchTrustResponse {
        WatchTrustResponse { cursor: "here".to_owned(), ..Default::default() }
    }

    #[test]
    fn what_was_written_is_read_and_damage_is_noticed() {
        let at = UNIX_EPOCH + Duration::from_micros(1_800_000_000_123_456);
        let bytes = encode(at, &message());
        assert_eq!(decode(&bytes), Some((at, message())));
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert_eq!(decode(&damaged), None, "byte {place}");
            assert_eq!(decode(&bytes[..place]), None, "{place} bytes");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_alone_and_one_that_others_can_write_is_not_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("authn-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).expect("made");
        let kept = Kept::at(folder.join("trust"));
        assert!(kept.read().expect("nothing there").is_none());
        write(&kept.path, &encode(UNIX_EPOCH, &message())).expect("written");
        write(&kept.path, &encode(UNIX_EPOCH, &message())).expect("written over");
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&kept.path), 0o600);
        assert_eq!(kept.read().expect("private"), Some((UNIX_EPOCH, message())));

        std::fs::set_permissions(&kept.path, std::fs::Permissions::from_mode(0o620)).expect("ours");
        assert_eq!(kept.read().expect_err("open").kind(), io::ErrorKind::PermissionDenied);
        std::fs::remove_dir_all(folder).expect("ours");
    }
}
