use std::time::Duration;

use rswarm_discovery::Entry;

use super::store::StoreArgs;
use super::{Failure, stop};
use crate::advertise::Advertise;
use crate::agent;

/// Register an engine in a discovery, for as long as this runs
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// Where managers reach the engine: ADDRESS:PORT, or INTERFACE:PORT
    #[arg(
        long,
        alias = "addr",
        value_name = "ADDRESS",
        env = "SWARM_ADVERTISE",
        hide_env_values = true
    )]
    advertise: Option<String>,

    /// How often the engine is registered anew
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::duration)]
    heartbeat: Duration,

    /// How long the entry lasts when it is not registered anew
    #[arg(long, value_name = "TIME", default_value = "180s", value_parser = super::duration)]
    ttl: Duration,

    /// A random time up to this passes before the first registration
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = super::duration)]
    delay: Duration,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<(), Failure> {
    let url = args.store.url("join")?;
    let advertise = args
        .advertise
        .ok_or_else(|| Failure::usage("missing mandatory --advertise flag"))?;
    let advertise: Advertise = advertise.parse().map_err(usage)?;
    if args.heartbeat < Duration::from_secs(1) {
        return Err(Failure::usage("--heartbeat should be at least one second"));
    }
    if args.ttl <= args.heartbeat {
        return Err(Failure::usage(
            "--ttl must be strictly superior to the heartbeat value",
        ));
    }
    let entry: Entry = advertise.resolved()?.parse()?;
    let discovery = args.store.discovery(&url, args.heartbeat)?;
    let stop = stop::on_signal()?;
    let delay = args.delay.mul_f64(rand::random());
    if tokio::time::timeout(delay, stop.cancelled()).await.is_ok() {
        return Ok(());
    }
    agent::run(&*discovery, entry, args.heartbeat, args.ttl, &stop).await;
    Ok(())
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::usage(error.to_string())
}
