//! Every way to break a token.

mod texts;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::TestIssuer;
use crate::Rejection;
use crate::claims::Claims;

/// A token that every verifier must refuse.
#[derive(Clone, Debug)]
pub struct BrokenToken {
    /// What is wrong with it.
    pub name: String,
    /// The token.
    pub token: String,
    /// What the refusal must be.
    pub rejection: Rejection,
}

impl TestIssuer {
    /// A broken variant of a good token for each check there is. `good` must be claims that are accepted now by a
    /// verifier with a leeway of at most 30 s and a cap of at most an hour on the lifetime.
    #[must_use]
    pub fn broken_tokens(&self, good: &Claims) -> Vec<BrokenToken> {
        let breaker = Breaker {
            issuer: self,
            header: object(&self.header()),
            claims: object(&serde_json::to_string(good).expect("claims are JSON")),
            good: self.sign(good),
        };
        let cases = [
            breaker.forms(),
            breaker.encodings(),
            breaker.algorithms(),
            breaker.headers(),
            breaker.foreign_keys(),
            breaker.signatures(),
            breaker.texts(),
            breaker.claims(),
        ];
        let invalid = cases.into_iter().flatten().map(|(name, token)| (name, token, Rejection::TokenInvalid));
        let expired = breaker.expired().into_iter().map(|(name, token)| (name, token, Rejection::TokenExpired));
        invalid.chain(expired).map(|(name, token, rejection)| BrokenToken { name, token, rejection }).collect()
    }
}

type Case = (String, String);

struct Breaker<'i> {
    issuer: &'i TestIssuer,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    good: String,
}

