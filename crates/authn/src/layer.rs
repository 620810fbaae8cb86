use std::sync::Arc;

use crate::{AccessPolicy, Principal, Rejection, Subject, Verifier};

/// One layer around a whole router: path → rule → verified [`Principal`] in the request's extensions. Default deny.
#[derive(Clone, Debug)]
pub struct AuthLayer(());

impl AuthLayer {
    /// Guards every method by `policy`; refusals name `domain` in their `google.rpc.ErrorInfo`.
    #[must_use]
    pub fn new(_policy: AccessPolicy, _verifier: Verifier, _domain: &'static str) -> Self {
        todo!()
    }
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

impl<T> RequestExt for tonic::Request<T> {
    fn principal(&self) -> Result<Arc<Principal>, Rejection> {
        todo!()
    }
}
