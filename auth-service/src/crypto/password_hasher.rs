use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::password_hash::{self, try_generate_salt};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::hashing_memory::{HashingMemory, Lanes};
use super::hashing_threads::{HashingThreads, Lost};
use crate::domain::{Password, PasswordHash, PresentedPassword};

/// Most memory for one hash, in KiB: the bound of the setting and of what a stored hash may ask for.
pub(crate) const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// Most passes for one hash, likewise.
pub(crate) const MAX_ITERATIONS: u32 = 16;

/// One lane: with more, one password would use several cores, and the permits would no longer bound the load.
const LANES: u32 = 1;
/// Never promise less, for a client that tries again at once gains nothing.
const LEAST_RETRY_DELAY: Duration = Duration::from_secs(1);

/// What a hash costs, and how many may be computed and wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashingSettings {
    /// Memory for one hash, in KiB.
    pub(crate) memory_kib: u32,
    /// Passes over the memory.
    pub(crate) iterations: u32,
    /// How many are computed at the same time.
    pub(crate) permits: usize,
    /// How many wait behind those.
    pub(crate) queue: usize,
}

/// Hashes and verifies passwords with Argon2id (RFC 9106) on threads of its own, at most `permits` at a time.
///
/// The permit belongs to the work: a caller that vanishes does not free it while the work goes on. Memory is
/// thereby at most `permits × memory_kib` under any flood (see [`HashingMemory`]), and whoever finds the queue full is
/// told so at once.
pub(crate) struct PasswordHasher {
    argon2: Argon2<'static>,
    dummy: PasswordHash,
    threads: HashingThreads,
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    memory: Arc<HashingMemory>,
    retry_delay: Duration,
}

/// What became of a presented password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// It is the one. If the stored hash was made with other parameters, this is its successor.
    Matches(Option<PasswordHash>),
    /// It is another.
    Differs,
    /// There is no hash to compare with.
    Absent,
    /// The stored hash is malformed, or asks for more than any hash of ours. It was not computed.
    Unusable,
}

