use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::connection::Connection;
use crate::pool::Pool;

/// The body of an engine's answer, as it comes.
///
/// Dropped before its end, it closes the connection, so that the engine ends what it does for it.
pub struct EngineBody {
    incoming: Incoming,
    /// Until the end.
    held: Option<Held>,
}

/// The connection that an answer comes over, and where it belongs afterwards.
pub(crate) struct Held {
    pub(crate) connection: Connection,
    pub(crate) pool: Arc<Pool>,
    /// Whether the whole request is sent: the next one cannot begin before.
    pub(crate) request: Arc<Sent>,
}

/// How far the body of a request is sent.
#[derive(Default)]
pub(crate) struct Sent {
    /// How many parts of it.
    pub(crate) parts: std::sync::atomic::AtomicU64,
    /// Nothing is left.
    pub(crate) whole: std::sync::atomic::AtomicBool,
}

impl EngineBody {
    pub(crate) fn new(incoming: Incoming, held: Held) -> Self {
        let mut body = Self {
            incoming,
            held: Some(held),
        };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        let Some(held) = self.held.take() else {
            return;
        };
        if held
            .request
            .whole
            .load(std::sync::atomic::Ordering::Acquire)
        {
            held.pool.keep(held.connection);
        }
    }
}

impl Body for EngineBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        match &frame {
            Some(Ok(_)) if !self.incoming.is_end_stream() => {}
            Some(Ok(_)) | None => self.give_back(),
            Some(Err(_)) => self.held = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
