//! The agent: registers an engine in a discovery, for ever.

use std::time::Duration;

use futures_util::StreamExt as _;
use rswarm_discovery::{Discovery, Entry};
use tokio_util::sync::CancellationToken;

/// How long the entry may take to be taken away when the agent is told to stop.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// Registers the entry at once and at every heartbeat until it is told to stop; then takes the
/// entry away, so that nobody waits for its end.
pub async fn run(
    discovery: &dyn Discovery,
    entry: Entry,
    heartbeat: Duration,
    ttl: Duration,
    stop: &CancellationToken,
) {
    let mut rounds = discovery.register(entry.clone(), heartbeat, ttl);
    let mut registered = false;
    loop {
        let round = tokio::select! {
            () = stop.cancelled() => break,
            round = rounds.next() => round,
        };
        match round {
            Some(Ok(())) if registered => tracing::debug!("{entry} is registered anew"),
            Some(Ok(())) => tracing::info!("{entry} is registered"),
            Some(Err(error)) => tracing::warn!("{entry} could not be registered: {error}"),
            None => break,
        }
        registered = true;
    }
    drop(rounds);
    match tokio::time::timeout(LEAVE_LIMIT, discovery.deregister(&entry)).await {
        Ok(Ok(())) => tracing::info!("{entry} has left"),
        Ok(Err(error)) => tracing::warn!("{entry} could not leave: {error}"),
        Err(_) => tracing::warn!("{entry} could not leave within {LEAVE_LIMIT:?}"),
    }
}
