use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, SystemTime};

use super::dice::Dice;
use super::lineage::Lineage;
use super::service::{Pair, Refusal, Service};
use super::tally::Tally;
use crate::Failure;

const TABS: usize = 5;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How many in a thousand answers are lost.
const LOST: u64 = 50;
/// How long a tab waits for an answer. A call and its repetition are over within the service's grace of 10 s.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long before its end an access token is replaced.
const EARLY: Duration = Duration::from_secs(10);
/// How long a thief stays.
const STAY: Duration = Duration::from_secs(3 * 60 * 60);
/// Between two refreshes of a thief, who keeps an access token that is good.
const ROUND: Duration = Duration::from_secs(290);

/// The people of one service, and what is to happen to them.
pub(super) struct Week<'a> {
    service: &'a Service,
    dice: Dice,
    clients: Vec<Client>,
    queue: BinaryHeap<Reverse<Entry>>,
    scheduled: u64,
    end: SystemTime,
    tally: Tally,
}

/// A laptop with five tabs that share what they store.
struct Client {
    email: String,
    is_awake: bool,
    /// How often it woke up: what a tab meant to do before is forgotten.
    wakes: u64,
    /// How often it logged in.
    logins: u64,
    stored: Pair,
    /// The refresh whose answer each tab waits for.
    waiting: [Option<u64>; TABS],
    attempts: u64,
    lineage: Lineage,
}

/// Something that is to happen to a client.
enum Event {
    /// The laptop is opened.
    Wake,
    /// It is closed.
    Sleep,
    /// A tab wants to call somebody.
    Tick { tab: usize, wakes: u64 },
    /// A tab's refresh arrives at the service.
    Arrive { tab: usize, attempt: u64, logins: u64, token: String },
    /// The service's answer arrives at the tab.
    Answer { tab: usize, attempt: u64, logins: u64, answer: Result<Pair, Refusal> },
    /// The tab waits no longer.
    GiveUp { tab: usize, attempt: u64, wakes: u64 },
    /// Somebody takes the refresh token that is stored.
    Steal,
    /// The thief refreshes.
    Thieve { logins: u64, token: String, until: SystemTime },
}

struct Entry {
    at: SystemTime,
    /// What was scheduled first is first, of two at the same moment.
    number: u64,
    client: usize,
    event: Event,
}

impl<'a> Week<'a> {
    /// Registers the clients, logs them in and puts them to sleep.
    pub(super) async fn begin(
        service: &'a Service,
        dice: Dice,
        numbers: &[u64],
        length: Duration,
        thefts_per_mille: u64,
    ) -> Result<Self, Failure> {
        let (start, mut clients) = (service.now(), Vec::new());
        for number in numbers {
            let email = format!("client-{number}@example.com");
            service.register(&email).await?;
            let stored = service.log_in(&email).await?;
            let lineage = Lineage::begin(&stored.refresh);
            let (is_awake, waiting) = (false, [None; TABS]);
            clients.push(Client { email, is_awake, wakes: 0, logins: 1, stored, waiting, attempts: 0, lineage });
        }
        let tally = Tally { clients: u64::try_from(clients.len())?, ..Tally::default() };
        let (queue, scheduled, end) = (BinaryHeap::new(), 0, start + length);
        let mut week = Self { service, dice, clients, queue, scheduled, end, tally };
        for client in 0..numbers.len() {
            let wake = week.dice.between(Duration::ZERO, 12 * HOUR);
            week.after(wake, client, Event::Wake);
            if week.dice.per_mille(thefts_per_mille) {
                let steal = week.dice.between(Duration::ZERO, length.mul_f64(0.8));
                week.after(steal, client, Event::Steal);
            }
        }
        Ok(week)
    }

    /// Lets everything happen until the end.
    pub(super) async fn live(&mut self) -> Result<(), Failure> {
        while let Some(Reverse(Entry { at, client, event, .. })) = self.queue.pop() {
            if at > self.end {
                break;
            }
            self.service.wait_until(at);
            self.happen(client, event).await?;
        }
        Ok(())
    }

    /// What happened.
    pub(super) fn end(mut self) -> Tally {
        let thefts = self.clients.iter().filter_map(|client| client.lineage.theft);
        self.tally.thefts.extend(thefts);
        self.tally
    }

