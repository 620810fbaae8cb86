//! The contracts of `auth.v1` over gRPC, and the public keys over plain HTTP. Translates, and decides nothing.

mod account;
mod account_requests;
mod auth;
mod convert;
mod jwks_http;
#[cfg(test)]
mod limits;
mod status;

use std::sync::Arc;

use authn::AccessPolicy;
use proto::auth::v1::account_service_server::AccountServiceServer;
use proto::auth::v1::auth_service_server::AuthServiceServer;
use tonic::service::Routes;

use self::account::AccountRpc;
use self::auth::AuthRpc;
pub(crate) use self::convert::Rules;
pub(crate) use self::jwks_http::{Published, router};
use crate::app::App;

/// The name of this service in `google.rpc.ErrorInfo.domain`.
pub(crate) const DOMAIN: &str = "auth-service";

/// The gRPC services served, by full name.
pub(crate) const SERVICES: [&str; 2] = ["auth.v1.AuthService", "auth.v1.AccountService"];

/// The gRPC services.
pub(crate) fn routes(app: &Arc<App>, rules: Rules, max_request_bytes: usize) -> Routes {
    let auth = AuthServiceServer::new(AuthRpc { app: Arc::clone(app), rules: rules.clone() });
    let account = AccountServiceServer::new(AccountRpc { app: Arc::clone(app), rules });
    Routes::new(auth.max_decoding_message_size(max_request_bytes))
        .add_service(account.max_decoding_message_size(max_request_bytes))
}

/// Who may call which of their methods, as the contracts say.
pub(crate) fn policy() -> AccessPolicy {
    let ours = |path: &str| SERVICES.iter().any(|service| path.split('/').nth(1) == Some(service));
    AccessPolicy::new(proto::access::ACCESS.iter().copied().filter(|(path, _)| ours(path)))
}
