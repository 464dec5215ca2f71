//! Measures a manager of simulated engines, and prints what docs/performance.md tells.
//!
//!     manager-bench --program target/x86_64-unknown-linux-gnu/companion/rswarm --engines 1000

mod asks;
mod heartbeats;
mod loads;
mod programs;
mod report;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use asks::Client;
use heartbeats::Store;
use programs::{Engines, Manager};
use report::{Bound, Report};

/// Measure a manager of simulated engines.
#[derive(Parser)]
struct Args {
    /// The manager's program
    #[arg(long, value_name = "FILE", default_value = "target/release/rswarm")]
    program: PathBuf,

    /// How many engines
    #[arg(long, default_value_t = 1000)]
    engines: u16,

    /// How many running containers each has at first
    #[arg(long, default_value_t = 30)]
    containers: usize,

    /// The first engine's port; the others' follow
    #[arg(long, default_value_t = 22_000)]
    port: u16,

    /// How long the manager is left alone, to see what it does by itself
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    idle: Duration,

    /// A real engine, HOST:PORT in the clear, to load an image into; it keeps it
    #[arg(long, value_name = "ADDRESS")]
    engine: Option<SocketAddr>,

    /// How many megabytes that image has
    #[arg(long, default_value_t = 1024)]
    load: usize,
}

/// What went wrong, for whoever reads it.
type Failure = Box<dyn Error + Send + Sync>;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// How many clients there are, where there are many.
const CLIENTS: usize = 8;

/// How many pairs of create and start each of them makes.
const PAIRS: usize = 125;

/// The time that is told of.
const MINUTE: Duration = Duration::from_secs(60);

/// How many images are loaded either way.
const LOADS: usize = 3;

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let limited = async { tokio::time::timeout(PATIENCE * 2 + args.idle, measure(&args)).await };
    let report = runtime.block_on(limited)??;
    print_table(&report);
    Ok(())
}

async fn measure(args: &Args) -> Result<Report, Failure> {
    let engines = Engines::start(args.engines, args.containers, args.port).await?;
    let mut report = Report::default();

    let begin = Instant::now();
    let manager = Manager::start(&args.program, &engines.url()).await?;
    let bound = Bound::AtMost(Duration::from_millis(20));
    report.time("`manage` listens after", begin.elapsed(), bound);
    manager.healthy(args.engines, PATIENCE).await?;
    let bound = Bound::AtMost(Duration::from_secs(2));
    report.time("all engines are healthy after", begin.elapsed(), bound);
    manager.rests(PATIENCE).await?;
    let took = begin.elapsed();
    report.time("all containers are inspected after", took, Bound::None);
    report.megabytes("resident then", manager.resident()?, 150);

    let client = Client::new(manager.port());
    let (list, size) = client.medians("/containers/json?all=1", 10).await?;
    let what = format!("`containers/json`, {} MB", size / 1_000_000);
    report.time(&what, list, Bound::AtMost(Duration::from_millis(60)));
    let (limited, _) = client
        .medians("/containers/json?all=1&limit=10", 200)
        .await?;
    let bound = Bound::AtMost(Duration::from_millis(3));
    report.time("`containers/json?limit=10`", limited, bound);
    let (info, _) = client.medians("/info", 50).await?;
    report.time("`info`", info, Bound::AtMost(Duration::from_millis(5)));
    let ids = client.container_ids().await?;
    let inspect = client.medians_of(ids.iter().map(|id| format!("/containers/{id}/json")), 500);
    let bound = Bound::AtMost(Duration::from_millis(2));
    report.time("`inspect`", inspect.await?, bound);

    let one = loads::pairs(manager.port(), 1, PAIRS / 2).await?;
    report.time("create, one client, p50", one.create, Bound::None);
    let many = loads::pairs(manager.port(), CLIENTS, PAIRS).await?;
    report.rate("create+start a second, 8 clients", many.rate, 1000.0);
    let bound = Bound::AtMost(Duration::from_millis(8));
    report.time("create+start, 8 clients, p50", many.pair, bound);
    let direct = loads::pairs(args.port, CLIENTS, PAIRS).await?;
    report.rate("the same asked of one engine", direct.rate, 0.0);
    manager.rests(PATIENCE).await?;
    report.megabytes("resident after that", manager.resident()?, 150);

    let before = manager.processor_time()?;
    let begin = Instant::now();
    tokio::time::sleep(args.idle).await;
    let used = manager.processor_time()? - before;
    let share = 100.0 * used.as_secs_f64() / begin.elapsed().as_secs_f64();
    report.percent("of a core, left alone", share, 1.0);
    drop(manager);

    let first = format!("nodes://127.0.0.1:{}", args.port);
    let alone = Manager::start(&args.program, &first).await?;
    alone.healthy(1, PATIENCE).await?;
    let near = Client::new(args.port);
    let far = Client::new(alone.port());
    let ids = near.container_ids().await?;
    let id = ids.first().ok_or("the engine has no containers")?;
    let path = format!("/containers/{id}/logs?stdout=1");
    let (added, direct) = asks::added(&far, &near, &path, 3000).await?;
    report.time("logs asked of an engine directly", direct, Bound::None);
    let bound = Bound::AtMost(Duration::from_micros(300));
    report.time("what a manager adds, which passes them on", added, bound);
    let path = format!("/containers/{id}/json");
    let (added, direct) = asks::added(&far, &near, &path, 3000).await?;
    report.time("`inspect` asked of an engine directly", direct, Bound::None);
    report.time(
        "what a manager adds, which writes it anew",
        added,
        Bound::None,
    );
    drop(alone);
    if let Some(store) = Store::start().await? {
        heartbeats(args, &store, &engines, &mut report).await?;
    }
    if let Some(engine) = args.engine {
        load(args, engine, &mut report).await?;
    }
    Ok(report)
}

/// Watches the members of a real store through a whole minute of their heartbeats.
async fn heartbeats(
    args: &Args,
    store: &Store,
    engines: &Engines,
    report: &mut Report,
) -> Result<(), Failure> {
    store.register(engines)?;
    let manager = Manager::start(&args.program, &store.url()).await?;
    manager.healthy(args.engines, PATIENCE).await?;
    manager.rests(PATIENCE).await?;
    let before = store.bytes();
    tokio::time::sleep(MINUTE).await;
    let kilobytes = (store.bytes() - before) / 1000;
    let what = format!("a minute of heartbeats of {} agents in etcd", args.engines);
    report.kilobytes(&what, kilobytes, 100);
    Ok(())
}

/// Loads images into a real engine, once directly and once through a manager: each its own, as an
/// engine does not read again what it has.
async fn load(args: &Args, engine: SocketAddr, report: &mut Report) -> Result<(), Failure> {
    let alone = Manager::start(&args.program, &format!("nodes://{engine}")).await?;
    alone.healthy(1, PATIENCE).await?;
    let manager = SocketAddr::from((Ipv4Addr::LOCALHOST, alone.port()));
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..LOADS {
        for (times, to) in times.iter_mut().zip([engine, manager]) {
            let archive = loads::archive(args.load)?;
            times.push(loads::image(to, archive).await?);
            loads::remove(engine).await?;
        }
    }
    let [direct, through] = times.map(asks::median);
    let what = format!("`load` of {} MB into a real engine directly", args.load);
    report.time(&what, direct, Bound::None);
    let ratio = 100.0 * direct.as_secs_f64() / through.as_secs_f64();
    report.percent_at_least("of that speed through a manager", ratio, 80.0);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the table is what this is for")]
fn print_table(report: &Report) {
    print!("{report}");
}
