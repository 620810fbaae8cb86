use std::time::SystemTime;

use super::{App, Error};
use crate::domain::{Account, AccountState, Generation, PresentedToken, Session, SessionKey};

/// What is said of a good token; of others nothing is said.
#[derive(Debug)]
pub(crate) enum ActiveToken {
    /// An access token.
    Access {
        /// Its account and session.
        session: SessionKey,
        /// What it allows.
        scopes: Vec<String>,
        /// When it expires.
        expires_at: SystemTime,
    },
    /// The current refresh token of a session.
    Refresh {
        /// Its account and session.
        session: SessionKey,
        /// When it expires if it is not used before.
        expires_at: SystemTime,
    },
}

impl App {
    /// Tells whether a token is good at this moment, with its session and account re-read (RFC 7662). Whoever shows the
    /// current token has it, so this confirms that it arrived.
    ///
    /// # Errors
    /// Only a failure: whatever is wrong with a token, it is not active.
    pub(crate) async fn verify_token(&self, token: &str) -> Result<Option<ActiveToken>, Error> {
        match self.refresh_secret.open(token) {
            Some(presented) => self.verify_refresh_token(&presented).await,
            None => self.verify_access_token(token).await,
        }
    }

    async fn verify_refresh_token(&self, presented: &PresentedToken) -> Result<Option<ActiveToken>, Error> {
        let key = presented.header.session;
        let Some((session, account)) = self.repository.find_session(key).await? else { return Ok(None) };
        let good = self.refresh_secret.is_authentic(presented, &session.nonce)
            && presented.header.generation == session.generation
            && self.is_alive(&session, &account);
        if good {
            self.confirm(&session, presented.header.generation).await?;
        }
        Ok(good.then(|| ActiveToken::Refresh { session: key, expires_at: session.ends_at() }))
    }

    async fn verify_access_token(&self, token: &str) -> Result<Option<ActiveToken>, Error> {
        let Ok(principal) = self.verifier.verify(token) else { return Ok(None) };
        let Some(session) = principal.session() else { return Ok(None) };
        let key = SessionKey { account: principal.subject().into(), session };
        let Some((session, account)) = self.repository.find_session(key).await? else { return Ok(None) };
        let good = self.is_alive(&session, &account) && principal.account_version() == Some(account.token_version);
        if let (true, Some(seen)) = (good, principal.generation().and_then(Generation::from_number)) {
            self.confirm(&session, seen).await?;
        }
        Ok(good.then(|| ActiveToken::Access {
            session: key,
            scopes: principal.scopes().to_vec(),
            expires_at: principal.expires_at(),
        }))
    }

    pub(super) fn is_alive(&self, session: &Session, account: &Account) -> bool {
        session.is_live(self.clock.now()) && account.state == AccountState::Active
    }
}
