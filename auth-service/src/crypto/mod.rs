//! What needs keys or randomness: password hashes, access tokens, the MAC of refresh tokens.

mod hashing_memory;
mod hashing_threads;
mod key_encryption_key;
mod key_store;
mod password_hasher;
mod refresh_secret;
mod secret_source;
mod token_signer;

pub(crate) use key_encryption_key::KeyEncryptionKey;
pub(crate) use key_store::{KeyBits, KeyError, PublicJwk, SigningKey};
pub(crate) use password_hasher::{
    HashError, HashingSettings, MAX_ITERATIONS, MAX_MEMORY_KIB, PasswordHasher, Verification,
};
pub(crate) use refresh_secret::{NoRandomness, RefreshSecret, new_nonce};
pub(crate) use secret_source::SecretSource;
pub(crate) use token_signer::{SigningError, TokenSettings, TokenSigner};
