//! Keeps a manager of simulated engines busy for as long as wanted, and fails when its memory or its
//! open files grow.
//!
//!     soak --time 1h --program target/release/rswarm

mod engines;
mod load;
mod manager;
mod samples;
mod wire;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;

use engines::Engines;
use load::Counts;
use manager::Manager;
use samples::Samples;

/// Keep a manager busy, and see whether it grows.
#[derive(Parser)]
struct Args {
    /// The manager's program
    #[arg(long, value_name = "FILE", default_value = "target/release/rswarm")]
    program: PathBuf,

    /// How many engines
    #[arg(long, default_value_t = 50)]
    engines: u16,

    /// How many running containers each has at first
    #[arg(long, default_value_t = 20)]
    containers: usize,

    /// The first engine's port; the others' follow
    #[arg(long, default_value_t = 21_000)]
    port: u16,

    /// How many clients there are at once
    #[arg(long, default_value_t = 8)]
    clients: u16,

    /// How many rounds a second the clients make together; 0 for as many as they can
    #[arg(long, default_value_t = 20)]
    rate: u32,

    /// How long to go on
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    time: Duration,

    /// What passes before that, uncounted, for what is made at the first use and is kept
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    warm_up: Duration,

    /// The time between two looks at the manager
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    sample: Duration,

    /// By how many percent the last third may be above the first
    #[arg(long, default_value_t = 10)]
    margin: u32,
}

/// How long a manager may take to let go of all when nobody asks it any more.
const REST: Duration = Duration::from_secs(60);

/// How many more files than before may be open at rest: kept connections to engines.
const KEPT: u64 = 2;

/// How many rounds there are at least to one that fails. Some do when an engine dies.
const SERVED: u64 = 4;

fn main() -> ExitCode {
    let args = Args::parse();
    match start(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("soak: {error}"));
            ExitCode::from(2)
        }
    }
}

fn start(args: Args) -> Result<bool, Box<dyn Error>> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(args))
}

/// Whether the manager stayed as it was.
async fn run(args: Args) -> Result<bool, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let engines = Engines::start(args.engines, args.containers, args.port, dir.path()).await?;
    let mut manager = Manager::start(&args.program, &engines.entries(), dir.path())?;
    manager.until_healthy(args.engines).await?;
    let before = manager.look()?;
    say(&format!(
        "{} engines with {} containers each are healthy: {before}",
        args.engines, args.containers
    ));

    let counts = Arc::new(Counts::default());
    let mut load = JoinSet::new();
    let pause = match args.rate {
        0 => Duration::ZERO,
        rate => Duration::from_secs(1) * u32::from(args.clients) / rate,
    };
    for client in 0..args.clients {
        load.spawn(load::client(
            manager.port,
            client,
            pause,
            Arc::clone(&counts),
        ));
    }
    load.spawn(engines.come_and_go());
    let samples = sampled(&args, &mut manager, &counts).await?;
    load.shutdown().await;

    let is_flat = samples.verdict(args.margin);
    let (rounds, _, failed) = counts.now();
    let is_served = rounds > failed * SERVED;
    if !is_served {
        say("too many rounds failed for this to say anything");
    }
    let rest = at_rest(&mut manager, before.files).await?;
    say(&format!("at rest: {rest}; before the load: {before}"));
    Ok(is_flat && is_served && rest.files <= before.files + KEPT)
}

async fn sampled(
    args: &Args,
    manager: &mut Manager,
    counts: &Counts,
) -> Result<Samples, Box<dyn Error>> {
    let begun = Instant::now();
    let mut samples = Samples::new(args.warm_up);
    while begun.elapsed() < args.warm_up + args.time {
        tokio::time::sleep(args.sample).await;
        samples.add(begun.elapsed(), manager.look()?, counts);
    }
    samples::tell(begun.elapsed(), manager.look()?, counts);
    Ok(samples)
}

/// The manager once nobody asks it any more.
async fn at_rest(manager: &mut Manager, files: u64) -> Result<samples::Look, Box<dyn Error>> {
    let end = Instant::now() + REST;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let look = manager.look()?;
        if look.files <= files || Instant::now() > end {
            return Ok(look);
        }
    }
}

#[allow(clippy::print_stdout, reason = "this is what the program is for")]
fn say(line: &str) {
    println!("{line}");
}
