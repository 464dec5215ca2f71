use std::path::PathBuf;
use std::sync::Arc;

use rswarm_discovery::TokenService;

use super::exposure::{Exposed, warn_if_exposed};
use super::tls::TlsArgs;
use super::{Failure, stop};
use crate::listen::{ListenAddress, Listener, raise_descriptor_limit, serve};
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
    raise_descriptor_limit();
    let mut listeners = Vec::new();
    for address in &args.host {
        let listener = Listener::bind(address).await?;
        if configs.is_none() {
            warn_if_exposed(&listener, address, Exposed::Discovery);
        }
        listeners.push(listener);
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
