//! `GET /.well-known/jwks.json` and `GET /.well-known/oauth-authorization-server`, for verifiers that speak plain HTTP.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::crypto::PublicJwk;

/// What is published.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// The issuer; the key set is said to be under it.
    pub(crate) issuer: String,
    /// The scopes that tokens carry.
    pub(crate) scopes: Vec<String>,
    /// How long a copy may be used.
    pub(crate) max_age: Duration,
}

/// A JSON text with what a cache needs to know of it.
#[derive(Debug)]
struct Document {
    body: String,
    etag: String,
    cache_control: String,
    content_type: &'static str,
}

/// The routes of the two documents; `keys` yields the public keys of the moment.
pub(crate) fn router(
    published: &Published,
    keys: impl Fn() -> Vec<PublicJwk> + Clone + Send + Sync + 'static,
) -> Router {
    let max_age = published.max_age;
    let key_set = move |headers: HeaderMap| {
        let keys = keys();
        let answer = if keys.is_empty() { not_ready() } else { key_set(&keys, max_age).answer(&headers) };
        async move { answer }
    };
    let metadata = Arc::new(Document::new(&metadata(published), "application/json", max_age));
    let metadata = move |headers: HeaderMap| {
        let answer = metadata.answer(&headers);
        async move { answer }
    };
    Router::new()
        .route("/.well-known/jwks.json", get(key_set))
        .route("/.well-known/oauth-authorization-server", get(metadata))
}

fn key_set(keys: &[PublicJwk], max_age: Duration) -> Document {
    Document::new(&json!({ "keys": keys }), "application/jwk-set+json", max_age)
}

/// An empty key set would have every verifier refuse every token.
fn not_ready() -> Response {
    let answer = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).header(RETRY_AFTER, 1);
    answer.body(Body::empty()).expect("the headers are of our own making")
}

/// What RFC 8414 §2 requires and is true of a service without OAuth endpoints. The two lists are empty because
/// leaving them out would mean something else: one is required, the other has a default.
fn metadata(published: &Published) -> serde_json::Value {
    json!({
        "issuer": published.issuer,
        "jwks_uri": format!("{}/.well-known/jwks.json", published.issuer.trim_end_matches('/')),
        "response_types_supported": [],
        "grant_types_supported": [],
        "scopes_supported": published.scopes,
    })
}

impl Document {
    fn new(json: &serde_json::Value, content_type: &'static str, max_age: Duration) -> Self {
        let body = json.to_string();
        let etag = format!("\"{}\"", &URL_SAFE_NO_PAD.encode(digest(&SHA256, body.as_bytes()))[..22]);
        let cache_control = format!("public, max-age={}", max_age.as_secs());
        Self { body, etag, cache_control, content_type }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let answer = Response::builder().header(ETAG, &self.etag).header(CACHE_CONTROL, &self.cache_control);
        let answer = if self.is_known_to(request) {
            answer.status(StatusCode::NOT_MODIFIED).body(Body::empty())
        } else {
            answer.header(CONTENT_TYPE, self.content_type).body(Body::from(self.body.clone()))
        };
        answer.expect("the headers are of our own making")
    }

    /// Whether the caller's copy is this one (RFC 9110 §13.1.2, weak comparison).
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag == self.etag)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures_util::FutureExt as _;
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    fn published() -> Published {
        Published {
            issuer: "https://auth.example/".to_owned(),
            scopes: vec!["notes.read".to_owned()],
            max_age: Duration::from_secs(60),
        }
    }

    fn keys() -> Vec<PublicJwk> {
        vec![PublicJwk {
            kty: "RSA",
            n: "modulus".to_owned(),
            e: "AQAB".to_owned(),
            kid: "thumbprint".to_owned(),
            alg: "RS256",
            usage: "sig",
        }]
    }

    fn get(path: &str, if_none_match: Option<&str>) -> Response {
        get_of(path, if_none_match, keys)
    }

    fn get_of(path: &str, if_none_match: Option<&str>, keys: fn() -> Vec<PublicJwk>) -> Response {
        let mut request = Request::get(path);
        if let Some(tags) = if_none_match {
            request = request.header(IF_NONE_MATCH, tags);
        }
        let request = request.body(Body::empty()).expect("a request");
        router(&published(), keys).oneshot(request).now_or_never().expect("nothing to wait for").expect("infallible")
    }

    fn json(answer: Response) -> serde_json::Value {
        let body = to_bytes(answer.into_body(), 64 * 1024).now_or_never().expect("nothing to wait for");
        serde_json::from_slice(&body.expect("a body")).expect("JSON")
    }

    #[test]
    fn the_key_set_is_served_with_its_age_and_its_tag() {
        let answer = get("/.well-known/jwks.json", None);
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=60");
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/jwk-set+json");
        assert!(answer.headers().contains_key(ETAG));
        let key = serde_json::json!({
            "kty": "RSA", "n": "modulus", "e": "AQAB", "kid": "thumbprint", "alg": "RS256", "use": "sig"
        });
        assert_eq!(json(answer), serde_json::json!({ "keys": [key] }));
    }

    #[test]
    fn a_copy_that_is_still_good_is_not_sent_again() {
        let path = "/.well-known/jwks.json";
        let tag = get(path, None).headers()[ETAG].to_str().expect("text").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = get(path, Some(&known));
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(answer.headers()[ETAG], tag.as_str());
        }
        assert_eq!(get(path, Some("\"other\"")).status(), StatusCode::OK);
    }

    #[test]
    fn there_is_no_empty_key_set() {
        let answer = get_of("/.well-known/jwks.json", None, Vec::new);
        assert_eq!((answer.status(), &answer.headers()[RETRY_AFTER]), (StatusCode::SERVICE_UNAVAILABLE, &1.into()));
    }

    #[test]
    fn the_metadata_says_what_is_true() {
        let metadata = json(get("/.well-known/oauth-authorization-server", None));
        assert_eq!(metadata["issuer"], "https://auth.example/", "byte for byte what tokens say");
        assert_eq!(metadata["jwks_uri"], "https://auth.example/.well-known/jwks.json");
        assert_eq!(metadata["response_types_supported"], serde_json::json!([]));
        assert!(metadata.get("token_endpoint").is_none(), "there is none");
    }
}
