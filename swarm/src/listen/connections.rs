//! The connections of unauthenticated clients, closed in the order that [`Admission`] decides.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::admission::{Admission, Id, Limits, Source};
use super::log_throttle::LogThrottle;

/// How often evicted connections are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// All connections of unauthenticated clients. Clones are the same.
#[derive(Clone)]
pub(super) struct Connections {
    shared: Arc<Shared>,
}

struct Shared {
    table: Mutex<Table>,
    log: LogThrottle,
}

struct Table {
    admission: Admission,
    /// Dropping a sender closes the connection.
    open: HashMap<Id, oneshot::Sender<()>>,
}

/// A connection's entry, removed with the value.
pub(super) struct Ticket {
    connections: Connections,
    id: Id,
    source: IpAddr,
}

/// Resolves when the connection has to be closed.
pub(super) type Evicted = oneshot::Receiver<()>;

/// A request in progress; it ends with the value.
pub(super) struct ActiveRequest(Arc<Ticket>);

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        let table = Table {
            admission: Admission::new(limits),
            open: HashMap::new(),
        };
        Self {
            shared: Arc::new(Shared {
                table: Mutex::new(table),
                log: LogThrottle::new(LOG_INTERVAL),
            }),
        }
    }

    /// Adds a connection, and closes another one where there are too many.
    pub(super) fn admit(&self, source: IpAddr) -> (Ticket, Evicted) {
        let (sender, evicted) = oneshot::channel();
        let mut table = self.table();
        let (id, surplus) = table.admission.admit(Source::from(source));
        table.open.insert(id, sender);
        drop(table);
        self.close(surplus);
        let ticket = Ticket {
            connections: self.clone(),
            id,
            source,
        };
        (ticket, evicted)
    }

    /// Closes the oldest connection that has no request in progress, to get back its file
    /// descriptor.
    pub(super) fn evict_oldest(&self) {
        let oldest = self.table().admission.evict_oldest();
        self.close(oldest);
    }

    fn close(&self, surplus: Option<Id>) {
        let Some(id) = surplus else {
            return;
        };
        self.table().open.remove(&id);
        if let Some(suppressed) = self.shared.log.admit(Instant::now()) {
            let more = suppressed.saturating_add(1);
            tracing::warn!(
                "too many connections of clients without a certificate: closing the oldest \
                 ({more} since the last such message)"
            );
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        let table = self.shared.table.lock();
        table.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The client's address.
    pub(super) fn source(&self) -> IpAddr {
        self.source
    }

    /// Notes that the client has begun a TLS handshake.
    pub(super) fn begin_handshake(&self) {
        let surplus = self.connections.table().admission.begin_handshake(self.id);
        self.connections.close(surplus);
    }

    /// Notes that the handshake is done and did not authenticate the client.
    pub(super) fn end_handshake(&self) {
        self.connections.table().admission.end_handshake(self.id);
    }

    /// Keeps the connection from being evicted until the value goes. `None` where too many requests
    /// are in progress.
    pub(super) fn begin_request(self: &Arc<Self>) -> Option<ActiveRequest> {
        let admitted = self.connections.table().admission.begin_request(self.id);
        admitted.then(|| ActiveRequest(Arc::clone(self)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.admission.remove(self.id);
        table.open.remove(&self.id);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let Ticket {
            connections, id, ..
        } = &*self.0;
        let surplus = connections.table().admission.end_request(*id);
        connections.close(surplus);
    }
}

/// A response body during which the request is in progress.
pub(super) struct ActiveBody<B> {
    body: B,
    _request: ActiveRequest,
}

impl<B> ActiveBody<B> {
    pub(super) fn new(body: B, request: ActiveRequest) -> Self {
        Self {
            body,
            _request: request,
        }
    }
}

impl<B> Body for ActiveBody<B>
where
    B: Body<Data = Bytes, Error = io::Error> + Unpin,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
