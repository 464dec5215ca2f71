use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rswarm_discovery::{Discovery, DiscoveryUrl, Entry, MembershipService};
use rswarm_scheduler::node::Overcommit;
use rswarm_scheduler::{Filter, Scheduler, Strategy};

use super::exposure::{Exposed, warn_if_exposed};
use super::store::StoreArgs;
use super::tls::TlsArgs;
use super::{Failure, stop};
use crate::advertise::Advertise;
use crate::api::{ApiSettings, Host, Standing};
use crate::cluster::{ClusterSettings, EngineTls};
use crate::lease::Lease;
use crate::listen::{ListenAddress, Listener, raise_descriptor_limit};
use crate::manager::{self, Manager, Replication};
use crate::tls::{self, TlsFiles};

/// Serve one Docker API for all engines of a cluster
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// How a node is chosen: spread, binpack or random
    #[arg(long, value_name = "NAME", default_value = "spread")]
    strategy: String,

    /// A filter that nodes must pass, in place of all: health, port, containerslots, dependency,
    /// affinity, constraint, whitelist
    #[arg(short = 'f', long = "filter", value_name = "NAME")]
    filters: Vec<String>,

    /// Where to listen: [tcp://]HOST:PORT or unix://PATH
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

    /// Be one of several managers, of which one is the primary
    #[arg(long)]
    replication: bool,

    /// How long a primary that does not answer stays the primary
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::duration)]
    replication_ttl: Duration,

    /// Where other managers reach this one: ADDRESS:PORT, or INTERFACE:PORT
    #[arg(
        long,
        alias = "addr",
        value_name = "ADDRESS",
        env = "SWARM_ADVERTISE",
        hide_env_values = true
    )]
    advertise: Option<String>,

    #[command(flatten)]
    tls: TlsArgs,

    /// A file that keeps the membership of embedded:// over a restart
    #[arg(long, value_name = "FILE")]
    membership_file: Option<PathBuf>,

    /// Where to tell Prometheus, in the clear: [tcp://]HOST:PORT or unix://PATH; it asks for
    /// /metrics there
    #[arg(long, value_name = "ADDRESS")]
    metrics_addr: Option<ListenAddress>,

    /// How often a discovery that tells of no changes is asked
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::duration)]
    heartbeat: Duration,

    /// How long an engine is left alone at least, when it tells of no changes
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::duration)]
    engine_refresh_min_interval: Duration,

    /// How long an engine is left alone at most
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::duration)]
    engine_refresh_max_interval: Duration,

    /// After how many failures an engine is unhealthy
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    engine_failure_retry: i64,

    #[arg(long, value_name = "NUMBER", default_value_t = 3, hide = true)]
    engine_refresh_retry: i64,

    /// Let web pages of other origins use the API
    #[arg(long, alias = "cors")]
    api_enable_cors: bool,

    /// The kind of cluster; there is one
    #[arg(short, long, value_name = "NAME", default_value = "swarm")]
    cluster_driver: String,

    /// An option of the cluster: swarm.overcommit=0.05, swarm.createretry=0,
    /// swarm.rescheduledelay=30s
    #[arg(long, value_name = "NAME=VALUE")]
    cluster_opt: Vec<String>,

    /// Taken for the original's sake: what is known of nodes is never old here
    #[arg(long, hide = true)]
    refresh_on_node_filter: bool,

    /// Taken for the original's sake: what is known of nodes is never old here
    #[arg(long, value_name = "NAME", hide = true)]
    container_name_refresh_filter: Option<String>,
}

/// How long one call of the manager's own to an engine may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// How long a node may be silent before its containers move: an engine is restarted in that time.
const RESCHEDULE_DELAY: Duration = Duration::from_secs(30);

