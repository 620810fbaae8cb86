use std::time::Duration;

/// Chance that repeats itself for the same seed (SplitMix64, Steele et al. 2014).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below 1, at least 0.
    fn fraction(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let fraction = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        fraction
    }

    /// Whether something happens that happens so often in a thousand times.
    pub(super) fn per_mille(&mut self, often: u64) -> bool {
        self.next() % 1_000 < often
    }

    /// A span of time from the first to the second, each as likely.
    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + (most - least).mul_f64(self.fraction())
    }

    /// A span of time until something that happens at random, on average after this one.
    pub(super) fn until_next(&mut self, average: Duration) -> Duration {
        average.mul_f64(-(1.0 - self.fraction()).ln())
    }
}
