//! Well signed, and still not to be believed: texts that are no strict JSON objects, and claims that are not for us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Breaker, Case, case, text, with, with_member, without, wrong_types};

impl Breaker<'_> {
    /// Well signed, and no strict JSON objects.
    pub(super) fn texts(&self) -> Vec<Case> {
        let (header, claims) = (text(&self.header), text(&self.claims));
        let mut cases = Vec::new();
        for (name, broken) in [
            ("nothing", String::new()),
            ("null", "null".to_owned()),
            ("a number", "7".to_owned()),
            ("a string", "\"x\"".to_owned()),
            ("no members", "{}".to_owned()),
            ("no JSON", "{alg:RS256}".to_owned()),
        ] {
            cases.push(case(&format!("{name} for a header"), &self.issuer.sign_json(&broken, &claims)));
            cases.push(case(&format!("{name} for claims"), &self.issuer.sign_json(&header, &broken)));
        }
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        for (name, change) in [
            ("an array around", (|object: &str, _: &str| format!("[{object}]")) as fn(&str, &str) -> String),
            ("text after", |object, _| format!("{object}x")),
            ("a second object after", |object, _| format!("{object}{object}")),
            ("a byte order mark before", |object, _| format!("\u{feff}{object}")),
            ("a comment", |object, _| with_member(object, "/* x */\"x\":1")),
            ("a trailing comma", |object, _| object.replacen('}', ",}", 1)),
            ("a member twice", |object, _| with_member(object, r#""x":1,"x":1"#)),
            ("a member twice, once escaped", |object, _| with_member(object, r#""x":1,"\u0078":1"#)),
            ("a member of a member twice", |object, _| with_member(object, r#""x":{"y":1,"y":2}"#)),
            ("nested deeply", |object, deep| with_member(object, &format!(r#""x":{deep}"#))),
            ("a lone surrogate", |object, _| with_member(object, r#""x":"\ud800""#)),
        ] {
            cases.push(case(&format!("header: {name}"), &self.issuer.sign_json(&change(&header, &deep), &claims)));
            cases.push(case(&format!("claims: {name}"), &self.issuer.sign_json(&header, &change(&claims, &deep))));
        }
        for (name, object, is_header) in [
            ("alg", &self.header, true),
            ("kid", &self.header, true),
            ("sub", &self.claims, false),
            ("exp", &self.claims, false),
        ] {
            let escaped: String = name.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect();
            for again in [name, escaped.as_str()] {
                let broken = with_member(&text(object), &format!(r#""{again}":{}"#, object[name]));
                let token = if is_header {
                    self.issuer.sign_json(&broken, &claims)
                } else {
                    self.issuer.sign_json(&header, &broken)
                };
                cases.push(case(&format!("{name} again as {again}"), &token));
            }
        }
        let latin1 = URL_SAFE_NO_PAD.encode(b"{\"x\":\"\xe9\"}");
        cases.push(case("claims not in UTF-8", &self.issuer.sign_parts(&URL_SAFE_NO_PAD.encode(&header), &latin1)));
        cases
    }

    /// Well signed, for somebody else, or by the wrong clock, or of the wrong types.
    pub(super) fn claims(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for name in ["iss", "aud", "sub", "exp", "iat"] {
            cases.push(case(&format!("{name} missing"), &self.without_claim(name)));
        }
        for name in ["iss", "sub", "jti", "sid", "scope"] {
            for value in wrong_types() {
                cases.push(case(&format!("{name} {value}"), &self.with_claim(name, value)));
            }
            let inside = json!([self.claims.get(name).cloned().unwrap_or(json!("x"))]);
            cases.push(case(&format!("{name} in an array"), &self.with_claim(name, inside)));
        }
        for name in ["exp", "nbf", "iat", "auth_time", "gen", "ver"] {
            let number = self.claims.get(name).and_then(Value::as_u64).unwrap_or_default();
            for value in [
                json!(number.to_string()),
                json!(null),
                json!(true),
                json!([number]),
                json!({}),
                json!(-1),
                json!(1.5),
                json!(number as f64 + 0.25),
                json!(f64::MAX),
            ] {
                cases.push(case(&format!("{name} {value}"), &self.with_claim(name, value)));
            }
            let text = with_member(&text(&without(&self.claims, name)), &format!(r#""{name}":1e400"#));
            cases.push(case(&format!("{name} 1e400"), &self.issuer.sign_json(&self.issuer.header(), &text)));
        }
        let (iss, aud) = (self.claims["iss"].clone(), self.claims["aud"][0].clone());
        let (iss, aud) = (iss.as_str().unwrap_or_default(), aud.as_str().unwrap_or_default());
        for other in ["", "https://evil.test", &format!("{iss}/"), &iss.to_uppercase(), &format!("{iss}.evil.test")] {
            cases.push(case(&format!("iss {other:?}"), &self.with_claim("iss", json!(other))));
        }
        for other in [
            json!([]),
            json!("another"),
            json!(["another"]),
            json!(format!("{aud}x")),
            json!([format!("{aud} another")]),
            json!(aud.to_uppercase()),
            json!([aud, 7]),
            json!([[aud]]),
            json!({ "0": aud }),
            json!(null),
            json!(7),
        ] {
            cases.push(case(&format!("aud {other}"), &self.with_claim("aud", other)));
        }
        let id = self.claims["sub"].as_str().unwrap_or_default();
        for other in [
            "",
            "alice@example.org",
            "7",
            &id.replace('-', ""),
            &format!("{{{id}}}"),
            &format!("urn:uuid:{id}"),
            &id[1..],
        ] {
            cases.push(case(&format!("sub {other:?}"), &self.with_claim("sub", json!(other))));
            cases.push(case(&format!("sid {other:?}"), &self.with_claim("sid", json!(other))));
        }
        for (name, value) in [
            ("roles", json!("admin")),
            ("roles", json!([7])),
            ("roles", json!(null)),
            ("amr", json!("pwd")),
            ("scope", json!(["everything"])),
        ] {
            cases.push(case(&format!("{name} {value}"), &self.with_claim(name, value)));
        }
        let exp = self.claims["exp"].as_u64().unwrap_or_default();
        let iat = self.claims["iat"].as_u64().unwrap_or_default();
        cases.extend([
            case("nbf in the future", &self.with_claim("nbf", json!(exp + 3600))),
            case("iat in the future", &self.with_claim("iat", json!(exp + 3600))),
            case("a life of more than an hour", &self.with_claim("exp", json!(iat + 3601))),
            case("exp at 2^63", &self.with_claim("exp", json!(1_u64 << 63))),
            case("exp at 2^64 - 1", &self.with_claim("exp", json!(u64::MAX))),
        ]);
        cases
    }

    /// Good until they expired.
    pub(super) fn expired(&self) -> Vec<Case> {
        let iat = self.claims["iat"].as_u64().unwrap_or_default();
        [0, 1, iat.saturating_sub(3600), iat.saturating_sub(31)]
            .map(|exp| {
                let claims = with(&with(&self.claims, "exp", json!(exp)), "iat", json!(exp.saturating_sub(300)));
                case(&format!("exp {exp}"), &self.issuer.sign_json(&self.issuer.header(), &text(&claims)))
            })
            .into()
    }
}
