use std::io;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

/// What is sent with a request.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is in memory.
pub fn full(content: impl Into<Bytes>) -> Body {
    Full::new(content.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that is read while it is sent.
pub fn reader(content: impl AsyncRead + Send + 'static) -> Body {
    let frames = ReaderStream::new(content).map(|chunk| chunk.map(Frame::data));
    StreamBody::new(frames).boxed_unsync()
}
