use super::{App, Error};
use crate::domain::RevokeReason;

impl App {
    /// Ends the session of an authentic refresh token, of whatever generation. Anything else changes nothing and
    /// succeeds too (RFC 7009 §2.2).
    ///
    /// # Errors
    /// Only a failure.
    pub(crate) async fn logout(&self, token: &str) -> Result<(), Error> {
        let Some(presented) = self.refresh_secret.open(token) else { return Ok(()) };
        let key = presented.header.session;
        let Some((session, _)) = self.repository.find_session(key).await? else { return Ok(()) };
        let now = self.clock.now();
        if !self.refresh_secret.is_authentic(&presented, &session.nonce) || !session.is_live(now) {
            return Ok(());
        }
        self.end_session(key, RevokeReason::Logout).await
    }
}
