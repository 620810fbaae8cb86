//! Ends a response stream that outlives its token, or what its token stands for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::Service;

use crate::{Authenticate, Principal, Rejection, Verifier};

/// A response of one message is two frames, its data and its trailers. Those are never withheld: the work is done.
const FRAMES_OF_A_UNARY_RESPONSE: u8 = 2;

/// In the extensions of a streaming response: its handler has a last word to say when the stream must end.
///
/// Without it a stream whose token is revoked, for example, ends at once with the reason as its status. With it the stream is
/// polled once more, may yield one more message, and end by itself; if it does not, it is ended as without. It is polled
/// because it must end, and nothing else wakes it: each poll has to ask [`Verifier::end`].
///
/// ```
/// # fn answer<S>(stream: S) -> tonic::Response<S> {
/// let mut response = tonic::Response::new(stream);
/// response.extensions_mut().insert(authn::LastWords);
/// # response
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LastWords;

/// Around the inner service, behind the interceptor.
#[derive(Clone, Debug)]
pub(crate) struct EndInTime<S> {
    inner: S,
    verifier: Verifier,
    domain: &'static str,
}

impl<S> EndInTime<S> {
    pub(crate) fn new(inner: S, authenticate: &Authenticate) -> Self {
        Self { inner, verifier: authenticate.verifier().clone(), domain: authenticate.domain() }
    }
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for EndInTime<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<EndingBody<ResponseBody>>;
    type Error = S::Error;
    type Future = EndingFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let end = request.extensions().get::<Arc<Principal>>().map(|principal| End {
            principal: Arc::clone(principal),
            verifier: self.verifier.clone(),
            domain: self.domain,
            frames: 0,
            farewell: Farewell::Unwanted,
            wait: None,
        });
        EndingFuture { inner: self.inner.call(request), end: Some(end) }
    }
}

pin_project! {
    /// The future of [`EndInTime`].
    pub struct EndingFuture<F> {
        #[pin]
        inner: F,
        end: Option<Option<End>>,
    }
}

impl<F, B, E> Future for EndingFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<EndingBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(context))?;
        let mut end = this.end.take().flatten();
        if let Some(end) = &mut end
            && response.extensions().get::<LastWords>().is_some()
        {
            end.farewell = Farewell::Owed;
        }
        Poll::Ready(Ok(response.map(|inner| EndingBody { inner, end, ended: false })))
    }
}

pin_project! {
    /// A response body that ends when its caller's token does, with the reason.
    pub struct EndingBody<B> {
        #[pin]
        inner: B,
        end: Option<End>,
        ended: bool,
    }
}

/// What a poll of a body yields: a frame, a failure, or nothing more.
type NextFrame<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

/// When a body ends, and how.
struct End {
    principal: Arc<Principal>,
    verifier: Verifier,
    domain: &'static str,
    frames: u8,
    farewell: Farewell,
    /// Begun at the first time that the body has nothing to send, so that a response of one message pays for none.
    wait: Option<BoxFuture<'static, Rejection>>,
}

/// Whether the handler has a last word.
#[derive(Clone, Copy)]
enum Farewell {
    Unwanted,
    Owed,
    /// It had its turn, and need only end.
    Said,
}

impl End {
    /// Why a body that has more to send than one message must end now, if it must.
    fn come(&self) -> Option<Rejection> {
        if self.frames >= FRAMES_OF_A_UNARY_RESPONSE { self.verifier.end(&self.principal) } else { None }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Rejection> {
        let wait = self.wait.get_or_insert_with(|| Box::pin(wait(self.verifier.clone(), Arc::clone(&self.principal))));
        wait.as_mut().poll(context)
    }

    /// What the handler has to say now that the body must end.
    fn last_words<B: Body>(&mut self, inner: Pin<&mut B>, context: &mut Context<'_>) -> Option<NextFrame<B>> {
        let may_say_more = match self.farewell {
            Farewell::Unwanted => return None,
            Farewell::Owed => true,
            Farewell::Said => false,
        };
        self.farewell = Farewell::Said;
        // From now on it is asked before each frame, and no longer waited for.
        (self.frames, self.wait) = (FRAMES_OF_A_UNARY_RESPONSE, None);
        let Poll::Ready(frame) = inner.poll_frame(context) else { return None };
        let is_message = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        (may_say_more || !is_message).then_some(frame)
    }

    fn trailers(&self, rejection: Rejection) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        if rejection.into_status(self.domain).add_header(&mut trailers).is_err() {
            // A stream without a status is a failure to every client: still closed.
            trailers.clear();
        }
        trailers
    }
}

/// Waits until a stream of this principal must end.
async fn wait(verifier: Verifier, principal: Arc<Principal>) -> Rejection {
    // Entered first, so that nothing is missed between a look and the wait.
    let stream = verifier.enter(&principal);
    loop {
        if let Some(rejection) = verifier.end(&principal) {
            return rejection;
        }
        tokio::select! {
            () = verifier.clock().sleep_until(verifier.end_of(&principal)) => {}
            () = stream.woken() => {}
        }
    }
}

