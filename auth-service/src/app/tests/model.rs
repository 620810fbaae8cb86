//! The real service against a small model of it, through random stories of several tabs and devices: refreshes, lost
//! answers, retries, thefts, sign-outs, new passwords, disabled accounts, crashes and clocks that step, on PostgreSQL with
//! two replicas. After each step the sessions are as the model has them, and what the verifiers and the audit were told
//! agrees with them.

mod believed;

use std::collections::BTreeSet;

use self::believed::{Believed, Expected};
use super::super::SignOutScope;
use super::agreement::assert_agreement;
use super::*;

const SEEDS: u64 = 8;
const STEPS: usize = 150;
const PASSWORDS: [&str; 2] = [PASSWORD, "a louder teapot!"];

struct Story {
    fixture: Fixture,
    /// A second service on the same store, where the engine allows it. Which of the two is called is chance.
    replica: Option<Arc<App>>,
    dice: u64,
    sessions: Vec<Believed>,
    password: usize,
    is_disabled: bool,
    met: BTreeSet<&'static str>,
    told: String,
}

impl Story {
    async fn begin(seed: u64) -> Self {
        let fixture = Fixture::start().await;
        fixture.register("alice@example.com").await.expect("registered");
        let replica = if fixture.is_shared() { Some(fixture.replica().await) } else { None };
        let dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let told = format!("seed {seed}:");
        let (sessions, met) = (Vec::new(), BTreeSet::new());
        let mut story = Self { fixture, replica, dice, sessions, password: 0, is_disabled: false, met, told };
        story.log_in().await;
        story
    }

