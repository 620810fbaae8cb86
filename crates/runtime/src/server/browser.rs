//! Which pages may call: CORS for the origins of a list, nothing for any other.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tower::{Layer as _, Service as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::trace::TRACE_ID_HEADER;

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_secs(2 * 60 * 60);
/// What gRPC-Web clients send.
const SENT: [HeaderName; 7] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
];
/// What their scripts must be able to read.
const READ: [HeaderName; 4] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    TRACE_ID_HEADER,
];

/// The origins whose pages may call.
pub(super) struct Browsers {
    origins: Vec<HeaderValue>,
    layer: CorsLayer,
}

/// The right of one request's origin.
pub(super) struct Allowed<'a>(&'a CorsLayer);

impl Browsers {
    pub(super) fn new(origins: &[String]) -> Self {
        let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.clone()))
            .allow_methods([Method::POST])
            .allow_headers(SENT)
            .expose_headers(READ)
            .max_age(PREFLIGHT_AGE);
        Self { origins, layer }
    }

    /// Whether the request comes from a page that may call. The origin is compared byte for byte.
    pub(super) fn allow(&self, headers: &HeaderMap) -> Option<Allowed<'_>> {
        let origin = headers.get(ORIGIN)?;
        self.origins.contains(origin).then_some(Allowed(&self.layer))
    }

    /// Says to caches that answers differ by origin, whatever this request's origin is.
    pub(super) fn vary(&self, headers: &mut HeaderMap) {
        if !self.origins.is_empty() {
            headers.insert(VARY, HeaderValue::from_static("origin"));
        }
    }
}

impl Allowed<'_> {
    /// The answer with the headers that let the page read it; a preflight is answered here.
    pub(super) async fn answer<F>(
        self,
        request: Request<Incoming>,
        route: impl Fn(Request<Incoming>) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>>,
    {
        let routed = tower::service_fn(|request| {
            let response = route(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        match self.0.layer(routed).call(request).await {
            Ok(response) => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_origin_of_the_list_is_allowed() {
        let browsers = Browsers::new(&["https://app.example".to_owned()]);
        for (origin, allowed) in [
            ("https://app.example", true),
            ("https://APP.example", false),
            ("https://app.example:443", false),
            ("http://app.example", false),
            ("https://app.example.evil.example", false),
            ("https://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().expect("a header"));
            assert_eq!(browsers.allow(&headers).is_some(), allowed, "{origin}");
        }
        assert!(browsers.allow(&HeaderMap::new()).is_none());
    }
}
