use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// How much of a body that nobody wants is still read.
const UNWANTED: usize = 4 << 20;

/// And for how long.
const UNWANTED_LIMIT: Duration = Duration::from_secs(5);

/// What a client sends.
///
/// A client that is still sending when its connection is closed may never read the answer. So what
/// is left when this value goes is read for a while, and forgotten.
pub struct ClientBody(Option<Incoming>);

impl From<Incoming> for ClientBody {
    fn from(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(context);
        frame.map_err(io::Error::other)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        let left = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (left, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(UNWANTED_LIMIT, forget(body)));
        }
    }
}

async fn forget(mut body: Incoming) {
    let mut left = UNWANTED;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(less) => left = less,
            None => return,
        }
    }
}
