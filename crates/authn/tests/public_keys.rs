//! Which keys are taken, and which are refused and why. The cases are those of Wycheproof's JSON Web Key group and of RFC
//! 7517 and 7518.

use authn::testing::TestIssuer;
use authn::{PublicKey, TrustError};
use serde_json::{Value, json};

/// One key in the two PEM forms that there are for it.
const SPKI: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmmi/HFt9BvY0os4kvYBV
4QHjVYzPNQ4M409XSQ84R40tzA6FrpP4wM/iBk3uLu1UfmIzRs4016VZOfToVUBk
dW7iJnMi6rUSwz6fPMfA+KgzDtAfal/VzqsoU38r7zeoGX4uLho5iYP4tHm0Meze
foJs4fBtaWRElpxVgEMmwloKvkpZ18/KzsHp7sjSWp3YqtfzWqHC+0bkji5GsqIv
zTaHphl+CREFlQpnnclM3yK3feSDB3VH1ZLAjHLci2Fm2fpFGJ8OslQUZaIlU1PQ
FnWImeCuxkhzw6uKRNeSeJkjehP9AjFKDweTTLOBdXvqQQzlQWSuvoO71B2R4yk5
/QIDAQAB
-----END PUBLIC KEY-----";
const PKCS1: &str = "\
-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAmmi/HFt9BvY0os4kvYBV4QHjVYzPNQ4M409XSQ84R40tzA6FrpP4
wM/iBk3uLu1UfmIzRs4016VZOfToVUBkdW7iJnMi6rUSwz6fPMfA+KgzDtAfal/V
zqsoU38r7zeoGX4uLho5iYP4tHm0MezefoJs4fBtaWRElpxVgEMmwloKvkpZ18/K
zsHp7sjSWp3YqtfzWqHC+0bkji5GsqIvzTaHphl+CREFlQpnnclM3yK3feSDB3VH
1ZLAjHLci2Fm2fpFGJ8OslQUZaIlU1PQFnWImeCuxkhzw6uKRNeSeJkjehP9AjFK
DweTTLOBdXvqQQzlQWSuvoO71B2R4yk5/QIDAQAB
-----END RSA PUBLIC KEY-----";
/// An RSA key of 1,024 bits, and an elliptic one.
const SMALL: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCiJiOccf4l8Iy7G6q5vG8g0vlv
Q/V8bdTpQMRlFP1UgEzYGUlOa5MaNZRvLNZf4XlCgkZMzyPd8UsbOQMk9nTtbDHd
FG4RCaSAN6X4fJ7ENvXmVTbhCU1DFb1zxMVMlhdeCPnCtfATqrsDrYbksXJrK3Q2
rf6qle5qjchuUSQE/QIDAQAB
-----END PUBLIC KEY-----";
const ELLIPTIC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2BuCgIkvkJ5F3JBG+B10h81MMoLj
KqhJGB4+eMN202wzRQ8udJWs2rltfjmoEWOB+7eJjsltC1kZOZpGYjhlZA==
-----END PUBLIC KEY-----";

fn issuer() -> TestIssuer {
    TestIssuer::new("https://login.example", "notes-service")
}

/// The issuer's key with one member set, or without it.
fn jwk_with(name: &str, value: Option<Value>) -> String {
    let mut jwk = issuer().jwk();
    let members = jwk.as_object_mut().expect("an object");
    match value {
        Some(value) => drop(members.insert(name.to_owned(), value)),
        None => drop(members.remove(name)),
    }
    jwk.to_string()
}