    /// A number below `sides` (xorshift, Marsaglia 2003).
    fn roll(&mut self, sides: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice >> 33).expect("31 bits") % sides
    }

    fn now(&self) -> SystemTime {
        self.fixture.clock.clock().now()
    }

    fn tell(&mut self, what: &str) {
        self.told.push_str(&format!("\n  {what}"));
    }

    /// Ends, if there are five already, the one that was unused longest.
    async fn log_in(&mut self) {
        if self.is_disabled {
            return;
        }
        self.tell("log in");
        let now = self.now();
        let login = self.fixture.login("alice@example.com", PASSWORDS[self.password]).await.expect(&self.told);
        let mut live: Vec<_> = self.sessions.iter_mut().filter(|session| session.is_live(now)).collect();
        live.sort_by_key(|session| (std::cmp::Reverse(session.last_used), session.session.key.session.as_uuid()));
        for evicted in live.into_iter().skip(4) {
            evicted.is_revoked = true;
        }
        self.sessions.push(Believed::begin(login, now));
    }

    /// A tab refreshes with what it holds; the answer may be lost.
    async fn refresh(&mut self, index: usize) {
        let (tab, is_lost) = (self.roll(3), self.roll(5) == 0);
        let held = self.sessions[index].tabs[tab];
        self.present(index, held, 1).await;
        let session = &mut self.sessions[index];
        if !is_lost && !session.is_revoked {
            session.tabs[tab] = session.current();
        }
    }

    /// `times` calls with the token of this generation at once.
    async fn present(&mut self, index: usize, generation: usize, times: usize) {
        self.tell(&format!("session {index}: present generation {generation}, {times} times"));
        let (now, is_disabled) = (self.now(), self.is_disabled);
        let token = self.sessions[index].tokens[generation - 1].refresh.clone();
        let replicas = [Some(&self.fixture.app), self.replica.as_ref()].into_iter().flatten().cycle();
        let calls = replicas.take(times).map(|app| app.refresh(token.expose()));
        let mut answers = join_all(calls).await;
        // In whatever order they ran, one of them was first; the others were another tab's, or found the session ended.
        let mut expected: Vec<_> =
            (0..times).map(|_| self.expect(index, generation, now, is_disabled, &mut answers)).collect();
        for answer in answers {
            let got = match &answer {
                Ok(tokens) if tokens.refresh.expose() == self.current_token(index) => Expected::Present,
                Ok(_) => Expected::Next,
                Err(error) => Expected::Refused(name(error)),
            };
            self.met.insert(if let Expected::Refused(name) = got { name } else { "tokens" });
            let is = |wanted: Expected| expected.iter().position(|expected| *expected == wanted);
            let place = is(got);
            // Several may find a theft at once: each looked before any had ended the session.
            let is_theft = got == Expected::Refused("RefreshTokenReused");
            let place = place.or_else(|| is(Expected::Refused("SessionRevoked")).filter(|_| is_theft && times > 1));
            let place = place.unwrap_or_else(|| panic!("{got:?} and not {expected:?}\n{}", self.told));
            expected.swap_remove(place);
        }
    }

    /// What the next of these calls yields by the model. A child is taken from the answers.
    fn expect(
        &mut self,
        index: usize,
        generation: usize,
        now: SystemTime,
        is_disabled: bool,
        answers: &mut [Result<Tokens, Error>],
    ) -> Expected {
        let session = &mut self.sessions[index];
        let expected = session.present(generation, now, is_disabled);
        if expected != Expected::Next {
            return expected;
        }
        let is_new = |tokens: &Tokens| session.tokens.iter().all(|old| old.refresh.expose() != tokens.refresh.expose());
        let child = answers.iter().flatten().find(|tokens| is_new(tokens));
        let child = child.unwrap_or_else(|| {
            let errors: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
            panic!("no child: {errors:?}\n{}", self.told)
        });
        let child = Tokens { access: child.access.clone(), refresh: child.refresh.clone(), ..*child };
        session.moved_on(child, now);
        Expected::Present
    }

    fn current_token(&self, index: usize) -> &str {
        self.sessions[index].tokens.last().expect("that of the login").refresh.expose()
    }

    /// A call with the access token that a tab holds. Returns the caller, if the token is good in every way.
    async fn call(&mut self, index: usize, generation: usize) -> Option<Caller> {
        let now = self.now();
        let session = &self.sessions[index];
        let principal = self.fixture.app.verifier.verify(&session.tokens[generation - 1].access).ok()?;
        self.tell(&format!("session {index}: call with generation {generation}"));
        let account = self.fixture.app.repository.find_account(self.sessions[index].session.key.account).await;
        let version = account.expect("read").expect("it is there").token_version;
        let session = &mut self.sessions[index];
        let answer = self.fixture.app.admit(&principal).await;
        let is_dead = session.is_revoked || session.is_over(now) || principal.account_version() != Some(version);
        if is_dead {
            assert_eq!(answer.err().as_ref().map(name), Some("TokenRevoked"), "{}", self.told);
            return None;
        }
        if self.is_disabled {
            assert_eq!(answer.err().as_ref().map(name), Some("AccountDisabled"), "{}", self.told);
            return None;
        }
        if generation == session.current() {
            session.is_seen = true;
        }
        Some(answer.unwrap_or_else(|error| panic!("{error}\n{}", self.told)))
    }

    async fn change_password(&mut self, index: usize) {
        let Some(caller) = self.call(index, self.sessions[index].current()).await else { return };
        self.tell(&format!("session {index}: change the password"));
        let now = self.now();
        let session = &self.sessions[index];
        let recent = |at: SystemTime| now.duration_since(at).unwrap_or_else(|ahead| ahead.duration()) <= GRACE;
        let is_too_fast = session.spent_at.len() >= 4 && recent(session.spent_at[session.spent_at.len() - 4]);
        let (old, new) = (PASSWORDS[self.password], PASSWORDS[1 - self.password]);
        let chosen = Password::choose(new, &PasswordRules::new(15, &[]), None).expect("good");
        let current = PresentedPassword::parse(old).expect("possible");
        match self.fixture.app.change_password(caller, current, chosen).await {
            Err(error) => assert!(is_too_fast && name(&error) == "RefreshTooFast", "{error}\n{}", self.told),
            Ok(tokens) => {
                assert!(!is_too_fast, "{}", self.told);
                self.password = 1 - self.password;
                for (other, session) in self.sessions.iter_mut().enumerate() {
                    session.is_revoked |= other != index;
                }
                let session = &mut self.sessions[index];
                session.moved_on(tokens, now);
                session.barrier = session.current();
                session.tabs[0] = session.current();
            }
        }
    }

    async fn sign_out(&mut self, index: usize, scope: SignOutScope) {
        let Some(caller) = self.call(index, self.sessions[index].current()).await else { return };
        self.tell(&format!("session {index}: sign out {scope:?}"));
        self.fixture.app.sign_out(&caller, scope).await.expect("no failure");
        for (other, session) in self.sessions.iter_mut().enumerate() {
            session.is_revoked |= match scope {
                SignOutScope::Local => other == index,
                SignOutScope::Others => other != index,
                SignOutScope::Global => true,
            };
        }
    }

    async fn log_out(&mut self, index: usize, generation: usize) {
        self.tell(&format!("session {index}: log out with generation {generation}"));
        let session = &mut self.sessions[index];
        let token = session.tokens[generation - 1].refresh.expose();
        self.fixture.app.logout(token).await.expect("no failure");
        session.is_revoked |= !session.is_over(self.fixture.clock.clock().now());
    }

    async fn switch_account(&mut self) {
        self.is_disabled = !self.is_disabled;
        self.tell(&format!("disabled: {}", self.is_disabled));
        let (account, now) = (self.sessions[0].session.key.account, self.now());
        let repository = &self.fixture.app.repository;
        let switched = if self.is_disabled {
            repository.disable_account(account, now).await
        } else {
            repository.enable_account(account, now).await
        };
        assert!(switched.expect("no failure"), "{}", self.told);
    }

    /// The process dies and another takes its place, on the store as it is.
    async fn crash(&mut self) {
        self.tell("crash");
        self.fixture.restart().await;
    }

    fn step_clock(&mut self) {
        let steps = [SECOND, 3 * SECOND, 10 * SECOND, GRACE + MICROSECOND, 60 * SECOND, 3600 * SECOND];
        match self.roll(20) {
            18 => {
                let days = [1, 5, 15][self.roll(3)];
                self.fixture.clock.advance(days * DAY);
            }
            19 => self.fixture.clock.set(self.now() - 3600 * SECOND),
            side => self.fixture.clock.advance(steps[side % steps.len()]),
        }
        self.tell(&format!("the clock shows {:?}", self.now().duration_since(UNIX_EPOCH).expect("after 1970")));
    }

    async fn step(&mut self) {
        let now = self.now();
        if self.roll(2) == 0
            && let Some(replica) = &mut self.replica
        {
            std::mem::swap(&mut self.fixture.app, replica);
        }
        let live: Vec<_> = (0..self.sessions.len()).filter(|index| self.sessions[*index].is_live(now)).collect();
        if live.is_empty() && !self.is_disabled {
            self.log_in().await;
        }
        // Now and then one that has ended: it must stay so.
        let index = if live.is_empty() || self.roll(10) == 0 {
            self.roll(self.sessions.len())
        } else {
            live[self.roll(live.len())]
        };
        let current = self.sessions[index].current();
        match self.roll(24) {
            0..=8 => self.refresh(index).await,
            9 | 10 => {
                let (tab, times) = (self.roll(3), 2 + self.roll(4));
                self.present(index, self.sessions[index].tabs[tab], times).await;
            }
            11 if self.roll(3) == 0 => {
                for _ in 0..5 {
                    self.present(index, self.sessions[index].current(), 1).await;
                }
            }
            11 => {
                let stolen = 1 + self.roll(current);
                self.present(index, stolen, 1).await;
            }
            12 | 13 => {
                let tab = self.roll(3);
                self.call(index, self.sessions[index].tabs[tab]).await;
            }
            14..=19 => self.step_clock(),
            20 => self.change_password(index).await,
            21 => {
                let scope = [SignOutScope::Local, SignOutScope::Others, SignOutScope::Global][self.roll(3)];
                self.sign_out(index, scope).await;
            }
            22 if self.roll(3) == 0 => {
                let any = 1 + self.roll(current);
                self.log_out(index, any).await;
            }
            23 if self.is_disabled || self.roll(4) == 0 => self.switch_account().await,
            23 => self.crash().await,
            _ => self.log_in().await,
        }
    }

    async fn compare(&self) {
        let stored = assert_agreement(&self.fixture, &self.told).await;
        assert_eq!(stored.len(), self.sessions.len(), "{}", self.told);
        for believed in &self.sessions {
            let stored = stored.iter().find(|stored| stored.key == believed.session.key).expect("it is there");
            let generation = usize::try_from(stored.generation.number()).expect("few");
            assert_eq!(
                (generation, stored.revoked.is_some()),
                (believed.current(), believed.is_revoked),
                "{}",
                self.told
            );
        }
    }
}

/// The name of a refusal.
fn name(error: &Error) -> &'static str {
    match error {
        Error::RefreshTokenReused => "RefreshTokenReused",
        Error::RefreshSuperseded => "RefreshSuperseded",
        Error::RefreshTooFast { .. } => "RefreshTooFast",
        Error::SessionExpired => "SessionExpired",
        Error::SessionRevoked => "SessionRevoked",
        Error::AccountDisabled => "AccountDisabled",
        Error::TokenRevoked => "TokenRevoked",
        _ => "another",
    }
}

#[tokio::test]
async fn the_service_does_what_the_model_says_in_every_story() {
    let mut met = BTreeSet::new();
    for seed in 1..=SEEDS {
        let mut story = Story::begin(seed).await;
        for _ in 0..STEPS {
            story.step().await;
            story.compare().await;
        }
        met.extend(story.met);
    }
    let all = [
        "AccountDisabled",
        "RefreshSuperseded",
        "RefreshTokenReused",
        "RefreshTooFast",
        "SessionExpired",
        "SessionRevoked",
        "tokens",
    ];
    assert_eq!(met.into_iter().collect::<Vec<_>>(), all, "every answer was met");
}
