use authn::SessionId;
use tracing::error;
use uuid::Uuid;

use super::{App, Error, Tokens, security_log};
use crate::crypto::{Verification, new_nonce};
use crate::domain::{
    Account, AccountId, AccountState, ClientLabel, Email, LoginFailure, Origin, PasswordHash, PresentedPassword,
    RevokeReason, SecurityEvent, Session, SessionKey,
};
use crate::repository::{AcceptedLogin, Beginning};

/// What somebody logs in with.
#[derive(Debug)]
pub(crate) struct LoginAttempt {
    pub(crate) email: Email,
    pub(crate) password: PresentedPassword,
    pub(crate) client_label: ClientLabel,
    pub(crate) origin: Origin,
}

/// What a login yields.
pub(crate) struct LoggedIn {
    pub(crate) account: Account,
    pub(crate) session: Session,
    pub(crate) tokens: Tokens,
}

impl App {
    /// Checks a password and begins a session.
    ///
    /// An unknown address, a wrong password and a disabled account are one refusal after the same work: one look at
    /// the store, one hash, and only then the state of the account. Beyond the most sessions of an account, the one
    /// that was unused longest ends.
    ///
    /// # Errors
    /// `CredentialsInvalid`, `PasswordQueueFull`, or a failure.
    pub(crate) async fn login(&self, attempt: LoginAttempt) -> Result<LoggedIn, Error> {
        let (found, stored) = self.repository.find_credentials(attempt.email.key()).await?.unzip();
        let verification =
            self.hasher.verify(attempt.password, stored.clone()).await.map_err(|error| self.unhashed(error))?;
        let (account, login) = accept(found, stored, verification).map_err(|refused| self.refuse(refused))?;

        let now = self.clock.now();
        let key = SessionKey { account: account.id, session: SessionId::from_uuid(Uuid::new_v4()) };
        let nonce = new_nonce()?;
        let session = Session::begin(key, nonce, attempt.client_label, attempt.origin, &self.limits.session, now);
        match self.repository.begin_session(&session, login, self.limits.sessions_per_account).await? {
            Beginning::AccountChanged => return Err(self.refuse((Some(account.id), LoginFailure::AccountChanged))),
            Beginning::Begun { evicted: 0 } => {}
            Beginning::Begun { evicted } => {
                security_log::record(&SecurityEvent::SessionsRevoked(account.id, RevokeReason::Evicted, evicted));
            }
        }
        security_log::record(&SecurityEvent::LoginSucceeded(key));
        let tokens = self.issue(&account, &session, now).await?;
        Ok(LoggedIn { account: Account { last_login_at: Some(now), ..account }, session, tokens })
    }

    fn refuse(&self, (account, failure): (Option<AccountId>, LoginFailure)) -> Error {
        self.note(SecurityEvent::LoginFailed(account, failure));
        Error::CredentialsInvalid
    }
}

fn accept(
    found: Option<Account>,
    stored: Option<PasswordHash>,
    verification: Verification,
) -> Result<(Account, AcceptedLogin), (Option<AccountId>, LoginFailure)> {
    let (Some(account), Some(stored)) = (found, stored) else {
        return Err((None, LoginFailure::UnknownEmail));
    };
    match verification {
        Verification::Matches(_) if account.state == AccountState::Disabled => {
            Err((Some(account.id), LoginFailure::AccountDisabled))
        }
        Verification::Matches(successor) => {
            let rehashed = successor.map(|successor| (stored, successor));
            let login = AcceptedLogin { token_version: account.token_version, rehashed };
            Ok((account, login))
        }
        Verification::Differs | Verification::Absent => Err((Some(account.id), LoginFailure::WrongPassword)),
        Verification::Unusable => {
            error!(account.id = %account.id, "the stored password hash of account {} is unusable", account.id);
            Err((Some(account.id), LoginFailure::WrongPassword))
        }
    }
}
