use std::time::Duration;

use authn::SessionId;

use super::AccountId;

/// Longest life of an access token that this service issues or accepts, whatever it is set to.
pub const MAX_ACCESS_TOKEN_TTL: Duration = Duration::from_secs(10 * 60);

/// What verifiers refuse although it has not expired: access tokens name all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The access tokens of one session, which are those with this `sub` and `sid`.
    Session {
        /// Whose session it was.
        account: AccountId,
        /// Which.
        session: SessionId,
    },
    /// The access tokens of an account whose `ver` is below a number. Issue times would misjudge the tokens of one
    /// second, of which there are whole ones only.
    Subject {
        /// Whose.
        account: AccountId,
        /// The least token version that is still good.
        minimum_version: u64,
    },
    /// What a signing key signed.
    Key {
        /// Its id.
        kid: String,
    },
    /// Everything that was issued before.
    All,
}

impl Revocation {
    /// How long a revocation is kept: as long as the youngest token that it covers can be good somewhere. That is the
    /// longest life of a token, the most leeway that a verifier may give, and as much for clocks that differ.
    ///
    /// It does not follow the settings, since replicas may differ in them while one is rolled out.
    pub const KEPT: Duration = Duration::from_secs(MAX_ACCESS_TOKEN_TTL.as_secs() + 30 + 30);
}
