use super::*;

/// What the model believes of a session. Generations count from 1, so that of index 0 is number 1.
pub(super) struct Believed {
    pub(super) session: Session,
    pub(super) tokens: Vec<Tokens>,
    pub(super) spent_at: Vec<SystemTime>,
    pub(super) is_seen: bool,
    pub(super) barrier: usize,
    pub(super) is_revoked: bool,
    pub(super) last_used: SystemTime,
    /// The generation that each tab holds.
    pub(super) tabs: [usize; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A child that nobody has seen.
    Next,
    /// The tokens of the present generation.
    Present,
    Refused(&'static str),
}

impl Believed {
    pub(super) fn begin(login: LoggedIn, now: SystemTime) -> Self {
        Self {
            session: login.session,
            tokens: vec![login.tokens],
            spent_at: Vec::new(),
            is_seen: false,
            barrier: 0,
            is_revoked: false,
            last_used: now,
            tabs: [1; 3],
        }
    }

    pub(super) fn is_live(&self, now: SystemTime) -> bool {
        !self.is_revoked && !self.is_over(now)
    }

    pub(super) fn current(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        now >= self.last_used + IDLE || now >= self.session.created_at + ABSOLUTE
    }

    /// What a refresh token of this generation yields, and what that does to the session.
    pub(super) fn present(&mut self, generation: usize, now: SystemTime, is_disabled: bool) -> Expected {
        if self.is_revoked {
            return Expected::Refused("SessionRevoked");
        }
        if self.is_over(now) {
            return Expected::Refused("SessionExpired");
        }
        let apart = |at: SystemTime| now.duration_since(at).unwrap_or_else(|ahead| ahead.duration());
        let behind = self.current() - generation;
        let is_recent = (1..=4).contains(&behind) && apart(self.spent_at[generation - 1]) <= GRACE;
        let yields = match behind {
            0 if self.spent_at.len() >= 4 && apart(self.spent_at[self.spent_at.len() - 4]) <= GRACE => {
                self.is_seen = true;
                return Expected::Refused("RefreshTooFast");
            }
            0 => Expected::Next,
            _ if is_recent && generation < self.barrier => return Expected::Refused("RefreshSuperseded"),
            _ if is_recent => Expected::Present,
            1 if !self.is_seen && generation >= self.barrier => {
                if !is_disabled {
                    self.spent_at[generation - 1] = now;
                }
                Expected::Present
            }
            _ => {
                self.is_revoked = true;
                return Expected::Refused("RefreshTokenReused");
            }
        };
        if is_disabled { Expected::Refused("AccountDisabled") } else { yields }
    }

    pub(super) fn moved_on(&mut self, tokens: Tokens, now: SystemTime) {
        self.tokens.push(tokens);
        self.spent_at.push(now);
        self.is_seen = false;
        self.last_used = self.last_used.max(now);
    }
}