/// A modulus of so many bits, which are all set.
fn modulus(bits: usize) -> String {
    use base64::Engine as _;
    let mut bytes = vec![0xff_u8; bits.div_ceil(8)];
    if !bits.is_multiple_of(8) {
        bytes[0] = (1 << (bits % 8)) - 1;
    }
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn a_key_is_read_from_either_pem_form_and_named_by_its_thumbprint() {
    let (one, other) = (PublicKey::from_pem(SPKI.as_bytes()), PublicKey::from_pem(PKCS1.as_bytes()));
    let (one, other) = (one.expect("a key"), other.expect("a key"));
    assert_eq!(one, other);
    assert_eq!(one.key_id().len(), 43, "SHA-256 in base64url");
    let from_pem = PublicKey::from_pem(issuer().public_pem().as_bytes()).expect("a key");
    assert_eq!(from_pem, issuer().public_key());
    let unnamed = PublicKey::from_jwk(&jwk_with("kid", None)).expect("a key");
    assert_eq!(unnamed, from_pem, "a JSON Web Key without kid is named likewise");
}

#[test]
fn what_is_not_one_public_rsa_key_in_pem_is_refused() {
    for (name, pem) in [
        ("nothing", String::new()),
        ("text", "not a key".to_owned()),
        ("an elliptic key", ELLIPTIC.to_owned()),
        ("two keys", format!("{SPKI}\n{PKCS1}")),
        ("a certificate", SPKI.replace("PUBLIC KEY", "CERTIFICATE")),
        ("half a key", SPKI.lines().take(4).collect::<Vec<_>>().join("\n")),
        ("rubbish inside", SPKI.replace("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let refused = PublicKey::from_pem(pem.as_bytes());
        assert!(matches!(refused, Err(TrustError::Pem)), "{name}: {refused:?}");
    }
    let refused = PublicKey::from_pem(issuer().private_pem().as_bytes());
    assert!(matches!(refused, Err(TrustError::SecretKey)), "{refused:?}");
}

#[test]
fn a_key_that_is_too_small_is_refused_in_pem_too() {
    let refused = PublicKey::from_pem(SMALL.as_bytes());
    assert!(matches!(refused, Err(TrustError::KeySize(1024))), "{refused:?}");
}

#[test]
fn a_json_web_key_for_verifying_rs256_is_taken() {
    for (name, value) in [
        ("use", None),
        ("alg", None),
        ("kid", None),
        ("kid", Some(json!("a"))),
        ("kid", Some(json!("2026-11-24/key+1=~._-"))),
        ("kid", Some(json!("k".repeat(64)))),
        ("key_ops", Some(json!(["verify"]))),
        ("key_ops", Some(json!(["encrypt", "verify"]))),
        ("e", Some(json!("Aw"))),
        ("e", Some(json!("AQAB"))),
        ("n", Some(json!(modulus(2048)))),
        ("n", Some(json!(modulus(3072)))),
        ("n", Some(json!(modulus(8192)))),
        ("x5c", Some(json!(["MIIB"]))),
        ("x5u", Some(json!("http://127.0.0.1:9/"))),
        ("iat", Some(json!(1_800_000_000))),
    ] {
        let taken = PublicKey::from_jwk(&jwk_with(name, value.clone()));
        assert!(taken.is_ok(), "{name} {value:?}: {taken:?}");
    }
}

#[test]
fn a_json_web_key_for_another_purpose_is_not_taken() {
    for (name, value) in [
        ("kty", json!("EC")),
        ("kty", json!("OKP")),
        ("kty", json!("rsa")),
        ("kty", json!("")),
        ("use", json!("enc")),
        ("use", json!("SIG")),
        ("use", json!("")),
        ("key_ops", json!([])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!(["encrypt", "wrapKey"])),
        ("alg", json!("RS384")),
        ("alg", json!("RS512")),
        ("alg", json!("PS256")),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!("HS256")),
        ("alg", json!("none")),
        ("alg", json!("rs256")),
        ("alg", json!("")),
    ] {
        let refused = PublicKey::from_jwk(&jwk_with(name, Some(value.clone())));
        assert!(matches!(refused, Err(TrustError::OtherPurpose)), "{name} {value}: {refused:?}");
    }
}

#[test]
fn a_weak_or_unsound_key_is_refused() {
    for bits in [8, 1024, 2047, 8193, 16384] {
        let refused = PublicKey::from_jwk(&jwk_with("n", Some(json!(modulus(bits)))));
        assert!(matches!(refused, Err(TrustError::KeySize(size)) if size == bits), "{bits}: {refused:?}");
    }
    let even = format!("{}-", &modulus(2048)[..341]);
    for (name, value) in [("e", "AQ"), ("e", "Ag"), ("e", "BA"), ("e", "AQAA"), ("e", "AQAAAAE"), ("n", even.as_str())]
    {
        let refused = PublicKey::from_jwk(&jwk_with(name, Some(json!(value))));
        assert!(refused.is_err(), "{name} {value}: {refused:?}");
    }
}

#[test]
fn a_secret_key_in_a_public_place_is_refused() {
    for (name, value) in [
        ("kty", json!("oct")),
        ("k", json!("c2VjcmV0")),
        ("d", json!("AQAB")),
        ("p", json!("AQAB")),
        ("q", json!(null)),
        ("dp", json!("")),
        ("dq", json!("AQAB")),
        ("qi", json!("AQAB")),
        ("oth", json!([])),
    ] {
        let refused = PublicKey::from_jwk(&jwk_with(name, Some(value)));
        assert!(matches!(refused, Err(TrustError::SecretKey)), "{name}: {refused:?}");
    }
}

#[test]
fn a_json_web_key_of_another_form_is_refused() {
    for name in ["kty", "n", "e"] {
        for value in [None, Some(json!(null)), Some(json!(7)), Some(json!([])), Some(json!({}))] {
            let refused = PublicKey::from_jwk(&jwk_with(name, value.clone()));
            assert!(matches!(refused, Err(TrustError::Jwk)), "{name} {value:?}: {refused:?}");
        }
    }
    let n = modulus(2048);
    for (name, value) in [
        ("n", json!("")),
        ("n", json!(format!("AA{n}"))),
        ("n", json!(format!("{n}=="))),
        ("n", json!(format!("{n} "))),
        ("n", json!(n.replace('_', "/"))),
        ("n", json!("0x.ff")),
        ("e", json!("AAEAAQ")),
        ("e", json!("AQAB=")),
        ("e", json!("AQAC*")),
        ("e", json!("AR")),
        ("use", json!(null)),
        ("use", json!(["sig"])),
        ("key_ops", json!("verify")),
        ("key_ops", json!([7])),
        ("alg", json!(null)),
        ("kid", json!(null)),
        ("kid", json!(7)),
        ("x", json!({"a": {"b": [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}})),
    ] {
        let refused = PublicKey::from_jwk(&jwk_with(name, Some(value.clone())));
        assert!(matches!(refused, Err(TrustError::Jwk)), "{name} {value}: {refused:?}");
    }
    let jwk = issuer().jwk().to_string();
    let twice = jwk.replacen('{', r#"{"kty":"RSA","#, 1);
    for text in ["", "7", "[]", "{}", "null", &twice, &format!("{jwk}{jwk}")] {
        let refused = PublicKey::from_jwk(text);
        assert!(matches!(refused, Err(TrustError::Jwk)), "{text}: {refused:?}");
    }
}

#[test]
fn a_key_id_is_short_and_of_safe_characters() {
    for id in ["", "a b", "a\0", "a\n", "ключ", "a'--", "a{b}", "a:b", &"k".repeat(65)] {
        let refused = PublicKey::from_jwk(&jwk_with("kid", Some(json!(id))));
        assert!(matches!(refused, Err(TrustError::KeyId)), "{id:?}: {refused:?}");
        assert!(matches!(issuer().public_key().with_key_id(id), Err(TrustError::KeyId)), "{id:?}");
    }
    let renamed = issuer().public_key().with_key_id("2026-11").expect("an id");
    assert_eq!(renamed.key_id(), "2026-11");
    assert_ne!(renamed, issuer().public_key());
}
