use std::time::Duration;

use rswarm_discovery::{Discovery, DiscoveryUrl, Election, StoreOptions};

use super::Failure;

/// The discovery, and what it has to be told.
#[derive(clap::Args)]
pub struct StoreArgs {
    /// The discovery: etcd://, consul://, zk://, token://, file://, nodes://, or a list of engines
    #[arg(
        value_name = "DISCOVERY",
        env = "SWARM_DISCOVERY",
        hide_env_values = true
    )]
    discovery: Option<String>,

    /// An option of the discovery: kv.path, kv.cacertfile, kv.certfile, kv.keyfile
    #[arg(long, value_name = "NAME=VALUE")]
    discovery_opt: Vec<String>,

    /// The service that token:// means
    #[arg(
        long,
        value_name = "URL",
        env = "SWARM_DISCOVERY_URL",
        hide_env_values = true
    )]
    discovery_url: Option<String>,
}

impl StoreArgs {
    /// The discovery's URL.
    ///
    /// # Errors
    /// When there is none, or it is none.
    pub fn url(&self, command: &str) -> Result<DiscoveryUrl, Failure> {
        let text = self.discovery.as_deref().ok_or_else(|| {
            Failure::usage(format!(
                "discovery required to {command} a cluster. See 'rswarm {command} --help'."
            ))
        })?;
        text.parse()
            .map_err(|error: rswarm_discovery::InvalidUrl| Failure::usage(error.to_string()))
    }

    /// The discovery at this URL.
    ///
    /// # Errors
    /// When its options cannot be used.
    pub fn discovery(
        &self,
        url: &DiscoveryUrl,
        heartbeat: Duration,
    ) -> Result<Box<dyn Discovery>, Failure> {
        Ok(rswarm_discovery::discovery(url, self.options(heartbeat)?)?)
    }

    /// The election in the same store.
    ///
    /// # Errors
    /// When the store holds no elections, or its options cannot be used.
    pub fn election(
        &self,
        url: &DiscoveryUrl,
        heartbeat: Duration,
    ) -> Result<Box<dyn Election>, Failure> {
        Ok(rswarm_discovery::election(url, self.options(heartbeat)?)?)
    }

    fn options(&self, heartbeat: Duration) -> Result<StoreOptions, Failure> {
        let usage = |error: rswarm_discovery::DiscoveryError| Failure::usage(error.to_string());
        let mut options = StoreOptions::parse(&self.discovery_opt).map_err(usage)?;
        options.heartbeat = heartbeat;
        options.discovery_url.clone_from(&self.discovery_url);
        Ok(options)
    }
}
