use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use crate::Rejection;

type Digest = [u8; SHA256_OUTPUT_LEN];

/// What services must show to call the methods that are for them, by audience. Only digests are kept, and they are
/// compared in a time that does not depend on how much of them is right. Cheap to clone.
#[derive(Clone, Default)]
pub struct ServiceCredentials(Arc<HashMap<&'static str, Vec<Digest>>>);

impl ServiceCredentials {
    /// Accepts any of `secrets` for `audience`, and nothing for any other: the one in use, and while it is being
    /// replaced the one before.
    pub fn for_audience<'a>(audience: &'static str, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Arc::new(HashMap::from([(audience, secrets.into_iter().map(digest_of).collect())])))
    }

    pub(crate) fn check(&self, audience: &str, shown: &str) -> Result<(), Rejection> {
        let shown = digest_of(shown);
        let accepted = self.0.get(audience).into_iter().flatten();
        // All of them are looked at, whichever is right.
        let matching = accepted.filter(|known| verify_slices_are_equal(*known, &shown).is_ok()).count();
        if matching > 0 { Ok(()) } else { Err(Rejection::ServiceCredentialInvalid) }
    }
}

impl fmt::Debug for ServiceCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ServiceCredentials").field(&self.0.keys()).finish()
    }
}

fn digest_of(text: &str) -> Digest {
    let mut bytes = [0; SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_good_for_its_audience_and_for_no_other() {
        let credentials = ServiceCredentials::for_audience("inside", ["new", "old"]);
        for (audience, shown, expected) in [
            ("inside", "new", Ok(())),
            ("inside", "old", Ok(())),
            ("inside", "older", Err(Rejection::ServiceCredentialInvalid)),
            ("inside", "", Err(Rejection::ServiceCredentialInvalid)),
            ("inside", "new ", Err(Rejection::ServiceCredentialInvalid)),
            ("elsewhere", "new", Err(Rejection::ServiceCredentialInvalid)),
        ] {
            assert_eq!(credentials.check(audience, shown), expected, "{audience} {shown:?}");
        }
        assert!(ServiceCredentials::default().check("inside", "").is_err());
        assert!(!format!("{credentials:?}").contains("new"));
    }
}