/// Why a password was not looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// Too many others wait.
    #[error("the queue of passwords is full")]
    QueueFull {
        /// When a place should be free.
        retry_after: Duration,
    },
    /// The hash could not be computed.
    #[error("a password could not be hashed")]
    Failed(#[source] password_hash::Error),
    /// The work was lost.
    #[error("the hashing of a password did not end")]
    Lost(#[from] Lost),
    /// There are no threads to hash on.
    #[error("no threads could be started for hashing")]
    NoThreads(#[source] std::io::Error),
}

impl PasswordHasher {
    /// A hasher with these settings. Makes one hash, of a password that nobody has, to verify against when there is
    /// nothing else to verify against.
    ///
    /// # Errors
    /// If the parameters are out of Argon2's bounds, or the system has no threads left.
    pub(crate) async fn start(settings: HashingSettings) -> Result<Self, HashError> {
        let params = Params::new(settings.memory_kib, settings.iterations, LANES, None)
            .map_err(|error| HashError::Failed(error.into()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hasher = argon2.clone();
        let permits = settings.permits.max(1);
        let threads = HashingThreads::start(permits).map_err(HashError::NoThreads)?;
        let making = threads.run(move || {
            let begun = Instant::now();
            let nobodys = aws_lc_rs::rand::generate::<[u8; 32]>(&aws_lc_rs::rand::SystemRandom::new());
            let secret = nobodys.map_err(|_| HashError::Failed(password_hash::Error::Internal))?.expose();
            hash(&hasher, &mut Lanes::default(), &secret).map(|dummy| (dummy, begun.elapsed()))
        });
        let (dummy, cost) = making.await??;
        let rounds = u32::try_from(settings.queue / permits + 1).unwrap_or(u32::MAX);
        Ok(Self {
            argon2,
            dummy,
            threads,
            running: Arc::new(Semaphore::new(permits)),
            places: Arc::new(Semaphore::new(permits + settings.queue)),
            memory: Arc::default(),
            retry_delay: cost.saturating_mul(rounds).max(LEAST_RETRY_DELAY),
        })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// If the queue is full.
    pub(crate) async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let argon2 = self.argon2.clone();
        self.run(move |lanes| hash(&argon2, lanes, password.expose().as_bytes())).await?
    }

    /// Compares a presented password with a stored hash. Whatever is stored, the work is that of one verification
    /// with the present parameters; a stored hash with older ones costs what it costs.
    ///
    /// # Errors
    /// If the queue is full.
    pub(crate) async fn verify(
        &self,
        password: PresentedPassword,
        stored: Option<PasswordHash>,
    ) -> Result<Verification, HashError> {
        let argon2 = self.argon2.clone();
        let dummy = self.dummy.clone();
        self.run(move |lanes| {
            let presented = password.expose().as_bytes();
            match stored.as_ref().map(usable) {
                Some(Some(parsed)) => verify(&argon2, lanes, presented, &parsed),
                nothing_to_compare => {
                    let parsed = usable(&dummy).ok_or(HashError::Failed(password_hash::Error::Internal))?;
                    let _ = matches(lanes, presented, &parsed);
                    Ok(if nothing_to_compare.is_none() { Verification::Absent } else { Verification::Unusable })
                }
            }
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Lanes) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| HashError::QueueFull { retry_after: self.retry_delay })?;
        let permit = Arc::clone(&self.running).acquire_owned().await.expect("the semaphore is never closed");
        let memory = Arc::clone(&self.memory);
        let done = self.threads.run(move || {
            let _held_until_done = (place, permit);
            memory.lend(work)
        });
        Ok(done.await?)
    }
}

#[cfg(test)]
impl PasswordHasher {
    /// Takes every place that is free, until what is returned is dropped.
    pub(crate) fn take_places(&self) -> tokio::sync::OwnedSemaphorePermit {
        let free = u32::try_from(self.places.available_permits()).expect("few places");
        Arc::clone(&self.places).try_acquire_many_owned(free).expect("they are free")
    }
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PasswordHasher").field("params", self.argon2.params()).finish_non_exhaustive()
    }
}

fn hash(argon2: &Argon2<'_>, lanes: &mut Lanes, password: &[u8]) -> Result<PasswordHash, HashError> {
    let mut hash = || {
        let salt = try_generate_salt()?;
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        argon2.hash_password_into_with_memory(password, &salt, &mut output, lanes.blocks(argon2.params()))?;
        Ok(argon2::PasswordHash {
            algorithm: argon2::ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(argon2.params())?,
            salt: Some(Salt::new(&salt)?),
            hash: Some(Output::new(&output)?),
        })
    };
    hash().map(|hash| PasswordHash::from_phc(hash.to_string())).map_err(HashError::Failed)
}

fn verify(
    argon2: &Argon2<'_>,
    lanes: &mut Lanes,
    password: &[u8],
    stored: &argon2::PasswordHash,
) -> Result<Verification, HashError> {
    if !matches(lanes, password, stored) {
        return Ok(Verification::Differs);
    }
    let successor = is_outdated(argon2, stored).then(|| hash(argon2, lanes, password)).transpose()?;
    Ok(Verification::Matches(successor))
}

/// Whether the stored hash is that of the password. What cannot be computed matches nothing.
fn matches(lanes: &mut Lanes, password: &[u8], stored: &argon2::PasswordHash) -> bool {
    let mut computed = || {
        let params = Params::try_from(stored).ok()?;
        let version = stored.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let mut output = vec![0; stored.hash.as_ref()?.len()];
        let blocks = lanes.blocks(&params);
        let argon2 = Argon2::new(Algorithm::Argon2id, version, params.clone());
        argon2.hash_password_into_with_memory(password, stored.salt.as_ref()?, &mut output, blocks).ok()?;
        Output::new(&output).ok()
    };
    // Outputs are compared in constant time.
    computed().is_some_and(|computed| stored.hash == Some(computed))
}

/// The stored hash, if it is an Argon2id hash whose cost is within bounds. Nothing is computed here: a planted
/// `m=4194304` must not be able to take 4 GiB.
fn usable(stored: &PasswordHash) -> Option<argon2::PasswordHash> {
    let parsed = argon2::PasswordHash::new(stored.as_phc()).ok()?;
    let params = Params::try_from(&parsed).ok()?;
    let within_bounds = parsed.algorithm == argon2::ARGON2ID_IDENT
        && params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_ITERATIONS
        && params.p_cost() <= LANES
        && parsed.salt.is_some()
        && parsed.hash.as_ref().is_some_and(|output| output.len() >= 16);
    within_bounds.then_some(parsed)
}

fn is_outdated(argon2: &Argon2<'_>, stored: &argon2::PasswordHash) -> bool {
    Params::try_from(stored).map_or(true, |params| {
        let present = argon2.params();
        (params.m_cost(), params.t_cost(), params.p_cost()) != (present.m_cost(), present.t_cost(), present.p_cost())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::domain::PasswordRules;

    const SETTINGS: HashingSettings = HashingSettings { memory_kib: 64, iterations: 1, permits: 1, queue: 1 };

    fn chosen(text: &str) -> Password {
        Password::choose(text, &PasswordRules::new(8, &[]), None).expect("a good password")
    }

    fn presented(text: &str) -> PresentedPassword {
        PresentedPassword::parse(text).expect("a possible password")
    }

    async fn hasher(settings: HashingSettings) -> PasswordHasher {
        PasswordHasher::start(settings).await.expect("good settings")
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_and_no_other() {
        let hasher = hasher(SETTINGS).await;
        let stored = hasher.hash(chosen("a quiet teapot!")).await.expect("hashed");
        let verify = |text| hasher.verify(presented(text), Some(stored.clone()));
        assert_eq!(verify("a quiet teapot!").await.expect("verified"), Verification::Matches(None));
        assert_eq!(verify("A quiet teapot!").await.expect("verified"), Verification::Differs);
        assert_eq!(verify("a quiet teapot! ").await.expect("verified"), Verification::Differs);
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_a_salt_of_its_own_in_a_phc_string() {
        let settings = HashingSettings { memory_kib: 19_456, iterations: 2, ..SETTINGS };
        let hasher = hasher(settings).await;
        let one = hasher.hash(chosen("a quiet teapot!")).await.expect("hashed");
        let other = hasher.hash(chosen("a quiet teapot!")).await.expect("hashed");
        assert!(one.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.as_phc());
        assert_ne!(one, other);
        assert_eq!(hasher.dummy.as_phc().split('$').nth(3), one.as_phc().split('$').nth(3), "the same parameters");
    }

    #[tokio::test]
    async fn without_a_stored_hash_the_dummy_is_verified() {
        let hasher = hasher(SETTINGS).await;
        assert_eq!(hasher.verify(presented("whatever"), None).await.expect("verified"), Verification::Absent);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_gets_a_successor_when_its_password_is_known() {
        let old = hasher(SETTINGS).await;
        let new = hasher(HashingSettings { iterations: 2, ..SETTINGS }).await;
        let stored = old.hash(chosen("a quiet teapot!")).await.expect("hashed");
        let wrong = new.verify(presented("a loud teapot!"), Some(stored.clone())).await.expect("verified");
        assert_eq!(wrong, Verification::Differs);
        let right = new.verify(presented("a quiet teapot!"), Some(stored)).await.expect("verified");
        let Verification::Matches(Some(successor)) = right else { panic!("{right:?}") };
        assert!(successor.as_phc().contains("t=2"));
        let again = new.verify(presented("a quiet teapot!"), Some(successor)).await.expect("verified");
        assert_eq!(again, Verification::Matches(None));
    }

    #[tokio::test]
    async fn a_planted_hash_cannot_ask_for_more_than_the_bounds() {
        let hasher = hasher(SETTINGS).await;
        let tail = "$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
        for head in [
            "$argon2id$v=19$m=4194304,t=1,p=1",
            "$argon2id$v=19$m=4294967295,t=1,p=1",
            "$argon2id$v=19$m=64,t=1000000,p=1",
            "$argon2id$v=19$m=64000,t=1,p=4000",
            "$argon2i$v=19$m=64,t=1,p=1",
            "$argon2d$v=19$m=64,t=1,p=1",
        ] {
            let planted = PasswordHash::from_phc(format!("{head}{tail}"));
            let result = hasher.verify(presented("whatever"), Some(planted)).await.expect("looked at");
            assert_eq!(result, Verification::Unusable, "{head}");
        }
        for malformed in ["", "plain text", "$argon2id$v=19$m=64,t=1,p=1", "$2b$12$abcdefghijklmnopqrstuu"] {
            let planted = PasswordHash::from_phc(malformed.to_owned());
            let result = hasher.verify(presented("whatever"), Some(planted)).await.expect("looked at");
            assert_eq!(result, Verification::Unusable, "{malformed}");
        }
        let within = PasswordHash::from_phc(format!("$argon2id$v=19$m=64,t=1,p=1{tail}"));
        let result = hasher.verify(presented("whatever"), Some(within)).await.expect("looked at");
        assert_eq!(result, Verification::Differs, "the allowed twin");
    }

    #[tokio::test]
    async fn a_full_queue_answers_at_once_and_a_vanished_caller_frees_no_permit() {
        let hasher = Arc::new(hasher(SETTINGS).await);
        let (release, blocked) = mpsc::channel::<()>();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let running = tokio::spawn({
            let hasher = Arc::clone(&hasher);
            async move {
                let work = move |_: &mut Lanes| {
                    let _ = started.send(());
                    blocked.recv().expect("the test releases it");
                };
                hasher.run(work).await
            }
        });
        has_started.await.expect("the permit is taken");
        running.abort();
        assert!(running.await.expect_err("the caller has vanished").is_cancelled());

        let mut waiting = Box::pin(hasher.hash(chosen("a quiet teapot!")));
        assert!(futures_util::poll!(&mut waiting).is_pending(), "the work still holds its permit");
        let refused = hasher.hash(chosen("a quiet teapot!")).await;
        let Err(HashError::QueueFull { retry_after }) = refused else { panic!("{refused:?}") };
        assert!(retry_after >= LEAST_RETRY_DELAY);
        let nobodys = hasher.verify(presented("whatever"), None).await;
        assert!(matches!(nobodys, Err(HashError::QueueFull { .. })), "the dummy waits in the same queue");

        release.send(()).expect("the work waits");
        waiting.await.expect("its turn has come");
        hasher.hash(chosen("a quiet teapot!")).await.expect("the queue is empty again");
    }
}
