use std::time::Duration;

use super::store::StoreArgs;
use super::{Failure, print};

/// List the engines that a discovery knows
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// How long to wait for the discovery
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::duration)]
    timeout: Duration,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<(), Failure> {
    let url = args.store.url("list")?;
    if args.timeout.is_zero() {
        return Err(Failure::usage("--timeout should be a positive number"));
    }
    let discovery = args.store.discovery(&url, args.timeout)?;
    let listed = tokio::time::timeout(args.timeout, discovery.list()).await;
    let members = listed.map_err(|_| {
        Failure::of(format!(
            "Timed out: {url} did not answer within {:?}",
            args.timeout
        ))
    })??;
    let lines: Vec<String> = members.iter().map(|entry| format!("{entry}\n")).collect();
    print(&lines.concat())
}
