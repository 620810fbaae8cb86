//! What the cores can do without a service around it: the rates that logins and refreshes are compared with.

use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;

use crate::Failure;

/// RS256 signatures per second of all cores, with a 2048-bit key that is parsed once.
///
/// # Errors
/// If no key can be made.
pub(crate) fn rs256_rate(during: Duration) -> Result<f64, Failure> {
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let random = SystemRandom::new();
    // As long as the signing input of an access token.
    let message = [b'x'; 700];
    Ok(rate(during, || {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &random, &message, &mut signature).expect("the buffer fits");
    }))
}

/// Argon2id hashes per second of all cores, with the parameters of the auth service (19,456 KiB, 2 passes, 1 lane).
///
/// # Errors
/// If the parameters are refused.
pub(crate) fn argon2id_rate(during: Duration) -> Result<f64, Failure> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19_456, 2, 1, None)?);
    Ok(rate(during, || {
        let mut hash = [0; 32];
        argon2.hash_password_into(b"a password of a benchmark", &[7; 16], &mut hash).expect("good lengths");
    }))
}

/// How often all cores together do `work` in a second.
fn rate(during: Duration, work: impl Fn() + Sync) -> f64 {
    let count = || {
        let begin = Instant::now();
        let mut done = 0_u32;
        while begin.elapsed() < during {
            work();
            done += 1;
        }
        f64::from(done) / begin.elapsed().as_secs_f64()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..crate::cores()).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    })
}