/// Runs the command.
pub async fn run(args: Args) -> Result<(), Failure> {
    let url = args.store.url("manage")?;
    check(&args)?;
    let options = ClusterOptions::parse(&args.cluster_opt)?;
    let strategy: Strategy = args.strategy.parse().map_err(usage)?;
    let filters = match args.filters.is_empty() {
        true => Filter::ALL.to_vec(),
        false => {
            let named: Result<Vec<Filter>, _> =
                args.filters.iter().map(|name| name.parse()).collect();
            named.map_err(usage)?
        }
    };
    let advertise = match (&args.advertise, args.replication) {
        (Some(text), _) => {
            let advertise: Advertise = text.parse().map_err(usage)?;
            let advertise: Entry = advertise.resolved()?.parse().map_err(usage)?;
            if args.replication && is_loopback(advertise.host()) {
                tracing::warn!(
                    "--advertise {advertise} is a loopback address: managers on other machines \
                     cannot forward requests to this one"
                );
            }
            Some(advertise.to_string())
        }
        (None, true) => {
            return Err(Failure::usage(
                "--advertise address must be provided when using --leader-election",
            ));
        }
        (None, false) => None,
    };
    let election = match args.replication {
        true => Some(args.store.election(&url, args.heartbeat)?),
        false => None,
    };
    let files = args.tls.files()?;
    if files.as_ref().is_some_and(|files| files.ca.is_none()) {
        tracing::warn!("--tls without --tlsverify: every client is let in, and no engine verified");
    }
    let membership = match &url {
        DiscoveryUrl::Embedded { managers } if managers.is_empty() => {
            if files.as_ref().is_none_or(|files| files.ca.is_none()) {
                return Err(Failure::usage(
                    "embedded:// needs --tlsverify: whoever reaches the manager could join",
                ));
            }
            Some(MembershipService::open(args.membership_file)?)
        }
        _ => None,
    };
    let discovery: Box<dyn Discovery> = match &membership {
        Some(membership) => Box::new(membership.clone()),
        None => args.store.discovery(&url, args.heartbeat)?,
    };
    let files = files.map(|files| TlsFiles {
        admits_agents: membership.is_some(),
        ..files
    });
    let tls = files.map(tls::reloaded).transpose()?;

    raise_descriptor_limit();
    let mut listeners = Vec::new();
    for address in &args.host {
        let mut listener = Listener::bind(address).await?;
        if args.api_enable_cors {
            listener.allow_any_origin();
        }
        if tls.is_none() {
            warn_if_exposed(&listener, address, Exposed::Api);
        }
        listeners.push(listener);
        tracing::info!("Listening for HTTP on {address}");
    }
    let metrics = match &args.metrics_addr {
        Some(address) => {
            let listener = Listener::bind(address).await?;
            warn_if_exposed(&listener, address, Exposed::Metrics);
            Some(listener)
        }
        None => None,
    };
    let manager = Manager {
        listeners,
        metrics,
        discovery,
        membership,
        replication: election
            .zip(advertise)
            .map(|(election, candidate)| Replication {
                election: Arc::from(election),
                candidate,
                ttl: args.replication_ttl,
            }),
        cluster: ClusterSettings {
            refresh_min: args.engine_refresh_min_interval,
            refresh_max: args.engine_refresh_max_interval,
            failure_retry: u32::try_from(args.engine_failure_retry).unwrap_or(u32::MAX),
            overcommit: options.overcommit,
            scheduler: Scheduler::new(strategy, filters.clone()),
            tls: tls.clone().map_or(EngineTls::Off, EngineTls::On),
            call_limit: CALL_LIMIT,
        },
        api: ApiSettings {
            standing: Box::new(|| Standing::Primary),
            lease: Lease::default(),
            strategy: strategy.to_string(),
            filters: filters.iter().map(ToString::to_string).collect(),
            host: host(),
            create_retry: options.create_retry,
            cors: args.api_enable_cors,
            experimental: false,
        },
        reschedule_delay: options.reschedule_delay,
        tls,
    };
    let stop = stop::on_signal()?;
    manager::run(manager, stop).await;
    Ok(())
}

/// What the flags must be by themselves, in the original's words.
fn check(args: &Args) -> Result<(), Failure> {
    let second = Duration::from_secs(1);
    let (min, max) = (
        args.engine_refresh_min_interval,
        args.engine_refresh_max_interval,
    );
    for (wrong, message) in [
        (args.cluster_driver != "swarm", "unsupported cluster"),
        (
            args.heartbeat < second,
            "--heartbeat should be at least one second",
        ),
        (
            args.replication_ttl.is_zero(),
            "--replication-ttl should be a positive number",
        ),
        (
            min.is_zero(),
            "min refresh interval should be a positive number",
        ),
        (
            max < min,
            "max refresh interval cannot be less than min refresh interval",
        ),
        (
            args.engine_failure_retry <= 0,
            "invalid failure retry count",
        ),
        (
            args.engine_refresh_retry != 3,
            "--engine-refresh-retry is deprecated. Use --engine-failure-retry",
        ),
    ] {
        if wrong {
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}

/// What `--cluster-opt` may say.
struct ClusterOptions {
    overcommit: Overcommit,
    create_retry: u32,
    reschedule_delay: Duration,
}

impl ClusterOptions {
    fn parse(options: &[String]) -> Result<Self, Failure> {
        let mut ratio = 0.05;
        let mut retry = 0_i64;
        let mut reschedule_delay = RESCHEDULE_DELAY;
        for option in options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "swarm.overcommit" => ratio = value.parse().map_err(usage)?,
                "swarm.createretry" => retry = value.parse().map_err(usage)?,
                "swarm.rescheduledelay" => {
                    reschedule_delay = super::duration(value).map_err(usage)?;
                }
                _ => return Err(Failure::usage(format!("--cluster-opt knows no {option}"))),
            }
        }
        let create_retry = u32::try_from(retry).map_err(|_| {
            Failure::usage(format!(
                "swarm.createretry can not be negative, {retry} is invalid"
            ))
        })?;
        Ok(Self {
            overcommit: Overcommit::from_ratio(ratio).map_err(usage)?,
            create_retry,
            reschedule_delay,
        })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn host() -> Host {
    let name = nix::sys::utsname::uname();
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    name.map_or_else(
        |_| Host::default(),
        |name| Host {
            name: text(name.nodename()),
            kernel: text(name.release()),
        },
    )
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::usage(error.to_string())
}