impl Breaker<'_> {
    /// Anything but three parts between two dots.
    fn forms(&self) -> Vec<Case> {
        let good = &self.good;
        let [header, claims, signature] = self.parts();
        vec![
            case("empty", ""),
            case("a word", "token"),
            case("dots alone", ".."),
            case("one part", header),
            case("two parts", &format!("{header}.{claims}")),
            case("four parts", &format!("{good}.{signature}")),
            case("five parts, like encryption", &format!("{header}.{claims}.{signature}.{claims}.{signature}")),
            case("a dot before", &format!(".{good}")),
            case("a dot after", &format!("{good}.")),
            case("no header", &format!(".{claims}.{signature}")),
            case("no claims", &format!("{header}..{signature}")),
            case("no signature", &format!("{header}.{claims}.")),
            // Not around it: there HTTP takes it away.
            case("a space inside", &format!("{header}. {claims}.{signature}")),
            case("a line feed inside", &format!("{header}.\n{claims}.{signature}")),
            case("two tokens", &format!("{good},{good}")),
            case("in quotes", &format!("\"{good}\"")),
            case(
                "JSON serialization",
                &json!({"protected": header, "payload": claims, "signature": signature}).to_string(),
            ),
            case("longer than 4 KiB", &self.with_claim("padding", json!("x".repeat(4096)))),
        ]
    }

    /// Base64url in another than its one canonical form; the signature covers it.
    fn encodings(&self) -> Vec<Case> {
        let [header, claims, signature] = self.parts();
        let standard = |text: &str| text.replace('-', "+").replace('_', "/");
        // 256 bytes leave four bits of the last character unused.
        let mut cases = vec![
            case("stray bits in the signature", &format!("{header}.{claims}.{}", with_stray_bits(signature))),
            case("padding after the signature", &format!("{header}.{claims}.{signature}==")),
            case("a stray character in the signature", &format!("{header}.{claims}.{signature}A")),
            case("the signature in hexadecimal", &format!("{header}.{claims}.{}", "0a".repeat(256))),
        ];
        // Spaces bring both texts to a length that leaves bits unused, and `>` and `?` to the two special characters.
        let spaced = |object: &Map<String, Value>| {
            let mut text = text(object);
            while text.len() % 3 != 1 {
                text.push(' ');
            }
            URL_SAFE_NO_PAD.encode(text)
        };
        let (header, claims) = (spaced(&self.header), spaced(&self.claims));
        let special = URL_SAFE_NO_PAD.encode(text(&with(&self.claims, "a", json!(">>>???>>>???"))));
        let signed = |header: &str, claims: &str| self.issuer.sign_parts(header, claims);
        cases.extend([
            case("stray bits in the header", &signed(&with_stray_bits(&header), &claims)),
            case("stray bits in the claims", &signed(&header, &with_stray_bits(&claims))),
            case("padding after the header", &signed(&format!("{header}=="), &claims)),
            case("padding after the claims", &signed(&header, &format!("{claims}=="))),
            case("the standard alphabet in the claims", &signed(&header, &standard(&special))),
            case("a percent escape in the claims", &signed(&header, &claims.replacen('A', "%41", 1))),
            case("a space in the claims", &signed(&header, &format!("{claims} "))),
        ]);
        cases
    }

    /// Another algorithm than RS256, named or used.
    fn algorithms(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for name in ["none", "None", "NONE", "nOnE", ""] {
            let signed = self.signed_part("alg", json!(name));
            cases.push(case(&format!("alg {name:?}, unsigned"), &format!("{signed}.")));
            cases.push(case(&format!("alg {name:?}, signed"), &self.with_header("alg", json!(name))));
        }
        for name in ["RS384", "RS512", "PS256", "ES256", "EdDSA", "HS256", "rs256", "RS256 ", "Rs256", "RS256\0"] {
            cases.push(case(&format!("alg {name:?}"), &self.with_header("alg", json!(name))));
        }
        for value in wrong_types() {
            cases.push(case(&format!("alg {value}"), &self.with_header("alg", value)));
        }
        cases.push(case("alg missing", &self.without_header("alg")));
        let hs256 = self.signed_part("alg", json!("HS256"));
        let public = [
            ("PEM", self.issuer.public_pem().into_bytes()),
            ("trimmed PEM", self.issuer.public_pem().trim().as_bytes().to_vec()),
            ("DER", self.issuer.public_der()),
            ("empty secret", Vec::new()),
        ];
        for (form, secret) in public {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), hs256.as_bytes());
            cases.push(case(&format!("HS256 with the public key as {form}"), &joined(&hs256, tag.as_ref())));
        }
        let rs512 = self.signed_part("alg", json!("RS512"));
        cases.push(case("RS512", &joined(&rs512, &self.issuer.signature(&RSA_PKCS1_SHA512, &rs512))));
        let ps256 = self.signed_part("alg", json!("PS256"));
        cases.push(case("PS256", &joined(&ps256, &self.issuer.signature(&RSA_PSS_SHA256, &ps256))));
        let signed = self.good_signed_part();
        cases.push(case("RS512 named RS256", &joined(signed, &self.issuer.signature(&RSA_PKCS1_SHA512, signed))));
        cases.push(case("PS256 named RS256", &joined(signed, &self.issuer.signature(&RSA_PSS_SHA256, signed))));
        cases
    }

    /// A header that is another token's, or that we cannot understand.
    fn headers(&self) -> Vec<Case> {
        let mut cases =
            vec![case("typ missing", &self.without_header("typ")), case("kid missing", &self.without_header("kid"))];
        for typ in ["JWT", "jwt", "rt+jwt", "at+jwt ", "at-jwt", "", "text/at+jwt", "application/", "application/JWT"] {
            cases.push(case(&format!("typ {typ:?}"), &self.with_header("typ", json!(typ))));
        }
        let long = "k".repeat(65);
        for kid in ["", "unknown", "../../etc/passwd", "' OR '1'='1", "a b", "a\0b", "ключ", "key\n", long.as_str()]
        {
            cases.push(case(&format!("kid {kid:?}"), &self.with_header("kid", json!(kid))));
        }
        for name in ["typ", "kid"] {
            for value in wrong_types() {
                cases.push(case(&format!("{name} {value}"), &self.with_header(name, value)));
            }
        }
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("crit", json!(["b64"])),
            ("crit", json!([])),
            ("crit", json!(null)),
            ("crit", json!("exp")),
            ("b64", json!(false)),
            ("b64", json!(true)),
            ("zip", json!("DEF")),
            ("zip", json!(null)),
        ] {
            cases.push(case(&format!("{name} {value}"), &self.with_header(name, value)));
        }
        cases
    }

    /// Signed by somebody else, who brings their key along.
    fn foreign_keys(&self) -> Vec<Case> {
        let other = self.issuer.with_another_key();
        let signed = |header: &Map<String, Value>| other.sign_json(&text(header), &text(&self.claims));
        let own_kid = with(&self.header, "kid", json!(other.key_id()));
        let mut cases = vec![
            case("another key under our kid", &signed(&self.header)),
            case("another key under its own kid", &signed(&own_kid)),
        ];
        for (name, value) in [
            ("jwk", other.jwk()),
            ("jku", json!("http://127.0.0.1:9/jwks.json")),
            ("x5u", json!("http://127.0.0.1:9/chain.pem")),
            ("x5c", json!(["MIIB"])),
        ] {
            cases.push(case(&format!("another key, with {name}"), &signed(&with(&self.header, name, value.clone()))));
            cases.push(case(&format!("another key and kid, with {name}"), &signed(&with(&own_kid, name, value))));
        }
        cases
    }

    /// A signature that is not this text's.
    fn signatures(&self) -> Vec<Case> {
        let signed = self.good_signed_part();
        let signature = self.issuer.signature(&RSA_PKCS1_SHA256, signed);
        let mut flipped = signature.clone();
        flipped[100] ^= 1;
        let other = self.issuer.signature(&RSA_PKCS1_SHA256, "another text");
        let raised = text(&with(&self.claims, "scope", json!("everything")));
        let [header, _, good_signature] = self.parts();
        vec![
            case("one bit of the signature flipped", &joined(signed, &flipped)),
            case("the signature of another text", &joined(signed, &other)),
            case("a signature too short", &joined(signed, &signature[..255])),
            case("a signature too long", &joined(signed, &[signature.as_slice(), &[0]].concat())),
            case("a zero before the signature", &joined(signed, &[&[0], signature.as_slice()].concat())),
            case("a signature of zeros", &joined(signed, &[0; 256])),
            case("a signature of ones", &joined(signed, &[255; 256])),
            case("a signature of one byte", &joined(signed, &[1])),
            case(
                "other claims under a good signature",
                &format!("{header}.{}.{good_signature}", URL_SAFE_NO_PAD.encode(raised)),
            ),
        ]
    }

    fn parts(&self) -> [&str; 3] {
        let mut parts = self.good.split('.');
        [(); 3].map(|()| parts.next().unwrap_or_default())
    }

    fn good_signed_part(&self) -> &str {
        self.good.rsplit_once('.').map_or("", |(signed, _)| signed)
    }

    fn signed_part(&self, name: &str, value: Value) -> String {
        let header = URL_SAFE_NO_PAD.encode(text(&with(&self.header, name, value)));
        format!("{header}.{}", self.parts()[1])
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        self.issuer.sign_json(&text(&with(&self.header, name, value)), &text(&self.claims))
    }

    fn without_header(&self, name: &str) -> String {
        self.issuer.sign_json(&text(&without(&self.header, name)), &text(&self.claims))
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        self.issuer.sign_json(&text(&self.header), &text(&with(&self.claims, name, value)))
    }

    fn without_claim(&self, name: &str) -> String {
        self.issuer.sign_json(&text(&self.header), &text(&without(&self.claims, name)))
    }
}

fn case(name: &str, token: &str) -> Case {
    (name.to_owned(), token.to_owned())
}

/// Values that are no strings.
fn wrong_types() -> [Value; 5] {
    [json!(null), json!(7), json!(true), json!([]), json!({})]
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).expect("an object")
}

fn text(object: &Map<String, Value>) -> String {
    Value::Object(object.clone()).to_string()
}

fn with(object: &Map<String, Value>, name: &str, value: Value) -> Map<String, Value> {
    let mut object = object.clone();
    object.insert(name.to_owned(), value);
    object
}

fn without(object: &Map<String, Value>, name: &str) -> Map<String, Value> {
    let mut object = object.clone();
    object.remove(name);
    object
}

/// The text of an object with more members at its end.
fn with_member(object: &str, members: &str) -> String {
    let open = object.strip_suffix('}').expect("the text of an object");
    format!("{open},{members}}}")
}

fn joined(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The same bytes in base64url with a bit set that decoders used to ignore.
fn with_stray_bits(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = text.split_at(text.len() - 1);
    let index = ALPHABET.iter().position(|letter| last.as_bytes() == [*letter]).expect("base64url");
    format!("{start}{}", char::from(ALPHABET[index + 1]))
}
