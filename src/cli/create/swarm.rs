use rmachine_driver::{HostAddress, MachineName};
use rmachine_lifecycle::{Orchestrator, Reference, SwarmHost, SwarmRequest};
use rmachine_machine::SwarmOptions;

use crate::error::CommandError;

/// The schemes of discoveries that rswarm knows.
const SCHEMES: [&str; 7] = ["token", "etcd", "consul", "zk", "file", "nodes", "embedded"];

#[derive(clap::Args)]
#[command(next_help_heading = "Cluster options")]
#[group(skip)]
pub struct SwarmArgs {
    /// Make the machine a node of a cluster
    #[arg(long)]
    swarm: bool,

    /// Make the machine a master of a cluster: its manager answers for all nodes
    #[arg(long)]
    swarm_master: bool,

    /// Make the cluster of the engines' own swarm mode, in place of managers and agents beside them
    #[arg(long, conflicts_with_all = ["swarm_discovery", "swarm_opt", "swarm_join_opt", "swarm_image"])]
    swarm_mode: bool,

    /// The master whose cluster to join [default: the only one that keeps its nodes itself]
    #[arg(long, value_name = "NAME", conflicts_with = "swarm_discovery")]
    swarm_join: Option<MachineName>,

    /// Where the cluster's nodes are kept, as etcd://10.0.0.9:2379, or etcd://machine:NAME for the
    /// store of a machine [default: by the first master itself]
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true,
          value_parser = discovery)]
    swarm_discovery: String,

    /// How nodes are chosen
    #[arg(long, value_name = "NAME", default_value = "spread",
          value_parser = ["spread", "binpack", "random"])]
    swarm_strategy: String,

    /// An option of the manager, as 'replication' or 'cluster.overcommit=0.1'
    #[arg(long, value_name = "OPTION")]
    swarm_opt: Vec<String>,

    /// An option of the agent, as 'heartbeat=20s'
    #[arg(long, value_name = "OPTION")]
    swarm_join_opt: Vec<String>,

    /// Where the manager listens on its machine
    #[arg(long, value_name = "URL", default_value_t)]
    swarm_host: SwarmHost,

    /// The address, or the interface of the host, by which others reach the machine [default: the
    /// machine's address]
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true,
          value_parser = address)]
    swarm_addr: String,

    /// The image of manager and agent, from a registry [default: rmachine sends its own]
    #[arg(
        long,
        value_name = "IMAGE",
        env = "MACHINE_SWARM_IMAGE",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    swarm_image: String,

    /// Ask manager and agent for experimental features
    #[arg(long)]
    swarm_experimental: bool,
}

impl SwarmArgs {
    /// What is asked of the machine in a cluster; `None` for a machine of its own.
    ///
    /// # Errors
    /// When something is asked of a cluster, and the machine is to be in none.
    pub fn request(&self) -> Result<Option<SwarmRequest>, CommandError> {
        if !(self.swarm || self.swarm_master || self.swarm_mode) {
            return match self.needless() {
                None => Ok(None),
                Some(flag) => Err(CommandError::usage(format!(
                    "{flag} is of use with --swarm or --swarm-master only"
                ))),
            };
        }
        Ok(Some(SwarmRequest {
            options: SwarmOptions {
                is_swarm: true,
                address: self.swarm_addr.clone(),
                discovery: self.swarm_discovery.clone(),
                agent: self.swarm,
                master: self.swarm_master,
                host: self.swarm_host.to_string(),
                image: self.swarm_image.clone(),
                strategy: self.swarm_strategy.clone(),
                arbitrary_flags: self.swarm_opt.clone(),
                arbitrary_join_flags: self.swarm_join_opt.clone(),
                is_experimental: self.swarm_experimental,
                ..SwarmOptions::default()
            },
            join: self.swarm_join.clone(),
            orchestrator: match self.swarm_mode {
                true => Orchestrator::SwarmMode,
                false => Orchestrator::Classic,
            },
        }))
    }

    /// Whether several machines of one call would each keep the nodes of a cluster.
    pub fn is_sole(&self) -> bool {
        let embedded = rmachine_lifecycle::EMBEDDED;
        let keeps_nodes = self.swarm_discovery.is_empty() || self.swarm_discovery == embedded;
        let begins_swarm = self.swarm_mode && self.swarm_join.is_none();
        self.swarm_master && (begins_swarm || (keeps_nodes && !self.swarm_mode))
    }

    fn needless(&self) -> Option<&'static str> {
        [
            (self.swarm_join.is_some(), "--swarm-join"),
            (!self.swarm_discovery.is_empty(), "--swarm-discovery"),
            (!self.swarm_opt.is_empty(), "--swarm-opt"),
            (!self.swarm_join_opt.is_empty(), "--swarm-join-opt"),
            (!self.swarm_addr.is_empty(), "--swarm-addr"),
            (self.swarm_experimental, "--swarm-experimental"),
        ]
        .into_iter()
        .find_map(|(is_given, flag)| is_given.then_some(flag))
    }
}

fn discovery(text: &str) -> Result<String, String> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        _ if text.is_empty() => Ok(String::new()),
        Some(scheme) if SCHEMES.contains(&scheme) => match Reference::read(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        },
        Some(scheme) => Err(format!("{scheme} is none of {}", SCHEMES.join(", "))),
        None => Err(format!(
            "it does not begin with {}://",
            SCHEMES.join("://, ")
        )),
    }
}

fn address(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Ok(String::new()),
        false => text
            .parse::<HostAddress>()
            .map(|_| text.to_owned())
            .map_err(|error| error.to_string()),
    }
}
