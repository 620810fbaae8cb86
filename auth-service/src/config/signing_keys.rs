use runtime::config::{Reader, Secret};

use super::{Config, DAY, MINUTE, SECOND};
use crate::crypto::KeyBits;
use crate::domain::KeyRules;

/// The keys that sign access tokens.
#[derive(Clone, Debug)]
pub(crate) struct SigningKeyConfig {
    /// The operator's own, if there is one.
    pub(crate) given: Option<Secret>,
    /// The size of those that are made.
    pub(crate) bits: KeyBits,
    /// What they are encrypted under in the store.
    pub(crate) encryption_key: Option<Secret>,
    /// What they were encrypted under before.
    pub(crate) previous_encryption_key: Option<Secret>,
    /// When they take turns.
    pub(crate) rules: KeyRules,
}

impl SigningKeyConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            given: reader.secret(
                "signing_key",
                None,
                "RSA private key that signs access tokens, as PEM (PKCS#8 or PKCS#1), at least 2,048 bits: then no other \
                 is made and none is rotated. Together with signing_keys.encryption_key it is what an empty store begins \
                 with.",
            ),
            bits: bits(reader),
            encryption_key: reader.secret(
                "signing_keys.encryption_key",
                None,
                "Secret under which the signing keys in the store are encrypted, at least 32 random bytes as text. Without \
                 it one is made at first start and kept in data_dir; on PostgreSQL it must be given, unless signing_key is.",
            ),
            previous_encryption_key: reader.secret(
                "signing_keys.previous_encryption_key",
                None,
                "The secret before, under which keys are still encrypted while it is being replaced.",
            ),
            rules: KeyRules {
                rotation_interval: reader.duration(
                    "signing_keys.rotation_interval",
                    30 * DAY,
                    MINUTE..=3650 * DAY,
                    "How long a signing key signs before the next one does.",
                ),
                publish_ahead: reader.duration(
                    "signing_keys.publish_ahead",
                    10 * MINUTE,
                    SECOND..=30 * DAY,
                    "How long a key is published before it signs: longer than any verifier uses a copy of the key set.",
                ),
            },
        }
    }

    /// Whether the operator's key is used as it is.
    pub(crate) const fn is_fixed(&self) -> bool {
        self.given.is_some() && self.encryption_key.is_none()
    }
}

/// A key must have come to everybody before it signs.
pub(super) fn check_publish_ahead(reader: &mut Reader, config: &Config) {
    if config.signing_keys.is_fixed() {
        return;
    }
    if config.signing_keys.rules.publish_ahead < config.jwks_max_age.max(config.trust.interval) {
        let why = "must not be shorter than jwks.max_age and trust.poll_interval, or verifiers would not know a key";
        reader.refuse("signing_keys.publish_ahead", why);
    }
}

fn bits(reader: &mut Reader) -> KeyBits {
    match reader.number(
        "signing_key_bits",
        2048,
        2048..=4096,
        "Size of a signing key that is made: 2048, 3072 or 4096.",
    ) {
        2048 => KeyBits::Rsa2048,
        3072 => KeyBits::Rsa3072,
        4096 => KeyBits::Rsa4096,
        _ => {
            reader.refuse("signing_key_bits", "must be 2048, 3072 or 4096");
            KeyBits::Rsa2048
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| (format!("AUTH_SERVICE_{name}"), (*value).to_owned()));
        let mut reader = Reader::new("AUTH_SERVICE", None, environment).expect("there is no file");
        let config = Config::read(&mut reader);
        reader.finish().map(|()| config).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_refused(environment: &[(&str, &str)]) {
        let refused = read(environment).map(|_| ()).expect_err("a mistake");
        assert!(refused.contains("signing_keys.publish_ahead"), "{refused}");
    }

    #[test]
    fn keys_take_turns_unless_the_operator_has_given_one_and_nothing_to_encrypt_others_under() {
        let is_fixed = |environment| read(environment).expect("good").signing_keys.is_fixed();
        assert!(!is_fixed(&[]));
        assert!(is_fixed(&[("SIGNING_KEY", "PEM")]));
        assert!(!is_fixed(&[("SIGNING_KEYS_ENCRYPTION_KEY", "secret")]));
        assert!(!is_fixed(&[("SIGNING_KEY", "PEM"), ("SIGNING_KEYS_ENCRYPTION_KEY", "secret")]));
    }

    #[test]
    fn a_key_is_published_ahead_for_as_long_as_a_copy_of_the_key_set_is_used() {
        let ahead = ("SIGNING_KEYS_PUBLISH_AHEAD", "2m");
        check_refused(&[ahead, ("JWKS_MAX_AGE", "3m")]);
        check_refused(&[("SIGNING_KEYS_PUBLISH_AHEAD", "1s"), ("JWKS_MAX_AGE", "0s"), ("TRUST_POLL_INTERVAL", "2s")]);
        read(&[ahead, ("JWKS_MAX_AGE", "2m")]).expect("the allowed twin");
        read(&[("JWKS_MAX_AGE", "1d"), ("SIGNING_KEY", "PEM")]).expect("a key that does not change");
    }
}
