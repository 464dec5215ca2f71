//! Simulated engines, for programs that measure a manager. They run nothing.
//!
//! Start reading at [`serve`].

mod api;
mod engine;
mod exec;
mod shapes;

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use engine::{Container, Engine, Refusal, State};

/// Answers for an engine. Its connections end with the future.
pub async fn serve(listener: TcpListener, engine: Arc<Engine>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            return;
        };
        let engine = Arc::clone(&engine);
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(|request| api::answer(Arc::clone(&engine), request));
            // Whoever hangs up has seen enough. As with a real engine, a connection that is not used
            // stays.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}