    async fn happen(&mut self, client: usize, event: Event) -> Result<(), Failure> {
        match event {
            Event::Wake => self.wake(client),
            Event::Sleep => self.sleep(client),
            Event::Tick { tab, wakes } if self.clients[client].wakes == wakes => self.tick(client, tab).await?,
            Event::Tick { .. } => {}
            Event::Arrive { tab, attempt, logins, token } => self.arrive(client, tab, attempt, logins, token).await?,
            Event::Answer { tab, attempt, logins, answer } => {
                if self.is_awaited(client, tab, attempt, logins) {
                    self.clients[client].waiting[tab] = None;
                    self.answered(client, tab, answer).await?;
                } else {
                    self.tally.missed += 1;
                }
            }
            Event::GiveUp { tab, attempt, wakes } => {
                let is_pending = self.clients[client].waiting[tab] == Some(attempt);
                if is_pending && self.clients[client].wakes == wakes {
                    self.clients[client].waiting[tab] = None;
                    let pause = self.dice.between(200 * MILLISECOND, SECOND);
                    self.tick_after(pause, client, tab);
                }
            }
            Event::Steal => self.steal(client),
            Event::Thieve { logins, token, until } => self.thieve(client, logins, token, until).await?,
        }
        Ok(())
    }

    /// All tabs notice at once that their timers are due.
    fn wake(&mut self, client: usize) {
        self.tally.naps += 1;
        let laptop = &mut self.clients[client];
        laptop.is_awake = true;
        laptop.wakes += 1;
        laptop.waiting = [None; TABS];
        for tab in 0..TABS {
            let delay = self.dice.between(Duration::ZERO, 300 * MILLISECOND);
            self.tick_after(delay, client, tab);
        }
        let use_ends = self.dice.until_next(10 * MINUTE);
        self.after(use_ends, client, Event::Sleep);
    }

    /// Every fifth time the lid is closed upon a refresh that has just been sent.
    fn sleep(&mut self, client: usize) {
        if self.dice.per_mille(200) && self.clients[client].waiting[0].is_none() {
            self.send(client, 0);
        }
        self.clients[client].is_awake = false;
        let nap = if self.dice.per_mille(333) { 10 * MINUTE } else { 16 * HOUR };
        let nap = self.dice.until_next(nap);
        self.after(nap, client, Event::Wake);
    }

    async fn tick(&mut self, client: usize, tab: usize) -> Result<(), Failure> {
        let laptop = &self.clients[client];
        if !laptop.is_awake || laptop.waiting[tab].is_some() {
            return Ok(());
        }
        if laptop.stored.access_expires_at <= self.service.now() + EARLY {
            self.send(client, tab);
            return Ok(());
        }
        // Most calls are for other services, which verify without a word to this one.
        if self.dice.per_mille(100) {
            self.call(client).await?;
        }
        let pause = self.dice.until_next(2 * MINUTE);
        self.tick_after(pause, client, tab);
        Ok(())
    }

    /// Sends what is stored now, and nothing that was read before.
    fn send(&mut self, client: usize, tab: usize) {
        let laptop = &mut self.clients[client];
        laptop.attempts += 1;
        laptop.waiting[tab] = Some(laptop.attempts);
        let (attempt, logins, wakes) = (laptop.attempts, laptop.logins, laptop.wakes);
        let token = laptop.stored.refresh.clone();
        let way = self.way();
        self.after(way, client, Event::Arrive { tab, attempt, logins, token });
        self.after(DEADLINE, client, Event::GiveUp { tab, attempt, wakes });
    }

    async fn arrive(
        &mut self,
        client: usize,
        tab: usize,
        attempt: u64,
        logins: u64,
        token: String,
    ) -> Result<(), Failure> {
        self.tally.refreshes += 1;
        let answer = self.refresh(client, logins, &token).await?;
        if self.dice.per_mille(LOST) {
            self.tally.lost += 1;
        } else {
            let way = self.way();
            self.after(way, client, Event::Answer { tab, attempt, logins, answer });
        }
        Ok(())
    }

    fn is_awaited(&self, client: usize, tab: usize, attempt: u64, logins: u64) -> bool {
        let laptop = &self.clients[client];
        laptop.is_awake && laptop.waiting[tab] == Some(attempt) && laptop.logins == logins
    }

