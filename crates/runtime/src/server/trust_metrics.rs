//! What the verifier of a server knows and how old that is, as Prometheus reads it.

use std::fmt;

use authn::Verifier;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Looks when it is asked.
#[derive(Debug)]
pub(super) struct TrustMetrics(pub(super) Verifier);

impl Collector for TrustMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = self.0.trust().status();
        let mut show = |name, help, kind, metric: &dyn EncodeAny| {
            metric.encode_into(encoder.encode_descriptor(name, help, None, kind)?)
        };
        let number = |number: usize| ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
        show("trust_keys", "Keys whose tokens are accepted", MetricType::Gauge, &number(status.keys))?;
        let Some(staleness) = self.0.staleness() else { return Ok(()) };
        show("trust_revocations", "Revocations in force", MetricType::Gauge, &number(status.revocations))?;
        let staleness = ConstGauge::new(staleness.as_secs_f64());
        show("trust_staleness_seconds", "Age of what is known of revocations", MetricType::Gauge, &staleness)?;
        let is_live = ConstGauge::new(i64::from(status.is_live));
        show("trust_live", "Whether revocations come now", MetricType::Gauge, &is_live)?;
        let cuts = ConstCounter::new(status.cuts);
        show("trust_stream_cuts", "Ends of the trust stream and vain attempts", MetricType::Counter, &cuts)
    }
}

/// A metric of any type.
trait EncodeAny {
    fn encode_into(&self, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result;
}

impl<M: EncodeMetric> EncodeAny for M {
    fn encode_into(&self, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        self.encode(encoder)
    }
}
