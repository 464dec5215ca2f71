//! Connections that are taken over for a raw stream: attach, exec, sessions.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::response::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::broken;
use crate::{Body, Engine, EngineBody, EngineError};

/// What an engine did with a request for a raw stream.
pub enum Upgrade {
    /// The connection is the caller's from here on. The head has status 101.
    Taken(Box<Parts>, Upgraded),
    /// There is an answer instead: an error, or, of what needs no stream, the result.
    Answered(Response<EngineBody>),
}

/// A connection to an engine that was taken over, open both ways.
///
/// A shutdown ends our side only: over TLS it says so before the connection's own half is closed.
pub struct Upgraded {
    io: TokioIo<hyper::upgrade::Upgraded>,
}

impl Engine {
    /// Passes a request on as [`send`](Self::send) does, and takes the connection over. Asks for
    /// the protocol `tcp` if the request asks for none.
    ///
    /// # Errors
    /// Any [`EngineError`] but [`EngineError::Refused`].
    pub async fn upgrade(
        &self,
        mut request: Request<Body>,
        patience: Duration,
    ) -> Result<Upgrade, EngineError> {
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        if !headers.contains_key(header::UPGRADE) {
            headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
        }
        let (mut response, held) = self.pass_on(request, patience).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let answer = response.map(|incoming| EngineBody::new(incoming, held));
            return Ok(Upgrade::Answered(answer));
        }
        let taken = hyper::upgrade::on(&mut response).await;
        let taken = taken.map_err(|error| broken(&self.endpoint, io::Error::other(error)))?;
        let (head, _) = response.into_parts();
        let stream = Upgraded {
            io: TokioIo::new(taken),
        };
        Ok(Upgrade::Taken(Box::new(head), stream))
    }
}

impl AsyncRead for Upgraded {
    /// An engine that hangs up without saying so over TLS has ended its side all the same.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.io).poll_read(context, into)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => Poll::Ready(read),
        }
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
