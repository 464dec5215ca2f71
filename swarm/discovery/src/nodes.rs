//! `nodes://`: the members are what the URL says.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use crate::{Discovery, DiscoveryError, Entry, Update, poll};

pub(crate) struct Nodes(pub(crate) BTreeSet<Entry>);

#[async_trait]
impl Discovery for Nodes {
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        Ok(self.0.clone())
    }

    fn watch(&self) -> BoxStream<'static, Update> {
        let members = Update::Members(self.0.clone());
        stream::iter([members]).chain(stream::pending()).boxed()
    }

    fn register(
        &self,
        _entry: Entry,
        heartbeat: Duration,
        _ttl: Duration,
    ) -> BoxStream<'static, Result<(), DiscoveryError>> {
        poll::rounds(heartbeat, || async { Err(DiscoveryError::Unsupported) })
    }

    async fn deregister(&self, _entry: &Entry) -> Result<(), DiscoveryError> {
        Err(DiscoveryError::Unsupported)
    }
}
