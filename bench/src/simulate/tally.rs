use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::lineage::Theft;
use crate::Failure;

/// Until when a reuse must have ended its session: as long as an access token lives.
pub(super) const ACCESS_LIFETIME: Duration = Duration::from_secs(300);

/// What happened.
#[derive(Default)]
pub(crate) struct Tally {
    pub(super) clients: u64,
    /// Refreshes that reached the service.
    pub(super) refreshes: u64,
    /// Those whose answer was lost on its way.
    pub(super) lost: u64,
    /// Those whose answer came to a laptop that was asleep, or too late.
    pub(super) missed: u64,
    /// Times that a laptop woke up.
    pub(super) naps: u64,
    /// Calls with an access token.
    pub(super) calls: u64,
    /// Refusals that are to be repeated, by their reason.
    pub(super) transient: BTreeMap<String, u64>,
    /// Clients that nobody robbed and that were signed out, by the reason.
    pub(super) signed_out: BTreeMap<String, u64>,
    /// Refresh tokens that were stolen.
    pub(super) stolen: u64,
    /// Thefts whose thief has come before the session was over.
    pub(super) thefts: Vec<Theft>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) -> Result<(), Failure> {
        self.clients += other.clients;
        self.refreshes += other.refreshes;
        self.lost += other.lost;
        self.missed += other.missed;
        self.naps += other.naps;
        self.calls += other.calls;
        for (sum, part) in [(&mut self.transient, other.transient), (&mut self.signed_out, other.signed_out)] {
            for (reason, times) in part {
                *sum.entry(reason).or_default() += times;
            }
        }
        self.stolen += other.stolen;
        self.thefts.extend(other.thefts);
        Ok(())
    }

    /// Honest clients that were signed out.
    pub(crate) fn honest_signed_out(&self) -> u64 {
        self.signed_out.values().sum()
    }

    /// The thefts in which a superseded token was used again: by the thief, or by its owner.
    pub(super) fn reused(&self) -> impl Iterator<Item = &Theft> {
        self.thefts.iter().filter(|theft| theft.reused_at.is_some())
    }

    /// From the first use of a superseded token to the end of the session, for each that was ended.
    pub(super) fn detections(&self) -> Vec<Duration> {
        let since_reuse = |theft: &Theft| theft.ended_at?.duration_since(theft.reused_at?).ok();
        self.reused().filter_map(since_reuse).collect()
    }

    /// From the thief's first use to the end of the session, for each that was ended.
    fn exposures(&self) -> Vec<Duration> {
        let since_use = |theft: &Theft| theft.ended_at?.duration_since(theft.used_at).ok();
        self.thefts.iter().filter_map(since_use).collect()
    }

    /// Prints it.
    #[expect(clippy::print_stdout, reason = "what this program is for")]
    pub(crate) fn print(&self) -> Result<(), Failure> {
        let (reused, detections) = (self.reused().count(), self.detections());
        let (found, in_time) = (detections.len(), detections.iter().filter(|span| **span <= ACCESS_LIFETIME).count());
        let (honest, transient) = (self.honest_signed_out(), self.transient.values().sum::<u64>());
        let passed = self.thefts.iter().filter(|theft| theft.passed_at.is_some()).count();
        let unfound = self.thefts.iter().filter(|theft| theft.ended_at.is_none()).count();
        let yes = |good: bool| if good { "yes" } else { "NO" };
        println!("clients of five tabs             {:>9}", self.clients);
        println!("times that a laptop woke up      {:>9}", self.naps);
        println!("refreshes                        {:>9}", self.refreshes);
        println!("  answer lost on its way         {:>9}", self.lost);
        println!("  answer came asleep or late     {:>9}", self.missed);
        println!("  refused, to be repeated        {transient:>9}  {:?}", self.transient);
        println!("calls with an access token       {:>9}", self.calls);
        println!("honest clients signed out        {honest:>9}  target 0: {} {:?}", yes(honest == 0), self.signed_out);
        println!("refresh tokens stolen            {:>9}", self.stolen);
        println!("  used in time                   {:>9}", self.thefts.len());
        println!("  a superseded one came again    {reused:>9}");
        println!("  and that ended the session     {found:>9}  target all: {}", yes(found == reused));
        println!("  within an access lifetime      {in_time:>9}  target all: {}", yes(in_time == reused));
        println!("  {}", spread(&detections)?);
        println!("  a lost answer was possible     {passed:>9}");
        println!("  not found by the end           {unfound:>9}");
        println!("from the thief's first use to the end of the session: {}", spread(&self.exposures())?);
        Ok(())
    }
}

/// How long half of them, most of them and all of them took, in seconds.
fn spread(spans: &[Duration]) -> Result<String, Failure> {
    let mut histogram = Histogram::<u64>::new(3)?;
    for span in spans {
        histogram.record(span.as_secs())?;
    }
    let [half, most] = [0.5, 0.99].map(|share| histogram.value_at_quantile(share));
    Ok(format!("p50 {half} s, p99 {most} s, longest {} s", histogram.max()))
}
