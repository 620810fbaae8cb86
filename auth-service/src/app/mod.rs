//! What the service does, one file per use case. Each is a script: ask, decide in the domain, store, answer.

mod admit;
mod audit;
mod change_password;
mod clean_up;
mod delete_account;
mod forget_sessions;
mod login;
mod logout;
mod reauthenticate;
mod refresh;
mod register;
mod rotate_keys;
mod security_log;
mod sign_out;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod update_account;
mod verify_token;
mod watch_trust;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authn::{Clock, Verifier};
use zeroize::Zeroizing;

pub(crate) use self::admit::Caller;
pub(crate) use self::audit::{Audit, AuditSettings};
pub(crate) use self::login::LoginAttempt;
pub(crate) use self::register::NewAccount;
pub(crate) use self::rotate_keys::{KeyChangeError, KeyKeeper, SigningKeys};
pub(crate) use self::sign_out::SignOutScope;
pub(crate) use self::verify_token::ActiveToken;
pub(crate) use self::watch_trust::{TrustHub, TrustMessage, TrustNews, TrustPace, TrustWatch};
use crate::crypto::{HashError, KeyError, NoRandomness, PasswordHasher, RefreshSecret, SigningError, TokenSigner};
use crate::domain::{AccessGrant, Account, RefreshToken, SecurityEvent, Session, SessionLimits, TooFarBehind};
use crate::repository::{Repository, RepositoryError};

/// The use cases and what they need.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) clock: Clock,
    pub(crate) repository: Repository,
    pub(crate) hasher: PasswordHasher,
    pub(crate) signer: TokenSigner,
    pub(crate) keys: SigningKeys,
    pub(crate) refresh_secret: RefreshSecret,
    pub(crate) verifier: Verifier,
    pub(crate) trust: Arc<TrustHub>,
    pub(crate) limits: Limits,
    pub(crate) audit: Audit,
}

/// How long what is issued lives, and how much of it there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// An access token.
    pub(crate) access_token_ttl: Duration,
    /// A session.
    pub(crate) session: SessionLimits,
    /// Most sessions of one account that go on at the same time.
    pub(crate) sessions_per_account: u64,
    /// How long a session is kept after its end.
    pub(crate) session_retention: Duration,
}

/// An access token and the refresh token that follows it.
pub(crate) struct Tokens {
    /// The access token.
    pub(crate) access: Zeroizing<String>,
    /// When it expires.
    pub(crate) access_expires_at: SystemTime,
    /// The refresh token.
    pub(crate) refresh: RefreshToken,
    /// When that expires if it is not used before.
    pub(crate) refresh_expires_at: SystemTime,
}

/// Every way to be refused, and every way to fail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The address belongs to another account.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The address is nobody's, the password another, or the account disabled.
    #[error("the credentials are wrong")]
    CredentialsInvalid,
    /// Too many passwords wait to be looked at.
    #[error("too many passwords wait")]
    PasswordQueueFull {
        /// When to try again.
        retry_after: Duration,
    },
    /// No refresh token of ours.
    #[error("the refresh token is invalid")]
    RefreshTokenInvalid,
    /// A spent refresh token; its session is revoked now.
    #[error("the refresh token was used before")]
    RefreshTokenReused,
    /// The password was changed a moment after the token was spent; the session goes on.
    #[error("the refresh token was superseded")]
    RefreshSuperseded,
    /// The session was rotated too often within a moment.
    #[error("the session is rotated too fast")]
    RefreshTooFast {
        /// When to try again.
        retry_after: Duration,
    },
    /// The session has ended by its idle or its absolute limit.
    #[error("the session has expired")]
    SessionExpired,
    /// The session was revoked.
    #[error("the session was revoked")]
    SessionRevoked,
    /// The account is switched off.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The session of the access token has ended.
    #[error("the access token was revoked")]
    TokenRevoked,
    /// There is no such session of this account.
    #[error("there is no such session")]
    SessionNotFound,
    /// The account is not the version any more that an update is meant for.
    #[error("the account was changed meanwhile")]
    EtagMismatch,
    /// What verifiers must know has not been read yet.
    #[error("what verifiers must know has not been read yet")]
    TrustNotReady,
    /// A verifier reads what it is told too slowly.
    #[error(transparent)]
    TrustWatchTooSlow(#[from] TooFarBehind),
    /// The store failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A token could not be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// A signing key could not be made or read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no randomness for a new session.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A password could not be hashed.
    #[error(transparent)]
    Hashing(HashError),
}

impl App {
    /// The tokens of a session's present generation.
    async fn issue(&self, account: &Account, session: &Session, now: SystemTime) -> Result<Tokens, Error> {
        self.prove_signer().await?;
        let grant = AccessGrant::new(account, session, self.limits.access_token_ttl, now);
        let access_expires_at = grant.expires_at;
        let tokens = Tokens {
            access: self.signer.sign(grant)?,
            access_expires_at,
            refresh: self.refresh_secret.issue(session.key, session.generation, &session.nonce),
            refresh_expires_at: session.ends_at(),
        };
        security_log::record(&SecurityEvent::TokenCreated(session.key, session.generation));
        Ok(tokens)
    }

    /// Why a password could not be looked at.
    fn unhashed(&self, error: HashError) -> Error {
        match error {
            HashError::QueueFull { retry_after } => {
                self.note(SecurityEvent::PasswordQueueFull);
                Error::PasswordQueueFull { retry_after }
            }
            HashError::Failed(_) | HashError::Lost(_) | HashError::NoThreads(_) => Error::Hashing(error),
        }
    }
}
