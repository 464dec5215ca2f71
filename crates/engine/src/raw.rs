//! Requests that are passed on as they are.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use crate::answer::{Held, Sent};
use crate::connection::Connection;
use crate::deadline::Deadline;
use crate::{Body, Engine, EngineBody, EngineEndpoint, EngineError, full};

impl Engine {
    /// Passes a request on as it is, but for the `Host` header, and returns the answer whatever its
    /// status is, its body as it comes. The path stays as it is, too, with or without a version.
    ///
    /// The engine's limit holds for the connection; the answer has to begin when nothing has moved
    /// for `patience`. Who drops the call or the answer's body ends the engine's work for it.
    ///
    /// # Errors
    /// Any [`EngineError`] but [`EngineError::Refused`].
    pub async fn send(
        &self,
        request: Request<Body>,
        patience: Duration,
    ) -> Result<Response<EngineBody>, EngineError> {
        let (response, held) = self.pass_on(request, patience).await?;
        Ok(response.map(|incoming| EngineBody::new(incoming, held)))
    }

    pub(crate) async fn pass_on(
        &self,
        request: Request<Body>,
        patience: Duration,
    ) -> Result<(Response<Incoming>, Held), EngineError> {
        let (mut request, sent) = prepare(&self.endpoint, request)?;
        let path = request.uri().path().to_owned();
        let deadline = Deadline::after(self.limit, &self.endpoint);
        loop {
            let kept = self.pool.take();
            let was_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::open(&self.endpoint, &deadline).await?,
            };
            let again = was_kept.then(|| repeatable(&request)).flatten();
            let sending = async { Ok(connection.send(&self.endpoint, request).await) };
            let answered = self.while_moving(&path, &sent.parts, patience, sending);
            match answered.await? {
                Ok(response) => {
                    let held = Held {
                        connection,
                        pool: Arc::clone(&self.pool),
                        request: sent,
                    };
                    return Ok((response, held));
                }
                // The engine may have closed an idle connection.
                Err(lost) => match lost.unsent.or(again) {
                    Some(unsent) if was_kept => request = unsent,
                    _ => return Err(lost.error),
                },
            }
        }
    }
}

/// Makes a request one to this engine, and its body one that tells how far it is sent.
fn prepare(
    endpoint: &EngineEndpoint,
    request: Request<Body>,
) -> Result<(Request<Body>, Arc<Sent>), EngineError> {
    let unfit = |error: &dyn std::error::Error| EngineError::protocol(endpoint, &error.to_string());
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from(path);
    let host = HeaderValue::from_str(&endpoint.authority()).map_err(|error| unfit(&error))?;
    head.headers.insert(header::HOST, host);
    let sent = Arc::new(Sent::default());
    sent.whole.store(body.is_end_stream(), Ordering::Release);
    let counted = Counted {
        body,
        sent: Arc::clone(&sent),
    };
    Ok((Request::from_parts(head, counted.boxed_unsync()), sent))
}

/// The same request once more, where asking twice does no harm.
fn repeatable(request: &Request<Body>) -> Option<Request<Body>> {
    let harmless = request.method().is_safe() && request.body().is_end_stream();
    harmless.then(|| {
        let mut again = Request::new(full(Bytes::new()));
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        *again.extensions_mut() = request.extensions().clone();
        again
    })
}

struct Counted {
    body: Body,
    sent: Arc<Sent>,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.sent.parts.fetch_add(1, Ordering::Relaxed);
        if frame.is_none() || self.body.is_end_stream() {
            self.sent.whole.store(true, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
