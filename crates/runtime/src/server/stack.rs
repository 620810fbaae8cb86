//! The layers in their order, outermost first:
//!
//! 1. trace id and peer address, for everything that follows
//! 2. CORS, for the origins that are allowed ([`Browsers`])
//! 3. plain HTTP beside gRPC (GET and HEAD), and the refusal of all that is no call: another verb, another content type,
//!    a query
//! 4. gRPC-Web, which makes a browser's call a gRPC call and its answer a browser's
//! 5. the call: load shedding, deadline, one message, panics, the words of libraries, the access line ([`Calls`])
//! 6. access: the method's rule and the token ([`authn::AuthLayer`])
//! 7. the services

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use authn::AuthLayer;
use futures_util::FutureExt as _;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer as _, Service as _, ServiceExt as _};

use super::browser::Browsers;
use super::call::Calls;
use super::connection::Handler;
use super::metrics::Metrics;
use super::{PeerAddress, ServerConfig};
use crate::trace::{TRACE_ID_HEADER, TraceId};

/// What the stack is made of.
pub(super) struct Parts<'a> {
    pub(super) domain: &'static str,
    pub(super) grpc: Routes,
    pub(super) http: axum::Router,
    pub(super) access: AuthLayer,
    pub(super) metrics: Arc<Metrics>,
    pub(super) draining: CancellationToken,
    pub(super) config: &'a ServerConfig,
}

/// All layers of a listener.
pub(super) struct Stack {
    browsers: Browsers,
    http: axum::Router,
    web: GrpcWebService<Calls>,
    calls: Calls,
}

/// What a request is, told from its head.
enum Kind {
    Call,
    WebCall,
    Http,
    Refused(StatusCode),
}

impl Stack {
    pub(super) fn assemble(parts: Parts<'_>) -> Self {
        let guarded = parts.access.layer(parts.grpc.prepare());
        let calls = Calls::new(guarded, parts.domain, parts.metrics, parts.draining, &parts.config.limits);
        Self {
            browsers: Browsers::new(&parts.config.cors_origins),
            http: parts.http,
            web: GrpcWebLayer::new().layer(calls.clone()),
            calls,
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        match Kind::of(&request) {
            Kind::Call => self.calls.clone().answer(request.map(Body::new)).await,
            Kind::WebCall => {
                let mut response = unwrap(self.web.clone().call(request).await);
                response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
                response
            }
            Kind::Http => self.answer_http(request).await,
            Kind::Refused(status) => {
                let mut response = empty(status);
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                }
                response
            }
        }
    }

    /// A panic would end the connection, and with it the calls of others that share it through a proxy.
    async fn answer_http(&self, request: Request<Incoming>) -> Response<Body> {
        match AssertUnwindSafe(self.http.clone().oneshot(request)).catch_unwind().await {
            Ok(answered) => unwrap(answered).map(Body::new),
            Err(_panic) => {
                tracing::error!("a handler of plain HTTP panicked");
                empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

impl Handler for Stack {
    async fn handle(self: Arc<Self>, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let trace = TraceId::of(request.headers());
        request.extensions_mut().insert(trace);
        request.extensions_mut().insert(PeerAddress(peer));
        let mut response = match self.browsers.allow(request.headers()) {
            Some(cors) => cors.answer(request, |request| async { self.route(request).await }).await,
            None => self.route(request).await,
        };
        let headers = response.headers_mut();
        headers.insert(TRACE_ID_HEADER, HeaderValue::from_str(trace.as_str()).expect("digits"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.browsers.vary(headers);
        response
    }
}

impl Kind {
    fn of<B>(request: &Request<B>) -> Self {
        if [Method::GET, Method::HEAD].contains(request.method()) {
            return Self::Http;
        }
        if request.method() != Method::POST {
            return Self::Refused(StatusCode::METHOD_NOT_ALLOWED);
        }
        let kind = match content_type(request.headers()) {
            // Trailers, which gRPC needs, do not reach clients reliably over HTTP/1.
            b"application/grpc" | b"application/grpc+proto" if request.version() == Version::HTTP_2 => Self::Call,
            b"application/grpc-web"
            | b"application/grpc-web+proto"
            | b"application/grpc-web-text"
            | b"application/grpc-web-text+proto" => Self::WebCall,
            _ => Self::Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        };
        match kind {
            Self::Call | Self::WebCall if request.uri().query().is_some() => Self::Refused(StatusCode::BAD_REQUEST),
            kind => kind,
        }
    }
}

fn content_type(headers: &HeaderMap) -> &[u8] {
    headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default()
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn unwrap<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}