    async fn answered(&mut self, client: usize, tab: usize, answer: Result<Pair, Refusal>) -> Result<(), Failure> {
        let mut pause = self.dice.until_next(2 * MINUTE);
        match answer {
            Ok(pair) => {
                let stored = &mut self.clients[client].stored;
                if pair.access_expires_at >= stored.access_expires_at {
                    *stored = pair;
                }
                if self.dice.per_mille(300) {
                    self.call(client).await?;
                }
            }
            Err(Refusal::Transient(reason)) => {
                *self.tally.transient.entry(reason).or_default() += 1;
                pause = SECOND;
            }
            Err(Refusal::SignedOut(reason)) => self.signed_out(client, reason).await?,
        }
        self.tick_after(pause, client, tab);
        Ok(())
    }

    /// A call to this service itself. If the access token is refused though it has not expired, the next tick refreshes.
    async fn call(&mut self, client: usize) -> Result<(), Failure> {
        self.tally.calls += 1;
        let laptop = &mut self.clients[client];
        if self.service.look_at_account(&laptop.stored.access).await? {
            laptop.lineage.called_with(&laptop.stored.refresh);
        } else {
            laptop.stored.access_expires_at = self.service.now();
        }
        Ok(())
    }

    async fn signed_out(&mut self, client: usize, reason: String) -> Result<(), Failure> {
        let laptop = &mut self.clients[client];
        laptop.stored = self.service.log_in(&laptop.email).await?;
        laptop.logins += 1;
        laptop.waiting = [None; TABS];
        let over = std::mem::replace(&mut laptop.lineage, Lineage::begin(&laptop.stored.refresh));
        match over.theft {
            Some(theft) => self.tally.thefts.push(theft),
            None => *self.tally.signed_out.entry(reason).or_default() += 1,
        }
        Ok(())
    }

    fn steal(&mut self, client: usize) {
        self.tally.stolen += 1;
        let (logins, token) = (self.clients[client].logins, self.clients[client].stored.refresh.clone());
        let (least, most) = match self.dice.per_mille(500) {
            true => (Duration::ZERO, 10 * MINUTE),
            false => (10 * MINUTE, 24 * HOUR),
        };
        let delay = self.dice.between(least, most);
        let until = self.service.now() + delay + STAY;
        self.after(delay, client, Event::Thieve { logins, token, until });
    }

    async fn thieve(&mut self, client: usize, logins: u64, token: String, until: SystemTime) -> Result<(), Failure> {
        if self.clients[client].logins != logins {
            return Ok(());
        }
        self.clients[client].lineage.robbed(self.service.now());
        let (token, pause) = match self.refresh(client, logins, &token).await? {
            Ok(pair) => {
                if self.dice.per_mille(500) && self.service.look_at_account(&pair.access).await? {
                    self.clients[client].lineage.called_with(&pair.refresh);
                }
                (pair.refresh, ROUND)
            }
            Err(Refusal::Transient(_)) => (token, SECOND),
            Err(Refusal::SignedOut(_)) => return Ok(()),
        };
        if self.service.now() + pause <= until {
            self.after(pause, client, Event::Thieve { logins, token, until });
        }
        Ok(())
    }

    /// Refreshes, while a bystander takes notes.
    async fn refresh(&mut self, client: usize, logins: u64, token: &str) -> Result<Result<Pair, Refusal>, Failure> {
        let now = self.service.now();
        let laptop = &mut self.clients[client];
        let answer = if laptop.logins == logins {
            laptop.lineage.presented(token, now);
            let answer = self.service.refresh(token).await?;
            match &answer {
                Ok(pair) => laptop.lineage.yielded(&pair.refresh, now),
                Err(Refusal::SignedOut(_)) => laptop.lineage.ended(now),
                Err(Refusal::Transient(_)) => {}
            }
            answer
        } else {
            self.service.refresh(token).await?
        };
        Ok(answer)
    }

    /// How long a message is on its way: mostly a moment, sometimes seconds.
    fn way(&mut self) -> Duration {
        let most = if self.dice.per_mille(20) { 2 * SECOND } else { 200 * MILLISECOND };
        self.dice.between(10 * MILLISECOND, most)
    }

    fn tick_after(&mut self, delay: Duration, client: usize, tab: usize) {
        let wakes = self.clients[client].wakes;
        self.after(delay, client, Event::Tick { tab, wakes });
    }

    fn after(&mut self, delay: Duration, client: usize, event: Event) {
        self.scheduled += 1;
        let at = self.service.now() + delay;
        self.queue.push(Reverse(Entry { at, number: self.scheduled, client, event }));
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
