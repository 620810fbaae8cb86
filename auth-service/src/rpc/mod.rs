//! The contracts of `auth.v1` over gRPC, and the public keys over plain HTTP. Translates, and decides nothing.

mod account;
mod account_requests;
mod auth;
mod convert;
mod jwks_http;
#[cfg(test)]
mod limits;
mod status;
mod trust;

use std::sync::Arc;

use authn::{AccessPolicy, ServiceCredentials};
use proto::auth::internal::v1::trust_service_server::TrustServiceServer;
use proto::auth::v1::account_service_server::AccountServiceServer;
use proto::auth::v1::auth_service_server::AuthServiceServer;
use tonic::service::Routes;

use self::account::AccountRpc;
use self::auth::AuthRpc;
pub(crate) use self::convert::Rules;
pub(crate) use self::jwks_http::{Published, router};
use self::trust::TrustRpc;
use crate::app::App;

/// The name of this service in `google.rpc.ErrorInfo.domain`.
pub(crate) const DOMAIN: &str = "auth-service";

/// The gRPC services served, by full name.
pub(crate) const SERVICES: [&str; 2] = ["auth.v1.AuthService", "auth.v1.AccountService"];

/// Those for other services, on the internal listener.
const INTERNAL_SERVICES: [&str; 1] = ["auth.internal.v1.TrustService"];

/// The audience of the credential that their rules demand.
const INTERNAL_AUDIENCE: &str = "auth-internal";

/// The gRPC services.
pub(crate) fn routes(app: &Arc<App>, rules: Rules, max_request_bytes: usize) -> Routes {
    let auth = AuthServiceServer::new(AuthRpc { app: Arc::clone(app), rules: rules.clone() });
    let account = AccountServiceServer::new(AccountRpc { app: Arc::clone(app), rules });
    Routes::new(auth.max_decoding_message_size(max_request_bytes))
        .add_service(account.max_decoding_message_size(max_request_bytes))
}

/// The gRPC services for other services of the same operator.
pub(crate) fn internal_routes(app: &Arc<App>) -> Routes {
    Routes::new(TrustServiceServer::new(TrustRpc { app: Arc::clone(app) }))
}

/// Who may call which of their methods, as the contracts say.
pub(crate) fn policy() -> AccessPolicy {
    policy_of(&SERVICES)
}

/// Who may call which method of the internal services.
pub(crate) fn internal_policy() -> AccessPolicy {
    policy_of(&INTERNAL_SERVICES)
}

/// What the internal services demand, as their rules say: one of these.
pub(crate) fn internal_credentials<'a>(secrets: impl IntoIterator<Item = &'a str>) -> ServiceCredentials {
    ServiceCredentials::for_audience(INTERNAL_AUDIENCE, secrets)
}

fn policy_of(services: &'static [&'static str]) -> AccessPolicy {
    let ours = |path: &str| services.iter().any(|service| path.split('/').nth(1) == Some(service));
    AccessPolicy::new(proto::access::ACCESS.iter().copied().filter(|(path, _)| ours(path)))
}
