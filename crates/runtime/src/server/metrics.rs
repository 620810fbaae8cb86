//! What is counted, and its text for Prometheus. Names as in the OpenTelemetry RPC conventions.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use authn::Verifier;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, LabelValueEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use proto::access::ACCESS;
use tonic::Code;

use super::Count;
use super::trust_metrics::TrustMetrics;

/// Upper bounds in seconds.
const BUCKETS: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0];
/// Every gRPC code.
const CODES: usize = 17;
/// What stands for every method that is not ours, so that callers cannot make up labels.
const OTHER: &str = "_OTHER";

/// Which method a call is of.
#[derive(Clone, Copy)]
pub(super) struct MethodId(usize);

/// The measurements of one server.
pub(super) struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Histogram>,
    /// By method and code; the last method is [`OTHER`].
    durations: Vec<[OnceLock<Histogram>; CODES]>,
    in_flight: Gauge<i64, AtomicI64>,
    shed: Counter,
    connections: Gauge<i64, AtomicI64>,
    connections_refused: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    rpc_method: &'static str,
    rpc_response_status_code: CodeName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CodeName(Code);

/// Statements that a store was given; counted where they are run.
struct StoreStatements(Count);

/// Log lines that nobody took in time; counted where they are dropped.
#[derive(Debug)]
struct DroppedLines;

/// One open connection; counted until dropped.
pub(super) struct OpenConnection(Gauge<i64, AtomicI64>);

impl Metrics {
    pub(super) fn new(service: &'static str, verifier: Verifier, statements: Option<Count>) -> Self {
        let mut registry = Registry::default();
        let calls = Family::<CallLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let (in_flight, shed) = (Gauge::default(), Counter::default());
        let (connections, connections_refused) = (Gauge::default(), Counter::default());
        let build = Info::new([("service", service), ("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
        registry.register("rpc_server_call_duration_seconds", "Time to the end of the answer", calls.clone());
        registry.register("rpc_server_calls_in_flight", "Calls that have not ended", in_flight.clone());
        registry.register("rpc_server_calls_shed", "Calls refused as OVERLOADED", shed.clone());
        registry.register("server_connections", "Open connections", connections.clone());
        registry.register("server_connections_refused", "Connections over a limit", connections_refused.clone());
        registry.register_collector(Box::new(DroppedLines));
        if let Some(statements) = statements {
            registry.register_collector(Box::new(StoreStatements(statements)));
        }
        registry.register_collector(Box::new(TrustMetrics(verifier)));
        let durations = (0..=ACCESS.len()).map(|_| std::array::from_fn(|_| OnceLock::new())).collect();
        Self { registry, calls, durations, in_flight, shed, connections, connections_refused }
    }

    /// Everything as Prometheus reads it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes all");
        text
    }

    pub(super) fn call_begun(&self, path: &str) -> MethodId {
        self.in_flight.inc();
        MethodId(ACCESS.binary_search_by(|(known, _)| (*known).cmp(path)).unwrap_or(ACCESS.len()))
    }

    /// Counts the call and returns the name of its method.
    pub(super) fn call_ended(&self, method: MethodId, code: Code, took: Duration) -> &'static str {
        self.in_flight.dec();
        let name = ACCESS.get(method.0).map_or(OTHER, |(path, _)| path.trim_start_matches('/'));
        let labels = || CallLabels { rpc_method: name, rpc_response_status_code: CodeName(code) };
        self.durations[method.0][code as usize]
            .get_or_init(|| self.calls.get_or_create(&labels()).clone())
            .observe(took.as_secs_f64());
        name
    }

    pub(super) fn call_shed(&self) {
        self.shed.inc();
    }

    pub(super) fn connection_opened(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    pub(super) fn connection_refused(&self) {
        self.connections_refused.inc();
    }
}

impl fmt::Debug for StoreStatements {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoreStatements")
    }
}

impl Collector for StoreStatements {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let statements = ConstCounter::new((self.0)());
        let help = "Statements that the store was given";
        statements.encode(encoder.encode_descriptor("store_statements", help, None, MetricType::Counter)?)
    }
}

impl Collector for DroppedLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let dropped = ConstCounter::new(crate::telemetry::dropped_lines());
        let help = "Log lines that nobody took in time";
        dropped.encode(encoder.encode_descriptor("log_lines_dropped", help, None, MetricType::Counter)?)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl prometheus_client::encoding::EncodeLabelValue for CodeName {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        use fmt::Write as _;
        encoder.write_str(match self.0 {
            Code::Ok => "OK",
            Code::Cancelled => "CANCELLED",
            Code::Unknown => "UNKNOWN",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::Aborted => "ABORTED",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::Internal => "INTERNAL",
            Code::Unavailable => "UNAVAILABLE",
            Code::DataLoss => "DATA_LOSS",
            Code::Unauthenticated => "UNAUTHENTICATED",
        })
    }
}
