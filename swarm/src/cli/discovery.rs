use std::path::PathBuf;
use std::sync::Arc;

use rswarm_discovery::TokenService;

use super::tls::TlsArgs;
use super::{Failure, stop};
use crate::listen::{ListenAddress, Listener, serve};
use crate::tls;

/// Serve token:// discovery to any number of clusters
#[derive(clap::Args)]
pub struct Args {
    /// Where to listen
    #[arg(
        short = 'H',
        long,
        value_name = "ADDRESS",
        default_value = "tcp://127.0.0.1:8500"
    )]
    host: Vec<ListenAddress>,

    /// A file that keeps the clusters over a restart
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsArgs,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<(), Failure> {
    let configs = args.tls.files()?.map(tls::reloaded).transpose()?;
    let service = Arc::new(TokenService::open(args.data)?);
    let stop = stop::on_signal()?;
    let mut listeners = Vec::new();
    for address in &args.host {
        listeners.push(Listener::bind(address).await?);
        tracing::info!("serving discovery on {address}");
    }
    let serving = Arc::clone(&service);
    let answer = move |request| {
        let service = Arc::clone(&serving);
        async move { crate::listen::boxed(service.handle(request).await) }
    };
    serve(listeners, configs, answer, stop).await;
    Ok(service.flush().await?)
}
