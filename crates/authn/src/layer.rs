use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::service::interceptor::{self, InterceptedService};
use tower::{Layer, Service};

use crate::end_in_time::{EndInTime, EndingBody, EndingFuture};
use crate::{AccessPolicy, Authenticate, Rule, ServiceCredentials, Verifier};

/// One layer around a whole router, so that a service added later is covered: path → rule → verified
/// [`Principal`](crate::Principal) in the request's extensions. Default deny.
///
/// It puts the method's [`Rule`] into the request's extensions, where the interceptor behind it finds it, verifies the
/// token and enforces the rule, before the body of the request is looked at. A path without a rule is refused as
/// UNIMPLEMENTED `METHOD_UNKNOWN` before any handler; a public method's `authorization` is not looked at. A response
/// stream that is still open when its token expires ends with `TOKEN_EXPIRED`, and one whose session, account or key is
/// revoked with `TOKEN_REVOKED` or `TOKEN_KEY_REVOKED`, as soon as the verifier knows: a handler need do nothing for it, and
/// its stream is dropped. Plain HTTP beside gRPC, such as a key set, has no rules: route it before this layer.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    policy: AccessPolicy,
    authenticate: Authenticate,
}

impl AuthLayer {
    /// Guards every method by `policy`; refusals name `domain` in their `google.rpc.ErrorInfo`.
    #[must_use]
    pub fn new(policy: AccessPolicy, verifier: Verifier, domain: &'static str) -> Self {
        Self { policy, authenticate: Authenticate::by_rule(verifier, domain) }
    }

    /// Lets services through that show these credentials, to the methods whose rule demands one ([`Rule::Service`]).
    /// Without any such a method is refused to everybody.
    #[must_use]
    pub fn accepting(self, credentials: ServiceCredentials) -> Self {
        Self { authenticate: self.authenticate.accepting(credentials), ..self }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        let inner = EndInTime::new(inner, &self.authenticate);
        AuthService { policy: self.policy.clone(), inner: InterceptedService::new(inner, self.authenticate.clone()) }
    }
}

/// What [`AuthLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    policy: AccessPolicy,
    inner: InterceptedService<EndInTime<S>, Authenticate>,
}

// The inner service is called directly, in the call that it said it was ready for: it is never cloned here, so the
// clone of a service that is not ready cannot be called by mistake (tower's "be careful when cloning inner services").
impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for AuthService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<interceptor::ResponseBody<EndingBody<ResponseBody>>>;
    type Error = S::Error;
    type Future = interceptor::ResponseFuture<EndingFuture<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let rule = self.policy.rule(request.uri().path());
        // Without a rule nothing is left for the interceptor to find, whatever stood there before.
        request.extensions_mut().remove::<Rule>();
        if let Some(rule) = rule {
            request.extensions_mut().insert(rule);
        }
        self.inner.call(request)
    }
}
