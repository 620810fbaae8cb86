use super::{App, Caller, Error, Tokens, security_log};
use crate::domain::{Account, Password, PresentedPassword, RevokeReason, Rotation, SecurityEvent, Session};
use crate::repository::NewPassword;

impl App {
    /// Changes the password, ends all other sessions in the same transaction, and moves the caller's own on behind a
    /// barrier, so that whoever holds an older token of it gets nothing.
    ///
    /// # Errors
    /// `CredentialsInvalid`, `PasswordQueueFull`, `RefreshTooFast`, `TokenRevoked` if the session was ended meanwhile,
    /// or a failure. Nothing is changed then.
    pub(crate) async fn change_password(
        &self,
        caller: Caller,
        current: PresentedPassword,
        new: Password,
    ) -> Result<Tokens, Error> {
        self.reauthenticate(&caller, current).await?;
        let hash = self.hasher.hash(new).await.map_err(|error| self.unhashed(error))?;
        let Caller { account, mut session } = caller;
        let account_then = Account { token_version: account.token_version + 1, ..account };
        loop {
            let now = self.clock.now();
            let next = match session.rotate_behind_barrier(&self.limits.session, now) {
                Rotation::Rotated(next) => *next,
                Rotation::TooFast { retry_after } => return Err(Error::RefreshTooFast { retry_after }),
                _ => return Err(Error::TokenRevoked),
            };
            let new = NewPassword { hash: hash.clone(), token_version: account_then.token_version };
            if let Some(ended) = self.repository.change_password(&next, new, now).await? {
                security_log::record(&SecurityEvent::PasswordChanged(account_then.id));
                security_log::ended(account_then.id, RevokeReason::PasswordChange, ended);
                return self.issue(&account_then, &next, now).await;
            }
            // Either a refresh of this session was faster, or this change has no ground any more.
            session = self.still_at(&session, account_then.token_version - 1).await?;
        }
    }

    /// The session as it is now, if neither it nor the tokens of its account were ended meanwhile.
    async fn still_at(&self, session: &Session, token_version: u64) -> Result<Session, Error> {
        let (session, account) = self.repository.find_session(session.key).await?.ok_or(Error::TokenRevoked)?;
        let goes_on = account.token_version == token_version && self.is_alive(&session, &account);
        if goes_on { Ok(session) } else { Err(Error::TokenRevoked) }
    }
}
