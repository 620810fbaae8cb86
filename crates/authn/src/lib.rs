//! Verifies RS256 access tokens (RFC 9068) in any tonic or tower service, without asking anybody for each call.
//!
//! ```
//! use authn::{AccessPolicy, AuthLayer, Clock, JwksConfig, Rule, Trust, TrustError, Verifier, VerifierConfig};
//! # use tonic::{Request, Response, Status};
//! # use proto::auth::v1::{Account, GetAccountRequest, account_service_server::{AccountService, AccountServiceServer}};
//!
//! fn guarded<S: AccountService>(service: S) -> Result<impl Sized, TrustError> {
//!     let trust = Trust::follow_jwks(JwksConfig::new("https://login.example/.well-known/jwks.json"))?;
//!     let verifier = Verifier::new(VerifierConfig::new("https://login.example", "accounts"), trust, Clock::system());
//!     let policy = AccessPolicy::new([("/auth.v1.AccountService/GetAccount", Rule::Scope("account.read"))]);
//!     let mut server = tonic::transport::Server::builder().layer(AuthLayer::new(policy, verifier, "accounts"));
//!     Ok(server.add_service(AccountServiceServer::new(service))) // and `.serve(address)`
//! }
//! # struct Accounts;
//! #[tonic::async_trait]
//! impl AccountService for Accounts {
//!     async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
//!         use authn::RequestExt as _;
//!         let owner = request.subject().map_err(|rejection| rejection.into_status("accounts"))?;
//!         Ok(Response::new(Account { name: format!("accounts/{owner}"), ..Account::default() }))
//!     }
//! #   async fn update_account(&self, _: Request<proto::auth::v1::UpdateAccountRequest>) -> Result<Response<proto::auth::v1::Account>, Status> { unimplemented!() }
//! #   async fn change_password(&self, _: Request<proto::auth::v1::ChangePasswordRequest>) -> Result<Response<proto::auth::v1::ChangePasswordResponse>, Status> { unimplemented!() }
//! #   async fn list_sessions(&self, _: Request<proto::auth::v1::ListSessionsRequest>) -> Result<Response<proto::auth::v1::ListSessionsResponse>, Status> { unimplemented!() }
//! #   async fn revoke_session(&self, _: Request<proto::auth::v1::RevokeSessionRequest>) -> Result<Response<proto::auth::v1::RevokeSessionResponse>, Status> { unimplemented!() }
//! #   async fn delete_account(&self, _: Request<proto::auth::v1::DeleteAccountRequest>) -> Result<Response<proto::auth::v1::DeleteAccountResponse>, Status> { unimplemented!() }
//! #   async fn sign_out(&self, _: Request<proto::auth::v1::SignOutRequest>) -> Result<Response<proto::auth::v1::SignOutResponse>, Status> { unimplemented!() }
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() { guarded(Accounts).expect("guarded"); }
//! ```
//!
//! # The map
//!
//! Begin with [`Verifier::verify`], which lists the checks in their order, and [`AuthLayer`], which makes them for every
//! call of a server and refuses what has no [`Rule`]. [`Authenticate`] is the `tonic` interceptor inside of it, to be used
//! alone around a single service. [`Trust`] says where the keys come from: a PEM file ([`PublicKey::from_pem`]), a key
//! set that is followed ([`Trust::follow_jwks`]), or the trust stream of the auth service ([`Trust::follow_stream`]), which
//! brings revocations too. A handler asks [`RequestExt`] for the [`Principal`] and its [`Subject`].
//! [`Rejection`] is every way to be refused, with its reason and its answer. [`claims::Claims`] is what a token says, for
//! issuers, and [`Clock`] the time that is handed down. The feature `testing` has an issuer of real and of broken tokens.
//!
//! # What it never does
//!
//! - It reads no claim of a token whose signature it has not verified, and no function does that for others.
//! - It takes no algorithm, key or address from a token: RS256 alone, by the keys of the trust source alone.
//! - It tries no other key than the one that the token names.
//! - It asks no network and no database during a call, and follows no redirect when it fetches keys.
//! - It writes no token to a log, an error or a `Debug` output, and keeps none: verified ones are remembered by digest.
//! - It lets nothing through because something failed: no keys, no rule, an unreadable header are refusals.
//!
//! # Before a token expires
//!
//! With [`Trust::follow_stream`] a sign-out, a change of password, a ban or the revocation of a key acts here within half a
//! second, on calls and on open streams, still without asking anybody for a call. With any other source tokens live until
//! they expire.

mod authenticate;
pub mod claims;
mod clock;
mod end_in_time;
mod fault;
mod json;
mod layer;
mod policy;
mod principal;
mod rejection;
mod service_credentials;
mod steady;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod trust;
mod verifier;

pub use authenticate::{Authenticate, RequestExt};
pub use clock::{Clock, ManualClock};
pub use end_in_time::LastWords;
pub use layer::{AuthLayer, AuthService};
pub use policy::AccessPolicy;
pub use principal::{Principal, SessionId, Subject};
pub use proto::access::Rule;
pub use rejection::Rejection;
pub use service_credentials::ServiceCredentials;
pub use trust::{
    JwksConfig, KeySet, PublicKey, Revocation, Revoked, StreamConfig, StreamCredential, Trust, TrustError, TrustFeed,
    TrustStatus,
};
pub use verifier::{Verifier, VerifierConfig};
