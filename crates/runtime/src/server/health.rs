//! Whether the process lives and whether its services are ready: over gRPC for clients, and for the operations listener.
//! Readiness is looked at in the background, never while somebody asks.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthRpc, HealthServer};
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;

use super::Check;

/// The full name of the health service.
pub(super) const SERVICE: &str = "grpc.health.v1.Health";
/// The full names of the reflection services.
pub(super) const REFLECTION: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// Between two looks while the services are ready.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two looks while they are not, so that a start is noticed at once.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A check that takes longer says no.
const CHECK_WITHIN: Duration = Duration::from_secs(1);

/// The state of this process.
#[derive(Clone)]
pub(super) struct Health {
    reporter: HealthReporter,
    names: Arc<[&'static str]>,
    checks: Arc<[Check]>,
    ready: Arc<AtomicBool>,
}

impl Health {
    /// Alive and not ready.
    pub(super) fn new(names: &[&'static str], checks: Vec<Check>) -> (Self, HealthServer<impl HealthRpc + use<>>) {
        let (reporter, server) = tonic_health::server::health_reporter();
        let health = Self { reporter, names: names.into(), checks: checks.into(), ready: Arc::default() };
        (health, server)
    }

    /// Whether every check said yes when it was last looked at, and the process is not stopping.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Names the services, none of them ready; before this they are unknown to whoever asks.
    pub(super) async fn begin(&self) {
        self.tell(ServingStatus::NotServing).await;
    }

    /// Looks again and again.
    pub(super) async fn watch(self) {
        loop {
            let ready = self.look().await;
            if ready != self.ready.swap(ready, Ordering::AcqRel) {
                let state = if ready { "ready" } else { "not ready" };
                tracing::info!(ready, "{state}");
                self.tell(if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
            }
            tokio::time::sleep(if ready { LOOK_EVERY } else { LOOK_AGAIN }).await;
        }
    }

    /// Says not ready from now on; the watch has ended.
    pub(super) async fn stop(&self) {
        self.ready.store(false, Ordering::Release);
        self.tell(ServingStatus::NotServing).await;
    }

    async fn look(&self) -> bool {
        for check in self.checks.iter() {
            // A check that panics must not end the watch, which would leave the last state for ever.
            let probe = AssertUnwindSafe(async { (check.probe)().await }).catch_unwind();
            if !matches!(tokio::time::timeout(CHECK_WITHIN, probe).await, Ok(Ok(true))) {
                tracing::debug!(check = check.name, "not ready");
                return false;
            }
        }
        true
    }

    async fn tell(&self, status: ServingStatus) {
        for name in self.names.iter() {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Whether this is a method of the health service.
pub(super) fn is_health(path: &str) -> bool {
    is_of(path, SERVICE)
}

/// Whether this is a method of a reflection service, whose requests are streams.
pub(super) fn is_reflection(path: &str) -> bool {
    REFLECTION.iter().any(|service| is_of(path, service))
}

fn is_of(path: &str, service: &str) -> bool {
    path.strip_prefix('/').and_then(|path| path.strip_prefix(service)).is_some_and(|rest| rest.starts_with('/'))
}

/// Adds reflection of the services that are served here, with their comments and options, and of the details of errors:
/// clients that show them read their types here.
pub(super) fn with_reflection(grpc: Routes, names: &[&'static str]) -> Routes {
    let builder = || {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(SERVICE);
        names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
    };
    let v1 = builder().build_v1().expect("the descriptors of our own contracts");
    let v1alpha = builder().build_v1alpha().expect("the descriptors of our own contracts");
    grpc.add_service(v1).add_service(v1alpha)
}