impl<B: Body> Body for EndingBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let Some(end) = this.end else {
            return this.inner.poll_frame(context);
        };
        let rejection = match end.come() {
            Some(rejection) => rejection,
            None => {
                if let Poll::Ready(frame) = this.inner.as_mut().poll_frame(context) {
                    end.frames = end.frames.saturating_add(1);
                    return Poll::Ready(frame);
                }
                ready!(end.poll(context))
            }
        };
        if let Some(frame) = end.last_words(this.inner, context) {
            *this.ended = !matches!(&frame, Some(Ok(frame)) if frame.is_data());
            return Poll::Ready(frame);
        }
        *this.ended = true;
        Poll::Ready(Some(Ok(Frame::trailers(end.trailers(rejection)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.ended { SizeHint::with_exact(0) } else { self.inner.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::time::{Duration, UNIX_EPOCH};

    use futures_util::task::noop_waker;

    use super::*;
    use crate::testing::TestIssuer;
    use crate::{KeySet, ManualClock, Revocation, Revoked, Trust, TrustFeed, VerifierConfig};

    /// A body of which each poll yields what is written, and nothing when all was.
    struct Scripted(VecDeque<Option<&'static str>>);

    impl Body for Scripted {
        type Data = &'static [u8];
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<&'static [u8]>, Infallible>>> {
            match self.0.pop_front().flatten() {
                None => Poll::Pending,
                Some("end") => Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new())))),
                Some(message) => Poll::Ready(Some(Ok(Frame::data(message.as_bytes())))),
            }
        }
    }

    /// What a body yields until it waits, and after its token was revoked then.
    #[track_caller]
    fn check(farewell: Farewell, script: &[Option<&'static str>], before: &[&str], after: &[&str]) {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let issuer = TestIssuer::new("https://login.example", "notes-service");
        let (feed, trust) = Trust::fed();
        feed.replace(&KeySet { trusted: vec![issuer.public_key()], revoked: Vec::new() }, &[], now);
        let config = VerifierConfig::new("https://login.example", "notes-service");
        let verifier = Verifier::new(config, trust, ManualClock::starting_at(now).clock());
        let principal = verifier.verify(&issuer.sign(&issuer.claims(now))).expect("good");
        let session = Revocation::Session(principal.session().expect("a session"));
        let end = End { principal, verifier, domain: "notes", frames: 0, farewell, wait: None };
        let inner = Scripted(script.iter().copied().collect());
        let mut body = std::pin::pin!(EndingBody { inner, end: Some(end), ended: false });
        let mut yielded = || {
            let mut frames = Vec::new();
            while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut Context::from_waker(&noop_waker())) {
                let Ok(frame) = frame;
                frames.push(match frame.into_data() {
                    Ok(message) => String::from_utf8(message.to_vec()).expect("text"),
                    Err(frame) if frame.trailers_ref().is_some_and(HeaderMap::is_empty) => "end".to_owned(),
                    Err(_) => "refusal".to_owned(),
                });
            }
            frames
        };
        assert_eq!(yielded(), before);
        revoke(&feed, session, now);
        assert_eq!(yielded(), after);
    }

    fn revoke(feed: &TrustFeed, revocation: Revocation, now: std::time::SystemTime) {
        feed.extend(None, &[Revoked { revocation, revoked_at: now, expires_at: now + Duration::from_secs(600) }], now);
    }

    #[test]
    fn a_handler_with_a_last_word_says_it_and_ends_by_itself() {
        for messages in [vec!["1"], vec!["1", "2", "3"]] {
            let mut script: Vec<_> = messages.iter().copied().map(Some).collect();
            script.extend([None, Some("farewell"), Some("end")]);
            check(Farewell::Owed, &script, &messages, &["farewell", "end"]);
        }
    }

    #[test]
    fn a_handler_that_has_nothing_to_say_or_does_not_end_is_ended() {
        let [one, two, three, four] = [Some("1"), Some("2"), Some("3"), Some("4")];
        check(Farewell::Owed, &[one, None, None, None, two], &["1"], &["refusal"]);
        check(Farewell::Owed, &[one, two, None, None, three], &["1", "2"], &["refusal"]);
        check(Farewell::Owed, &[one, two, None, three, four], &["1", "2"], &["3", "refusal"]);
        check(Farewell::Owed, &[one, two, None, three, None, four], &["1", "2"], &["3", "refusal"]);
    }

    #[test]
    fn a_handler_that_did_not_ask_for_it_has_no_last_word() {
        check(Farewell::Unwanted, &[Some("1"), Some("2"), None, Some("3"), Some("end")], &["1", "2"], &["refusal"]);
    }
}
