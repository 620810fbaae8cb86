use super::{App, Error, Tokens, security_log};
use crate::domain::{AccountState, Generation, Reuse, RevokeReason, Rotation, SecurityEvent, SessionKey};

impl App {
    /// Rotates a refresh token. Of several calls with one token at once one advances the session; the others yield
    /// the same child.
    ///
    /// # Errors
    /// `RefreshTokenInvalid`, `RefreshTokenReused`, `SessionExpired`, `SessionRevoked`, `AccountDisabled`;
    /// `RefreshSuperseded` and `RefreshTooFast`, after which the session goes on; or a failure. A reuse is refused
    /// only after the revocation of the session is stored.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, Error> {
        let presented = self.refresh_secret.open(token).ok_or(Error::RefreshTokenInvalid)?;
        let (key, generation) = (presented.header.session, presented.header.generation);
        // A second round is needed only by the loser of a race; that one finds the session advanced or revoked.
        loop {
            let found = self.repository.find_session(key).await?;
            let (session, account) = found.ok_or(Error::RefreshTokenInvalid)?;
            if !self.refresh_secret.is_authentic(&presented, &session.nonce) {
                return Err(Error::RefreshTokenInvalid);
            }
            let now = self.clock.now();
            match session.rotate(generation, &self.limits.session, now) {
                Rotation::Rotated(_) | Rotation::Concurrent | Rotation::ResponseLost(_)
                    if account.state == AccountState::Disabled =>
                {
                    return Err(Error::AccountDisabled);
                }
                Rotation::Rotated(next) => {
                    if self.repository.advance(&next).await? {
                        return self.issue(&account, &next, now).await;
                    }
                }
                Rotation::Concurrent => return self.issue(&account, &session, now).await,
                Rotation::ResponseLost(next) => {
                    if self.repository.reissue(&next).await? {
                        self.note(SecurityEvent::ResponseLost(key, next.generation));
                        return self.issue(&account, &next, now).await;
                    }
                }
                Rotation::Superseded => return Err(Error::RefreshSuperseded),
                Rotation::TooFast { retry_after } => {
                    self.confirm(&session, generation).await?;
                    return Err(Error::RefreshTooFast { retry_after });
                }
                Rotation::Reused(reuse) => return Err(self.end_reused(key, generation, reuse).await?),
                Rotation::Ahead => {
                    self.note(SecurityEvent::TokenAhead(key, generation));
                    return Err(Error::RefreshTokenInvalid);
                }
                Rotation::Expired => return Err(Error::SessionExpired),
                Rotation::Revoked => return Err(Error::SessionRevoked),
            }
        }
    }

    /// Revokes the session of a spent token that came back. The refusal is returned only after that is durable.
    async fn end_reused(&self, key: SessionKey, spent: Generation, reuse: Reuse) -> Result<Error, Error> {
        let reused = SecurityEvent::TokenReused(key, spent, reuse);
        if self.repository.revoke_reused(key, spent, reuse, self.clock.now()).await? {
            security_log::record(&SecurityEvent::TokenRevoked(key, RevokeReason::Reuse));
            security_log::record(&reused);
        } else {
            // Somebody else ended it a moment ago.
            self.note(reused);
        }
        Ok(Error::RefreshTokenReused)
    }
}
