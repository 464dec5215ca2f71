use std::time::Duration;

use rmachine_engine::{Engine, EngineEndpoint};

use super::Failure;
use super::tls::TlsArgs;
use crate::listen::ListenAddress;

/// How long the manager may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Ask the manager on this machine whether it answers; made for a container's health check
#[derive(clap::Args)]
pub struct Args {
    /// Where the manager listens
    #[arg(
        short = 'H',
        long,
        value_name = "ADDRESS",
        env = "SWARM_HOST",
        hide_env_values = true,
        value_delimiter = ',',
        default_value = "tcp://127.0.0.1:2375"
    )]
    host: Vec<ListenAddress>,

    #[command(flatten)]
    tls: TlsArgs,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Some(address) = args.host.first() else {
        return Err(Failure::usage("--host names no address"));
    };
    let url = address.local_url();
    let files = args.tls.files()?;
    let endpoint = match (address, files) {
        (ListenAddress::Tcp { .. }, Some(files)) => EngineEndpoint::tls(&url, files.load()?.client),
        _ => EngineEndpoint::without_tls(&url),
    }?;
    Engine::new(endpoint, LIMIT).ping().await?;
    Ok(())
}
