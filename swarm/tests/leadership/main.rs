//! Who may act for a cluster: leadership among managers, replicas, and registrations of agents.
//! The store is a real etcd.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../nodes/engine.rs"]
mod engine;
mod peers;
#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../faults/process.rs"]
mod process;
mod registration;
mod replica;
#[path = "../../discovery/tests/servers/mod.rs"]
mod servers;
mod stopped;
#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../faults/wire.rs"]
mod wire;

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use rswarm_discovery::{DiscoveryUrl, Standing, StoreOptions, election};

/// Timeout of everything that has to happen.
const LIMIT: Duration = Duration::from_secs(60);

/// TTL of a lead that outlasts the test.
const FOR_EVER: Duration = Duration::from_secs(600);

/// Makes an address the leader's in the store, for as long as the stream lives.
async fn lead(store: &str, candidate: &str) -> BoxStream<'static, Standing> {
    let url: DiscoveryUrl = store.parse().unwrap();
    let election = election(&url, StoreOptions::default()).unwrap();
    let mut campaign = election.campaign(candidate.to_owned(), FOR_EVER);
    let leading =
        async { while !matches!(campaign.next().await, Some(Standing::Primary { .. })) {} };
    tokio::time::timeout(LIMIT, leading)
        .await
        .expect("the lead");
    campaign
}
