use std::time::Duration;

use rswarm_discovery::{StoreOptions, new_token};

use super::{Failure, print};

/// How long the service may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Get a token for a new cluster from a discovery service, which 'rswarm discovery' is
#[derive(clap::Args)]
pub struct Args {
    /// The service
    #[arg(
        long,
        value_name = "URL",
        env = "SWARM_DISCOVERY_URL",
        hide_env_values = true
    )]
    discovery_url: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<(), Failure> {
    let url = args.discovery_url.ok_or_else(|| {
        Failure::usage(
            "--discovery-url names the service; the public one is gone, 'rswarm discovery' is one",
        )
    })?;
    let options = StoreOptions {
        discovery_url: Some(url),
        limit: LIMIT,
        ..StoreOptions::default()
    };
    let token = new_token(&options).await?;
    print(&format!("{token}\n"))
}
