use std::path::PathBuf;
use std::time::Duration;

use rswarm_discovery::{Discovery, DiscoveryUrl, MembershipService};
use rswarm_scheduler::node::Overcommit;
use rswarm_scheduler::{Filter, Scheduler, Strategy};

use super::store::StoreArgs;
use super::tls::TlsArgs;
use super::{Failure, stop};
use crate::advertise::Advertise;
use crate::api::{ApiSettings, Host, Standing};
use crate::cluster::{ClusterSettings, EngineTls, RescheduleSettings};
use crate::listen::{ListenAddress, Listener};
use crate::manager::{self, Manager, Replication};
use crate::statement::cluster_id;
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
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
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
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    heartbeat: Duration,

    /// How long an engine is left alone at least, when it tells of no changes
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    engine_refresh_min_interval: Duration,

    /// How long an engine is left alone at most
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
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
    /// swarm.rescheduledelay=30s, swarm.reschedule-unverified=false
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
            Some(advertise.resolved()?)
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
    let cluster_id = cluster_id(&url, args.membership_file.as_deref())?;
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

    let mut listeners = Vec::new();
    for address in &args.host {
        listeners.push(Listener::bind(address).await?);
        tracing::info!("Listening for HTTP on {address}");
    }
    let metrics = match &args.metrics_addr {
        Some(address) => Some(Listener::bind(address).await?),
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
                election,
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
            reschedule: RescheduleSettings {
                cluster_id,
                ..options.reschedule
            },
        },
        api: ApiSettings {
            standing: Box::new(|| Standing::Primary),
            strategy: strategy.to_string(),
            filters: filters.iter().map(ToString::to_string).collect(),
            host: host(),
            create_retry: options.create_retry,
            cors: args.api_enable_cors,
            experimental: false,
        },
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
    reschedule: RescheduleSettings,
}

impl ClusterOptions {
    fn parse(options: &[String]) -> Result<Self, Failure> {
        let mut ratio = 0.05;
        let mut retry = 0_i64;
        let mut reschedule = RescheduleSettings::default();
        for option in options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "swarm.overcommit" => ratio = value.parse().map_err(usage)?,
                "swarm.createretry" => retry = value.parse().map_err(usage)?,
                "swarm.rescheduledelay" => {
                    reschedule.delay = humantime::parse_duration(value).map_err(usage)?;
                }
                // Without a value it is set.
                "swarm.reschedule-unverified" => {
                    reschedule.allow_unverified = match value {
                        "" | "true" => true,
                        "false" => false,
                        _ => {
                            return Err(Failure::usage(format!(
                                "swarm.reschedule-unverified={value}: expected true or false"
                            )));
                        }
                    };
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
            reschedule,
        })
    }
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
