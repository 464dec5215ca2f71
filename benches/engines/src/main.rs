//! Simulated engines, to measure a manager with: as many as are asked for, each on a loopback port
//! of its own, with containers that are created, started, stopped and removed, and the events of
//! that. They run nothing.
//!
//!     simulated-engines --engines 1000 --containers 30 --entries FILE

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use simulated_engines::{Engine, serve};
use tokio::net::TcpListener;

/// Simulated engines on loopback ports.
#[derive(Parser)]
struct Args {
    /// How many engines
    #[arg(long, default_value_t = 100)]
    engines: u16,

    /// How many running containers each has at first
    #[arg(long, default_value_t = 30)]
    containers: usize,

    /// The first engine's port; the others' follow
    #[arg(long, default_value_t = 20_000)]
    port: u16,

    /// Write the engines' addresses into this file, one a line, as file:// discovery reads them
    #[arg(long, value_name = "FILE")]
    entries: Option<PathBuf>,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    // A manager keeps two connections to each engine, and both ends of them may be here.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(args))
}

async fn run(args: Args) -> io::Result<()> {
    let mut entries = String::new();
    for number in 0..args.engines {
        let port = args.port + number;
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        entries.push_str(&format!("127.0.0.1:{port}\n"));
        let engine = Arc::new(Engine::new(number, args.containers));
        tokio::spawn(serve(listener, engine));
    }
    if let Some(path) = &args.entries {
        std::fs::write(path, entries)?;
    }
    eprint_ready(args.engines, args.port);
    std::future::pending().await
}

#[allow(
    clippy::print_stderr,
    reason = "whoever started this waits for the line"
)]
fn eprint_ready(engines: u16, port: u16) {
    eprintln!("{engines} engines listen from port {port} on");
}
