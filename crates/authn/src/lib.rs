//! Verifies RS256 access tokens (RFC 9068) in any tonic or tower service.

pub mod claims;
mod clock;
mod layer;
mod policy;
mod principal;
mod rejection;
#[cfg(feature = "testing")]
pub mod testing;
mod trust;
mod verifier;

pub use clock::{Clock, ManualClock};
pub use layer::{AuthLayer, RequestExt};
pub use policy::AccessPolicy;
pub use principal::{Principal, SessionId, Subject};
pub use proto::access::Rule;
pub use rejection::Rejection;
pub use trust::{JwksConfig, PublicKey, Trust, TrustError};
pub use verifier::{Verifier, VerifierConfig};
