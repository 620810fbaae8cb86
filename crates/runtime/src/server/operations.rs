//! The private listener for platforms: is it alive, is it ready, what does it count.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tonic::body::Body;

use super::connection::Handler;
use super::health::Health;
use super::metrics::Metrics;

const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub(super) struct Operations {
    health: Health,
    metrics: Arc<Metrics>,
}

impl Operations {
    pub(super) fn new(health: Health, metrics: Arc<Metrics>) -> Self {
        Self { health, metrics }
    }
}

impl Handler for Operations {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        let is_head = request.method() == Method::HEAD;
        let answer = |status, text: String| {
            let length = HeaderValue::from(text.len());
            // Over HTTP/2 nobody takes the body away, and a client resets the stream on which it comes.
            let text = if is_head { Bytes::new() } else { Bytes::from(text) };
            let mut response = Response::new(Body::new(Full::new(text)));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_LENGTH, length);
            response
        };
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, String::new());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/livez" => answer(StatusCode::OK, "alive\n".to_owned()),
            "/readyz" if self.health.is_ready() => answer(StatusCode::OK, "ready\n".to_owned()),
            "/readyz" => answer(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
            "/metrics" => {
                let mut response = answer(StatusCode::OK, self.metrics.text());
                response.headers_mut().insert(CONTENT_TYPE, OPENMETRICS);
                response
            }
            _ => answer(StatusCode::NOT_FOUND, String::new()),
        }
    }
}
