use super::{App, Error, Tokens, security_log};
use crate::domain::{AccountState, RevokeReason, Rotation, SecurityEvent};

impl App {
    /// Rotates a refresh token. Of several calls with one token at once at most one advances the session; for the
    /// others it is spent.
    ///
    /// # Errors
    /// `RefreshTokenInvalid`, `RefreshTokenReused`, `SessionExpired`, `SessionRevoked`, `AccountDisabled`, or a
    /// failure. A reuse is refused only after the revocation of the session is stored.
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
                Rotation::Rotated(_) if account.state == AccountState::Disabled => return Err(Error::AccountDisabled),
                Rotation::Rotated(next) => {
                    if self.repository.advance(&next).await? {
                        return self.issue(&account, &next, now);
                    }
                }
                Rotation::Reused => {
                    if self.repository.revoke(key, RevokeReason::Reuse, now).await? {
                        security_log::record(&SecurityEvent::TokenRevoked(key, RevokeReason::Reuse));
                    }
                    security_log::record(&SecurityEvent::TokenReused(key, generation));
                    return Err(Error::RefreshTokenReused);
                }
                Rotation::Ahead => {
                    security_log::record(&SecurityEvent::TokenAhead(key, generation));
                    return Err(Error::RefreshTokenInvalid);
                }
                Rotation::Expired => return Err(Error::SessionExpired),
                Rotation::Revoked => return Err(Error::SessionRevoked),
            }
        }
    }
}
