//! Exactly one message: no method of ours takes a stream, and what follows the first message must not be ignored.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;

use super::translate;

/// Flags and length before each message (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;

pin_project! {
    /// A request body that fails when more follows its first message.
    pub(super) struct OneMessage {
        #[pin]
        body: Body,
        message: Message,
        domain: &'static str,
    }
}

/// How much of the message has passed.
#[derive(Debug, Default)]
struct Message {
    prefix: [u8; PREFIX_BYTES],
    prefix_seen: usize,
    left: u64,
}

impl OneMessage {
    pub(super) fn wrap(body: Body, domain: &'static str) -> Body {
        Body::new(Self { body, message: Message::default(), domain })
    }
}

impl Message {
    /// Whether `data` still belongs to the first message.
    fn take(&mut self, mut data: &[u8]) -> bool {
        while self.prefix_seen < PREFIX_BYTES && !data.is_empty() {
            self.prefix[self.prefix_seen] = data[0];
            self.prefix_seen += 1;
            data = &data[1..];
            if self.prefix_seen == PREFIX_BYTES {
                let [_flags, a, b, c, d] = self.prefix;
                self.left = u32::from_be_bytes([a, b, c, d]).into();
            }
        }
        match self.left.checked_sub(data.len() as u64) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

impl http_body::Body for OneMessage {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(context));
        Poll::Ready(match frame {
            Some(Ok(frame)) if frame.data_ref().is_some_and(|data| !this.message.take(data)) => {
                Some(Err(translate::wrong_count(this.domain)))
            }
            frame => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chunks: &[&[u8]], expected: bool) {
        let mut message = Message::default();
        assert_eq!(chunks.iter().all(|chunk| message.take(chunk)), expected, "{chunks:?}");
    }

    #[test]
    fn what_follows_the_first_message_is_refused_however_it_is_cut() {
        check(&[b"\0\0\0\0\x02ab"], true);
        check(&[b"\0\0", b"\0\0\x02", b"a", b"", b"b"], true);
        check(&[b"\0\0\0\0\0"], true);
        check(&[], true);
        check(&[b"\0\0\0\0\x02abc"], false);
        check(&[b"\0\0\0\0\x02ab", b"\0\0\0\0\x02ab"], false);
        check(&[b"\0\0\0\0\0", b"\0"], false);
        check(&[b"\0\xff\xff\xff\xff", b"abc"], true);
    }
}
