use std::sync::Arc;

use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::{Request, Status};
use tracing::debug;

use crate::{Principal, Rejection, Rule, ServiceCredentials, Subject, Verifier};

/// The `tonic` interceptor that verifies the access token of a call, enforces what the call needs, and puts the
/// [`Principal`] into the request's extensions. It runs before the body of the request is looked at.
///
/// Around a single service:
///
/// ```
/// # use authn::{Authenticate, Verifier};
/// # use proto::auth::v1::account_service_server::{AccountService, AccountServiceServer};
/// # fn guard<S: AccountService>(service: S, verifier: Verifier) {
/// let authenticate = Authenticate::new(verifier, "orders").requiring("orders.read");
/// let guarded = AccountServiceServer::with_interceptor(service, authenticate);
/// # }
/// ```
///
/// It guards what it is put around and nothing else: a service that is added to the same server later has none. Around
/// a whole server, with a rule for each method, use [`AuthLayer`](crate::AuthLayer), which contains one.
#[derive(Clone, Debug)]
pub struct Authenticate {
    verifier: Verifier,
    credentials: ServiceCredentials,
    domain: &'static str,
    demand: Demand,
}

/// What a call needs.
#[derive(Clone, Copy, Debug)]
enum Demand {
    /// What the rule of its method says, which the layer in front has put into the request's extensions.
    ByRule,
    /// A good access token.
    Token,
    /// A good access token with this scope.
    Scope(&'static str),
}

impl Authenticate {
    /// Lets through whoever has a good access token; refusals name `domain` in their `google.rpc.ErrorInfo`.
    #[must_use]
    pub fn new(verifier: Verifier, domain: &'static str) -> Self {
        Self { verifier, credentials: ServiceCredentials::default(), domain, demand: Demand::Token }
    }

    /// Demands that the token carry `scope`, too.
    #[must_use]
    pub fn requiring(self, scope: &'static str) -> Self {
        Self { demand: Demand::Scope(scope), ..self }
    }

    pub(crate) fn by_rule(verifier: Verifier, domain: &'static str) -> Self {
        Self { demand: Demand::ByRule, ..Self::new(verifier, domain) }
    }

    pub(crate) fn accepting(self, credentials: ServiceCredentials) -> Self {
        Self { credentials, ..self }
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn domain(&self) -> &'static str {
        self.domain
    }

    /// The caller, or nobody where nobody need be known.
    fn authenticate(&self, request: &Request<()>) -> Result<Option<Arc<Principal>>, Rejection> {
        let scope = match self.demand {
            Demand::Token => None,
            Demand::Scope(scope) => Some(scope),
            Demand::ByRule => match request.extensions().get::<Rule>() {
                Some(Rule::Public) => return Ok(None),
                Some(Rule::Scope(scope)) => Some(*scope),
                Some(Rule::Service(audience)) => {
                    return self.credentials.check(audience, bearer(request.metadata())?).map(|()| None);
                }
                None => return Err(Rejection::UnknownMethod),
            },
        };
        let token = bearer(request.metadata())?;
        let principal = match scope {
            None => self.verifier.verify(token)?,
            Some(scope) => self.verifier.verify_with(token, scope)?.ok_or(Rejection::InsufficientScope(scope))?,
        };
        Ok(Some(principal))
    }
}

impl Interceptor for Authenticate {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        match self.authenticate(&request) {
            Ok(Some(principal)) => {
                request.extensions_mut().insert(principal);
                Ok(request)
            }
            Ok(None) => Ok(request),
            Err(rejection) => Err(rejection.into_status(self.domain)),
        }
    }
}

/// The token of the one `authorization` value, which is `Bearer`, in any case, and a token (RFC 6750 §2.1). Two values
/// are refused even if the first is good: who else reads the request may take the other.
fn bearer(metadata: &MetadataMap) -> Result<&str, Rejection> {
    let invalid = |cause| {
        debug!(cause, "refused an authorization value");
        Rejection::TokenInvalid
    };
    let mut values = metadata.get_all("authorization").iter();
    let value = values.next().ok_or(Rejection::TokenMissing)?;
    if values.next().is_some() {
        return Err(invalid("more than one value"));
    }
    let text = value.to_str().map_err(|_| invalid("not ASCII"))?;
    let (scheme, token) = text.split_once(' ').ok_or_else(|| invalid("no scheme and token"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(invalid("another scheme than bearer"));
    }
    Ok(token.trim_start_matches(' '))
}

/// What a handler asks of its request.
pub trait RequestExt {
    /// The verified caller.
    ///
    /// # Errors
    /// `TokenMissing` on a method whose rule is public.
    fn principal(&self) -> Result<Arc<Principal>, Rejection>;

    /// Who the caller is.
    ///
    /// # Errors
    /// As for `principal`.
    fn subject(&self) -> Result<Subject, Rejection> {
        self.principal().map(|principal| principal.subject())
    }
}

impl<T> RequestExt for Request<T> {
    fn principal(&self) -> Result<Arc<Principal>, Rejection> {
        self.extensions().get::<Arc<Principal>>().cloned().ok_or(Rejection::TokenMissing)
    }
}
