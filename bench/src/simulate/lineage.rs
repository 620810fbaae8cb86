use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// How long a spent token may come again without being one that comes back.
const GRACE: Duration = Duration::from_secs(10);

/// What a bystander who sees every call and every answer knows of one session.
pub(super) struct Lineage {
    /// The tokens so far, the current one last.
    tokens: Vec<Token>,
    numbers: HashMap<String, usize>,
    /// Whether the current tokens were seen in use.
    is_seen: bool,
    /// The robbery of it, if the thief has used what was stolen.
    pub(super) theft: Option<Theft>,
}

struct Token {
    /// When it yielded its successor, for the last time that this was repeated.
    spent_at: Option<SystemTime>,
}

/// A session that two parties have.
#[derive(Clone, Copy)]
pub(super) struct Theft {
    /// When the thief used the token for the first time.
    pub(super) used_at: SystemTime,
    /// When one of the two first came with a spent token whose successor nobody was seen to have: it may have been lost.
    pub(super) passed_at: Option<SystemTime>,
    /// When one of the two first came with a superseded token: spent, and not a moment ago, and its successor in use.
    pub(super) reused_at: Option<SystemTime>,
    /// When the service ended the session.
    pub(super) ended_at: Option<SystemTime>,
}

impl Lineage {
    pub(super) fn begin(token: &str) -> Self {
        let numbers = HashMap::from([(token.to_owned(), 0)]);
        Self { tokens: vec![Token { spent_at: None }], numbers, is_seen: false, theft: None }
    }

    /// Notes that the thief uses the session.
    pub(super) fn robbed(&mut self, at: SystemTime) {
        self.theft.get_or_insert(Theft { used_at: at, passed_at: None, reused_at: None, ended_at: None });
    }

    /// Notes that a token is presented.
    pub(super) fn presented(&mut self, token: &str, at: SystemTime) {
        let Some(&number) = self.numbers.get(token) else { return };
        let behind = self.tokens.len() - 1 - number;
        if behind == 0 {
            self.is_seen = true;
            return;
        }
        let is_back = |spent: SystemTime| at.duration_since(spent).is_ok_and(|since| since > GRACE);
        if !self.tokens[number].spent_at.is_some_and(is_back) {
            return;
        }
        let may_be_lost = behind == 1 && !self.is_seen;
        if may_be_lost {
            self.tokens[number].spent_at = Some(at);
        }
        if let Some(theft) = &mut self.theft {
            let moment = if may_be_lost { &mut theft.passed_at } else { &mut theft.reused_at };
            moment.get_or_insert(at);
        }
    }

    /// Notes what it yielded.
    pub(super) fn yielded(&mut self, token: &str, at: SystemTime) {
        if self.numbers.contains_key(token) {
            return;
        }
        if let Some(spent) = self.tokens.last_mut() {
            spent.spent_at = Some(at);
        }
        self.numbers.insert(token.to_owned(), self.tokens.len());
        self.tokens.push(Token { spent_at: None });
        self.is_seen = false;
    }

    /// Notes that the service was called with the access token that came with this one.
    pub(super) fn called_with(&mut self, token: &str) {
        if self.numbers.get(token).is_some_and(|number| *number + 1 == self.tokens.len()) {
            self.is_seen = true;
        }
    }

    /// Notes that the service has ended the session.
    pub(super) fn ended(&mut self, at: SystemTime) {
        if let Some(theft) = &mut self.theft {
            theft.ended_at.get_or_insert(at);
        }
    }
}
