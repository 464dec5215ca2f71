use std::collections::BTreeMap;
use std::time::Duration;

use rmachine_driver::MachineName;
use rmachine_lifecycle::{EMBEDDED, Machines, Reference, StoreRequest, SwarmRequest};
use rmachine_machine::{StoreKind, StoreSource, SwarmOptions};
use sha2::{Digest as _, Sha256};

use super::check::Check;
use super::group::Group;
use super::problem::{Findings, Problem};
use super::shape::{CLUSTER, Kind};
use super::tree::{Node, Place};
use super::variables::{Variables, expand};
use crate::model::{Cluster, Member, Orchestrator, Roles};

/// Where managers listen, as with docker-machine.
const SWARM_HOST: &str = "tcp://0.0.0.0:3376";

/// How a node is chosen, as with docker-machine.
const SWARM_STRATEGY: &str = "spread";

impl Cluster {
    /// Reads a cluster file. The drivers are asked about their flags; nothing else is looked at.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text.
    pub fn read(
        text: &str,
        variables: Variables<'_>,
        machines: &Machines,
    ) -> Result<Self, Vec<Problem>> {
        let mut root = Node::read(text).map_err(|error| vec![unreadable(&error)])?;
        let mut findings = Findings::default();
        if root.is_null() {
            findings.add(
                &root.place,
                "says nothing: a cluster has a name and groups of machines",
            );
        }
        expand(&mut root, variables, &mut findings);
        let mut check = Check {
            text,
            findings: &mut findings,
        };
        check.node(&mut root, Kind::Record(&CLUSTER));
        let name = cluster_name(&root, &mut findings);
        let mut members = Vec::new();
        if let (Some(name), Some(groups)) = (&name, root.field("groups")) {
            for entry in groups.entries() {
                let group = Group::new(name, &root, entry, variables);
                members.extend(group.members(machines, &mut findings));
            }
            unique(&members, groups, &mut findings);
        }
        let ttl = text_of(&root, "ttl").map(humantime::parse_duration);
        let mut cluster = Self {
            name: match name {
                Some(name) => name,
                None => return Err(findings.into_problems(text)),
            },
            orchestrator: orchestrator(&root),
            discovery: text_of(&root, "discovery").map(str::to_owned),
            store: root.field("store").is_some(),
            ttl: ttl.and_then(Result::ok).map(whole_seconds),
            members,
            digest: digest(text),
        };
        coherent(&cluster, &root, &mut findings);
        let source = store_source(&root, &mut findings);
        if !findings.is_empty() {
            return Err(findings.into_problems(text));
        }
        serve_stores(&mut cluster, &root, source);
        if let Some(orchestrator) = cluster.orchestrator.of_machines() {
            let options = swarm_options(&root, &cluster);
            let first = cluster.first_manager().map(|first| first.name().clone());
            let joining = |it: &&mut Member| it.roles.manager || it.roles.worker;
            for member in cluster.members.iter_mut().filter(joining) {
                let request = request(&options, orchestrator, member, first.as_ref());
                member.spec.swarm = Some(request);
            }
        }
        Ok(cluster)
    }
}

impl Cluster {
    /// Reads a cluster file's name alone, whatever may be wrong with the rest: a cluster can be
    /// taken down that could not be made.
    ///
    /// # Errors
    /// What is wrong with the name, or with the file as YAML.
    pub fn read_name(text: &str, variables: Variables<'_>) -> Result<MachineName, Vec<Problem>> {
        let root = Node::read(text).map_err(|error| vec![unreadable(&error)])?;
        let mut findings = Findings::default();
        let name = match root.field("name").cloned() {
            Some(mut name) => {
                expand(&mut name, variables, &mut findings);
                let mut check = Check {
                    text,
                    findings: &mut findings,
                };
                check.node(&mut name, Kind::Name);
                name.text().and_then(|text| text.value.parse().ok())
            }
            None => None,
        };
        match name.filter(|_| findings.is_empty()) {
            Some(name) => Ok(name),
            None => {
                if findings.is_empty() {
                    findings.add(&root.place, "the field \"name\" is missing");
                }
                Err(findings.into_problems(text))
            }
        }
    }
}

/// The text of a field, without what may be wrong with it.
pub(super) fn text_of<'a>(node: &'a Node, field: &str) -> Option<&'a str> {
    let text = node.field(field)?.text()?;
    Some(text.value.as_str())
}

fn cluster_name(root: &Node, findings: &mut Findings) -> Option<MachineName> {
    let name = text_of(root, "name")?.parse().ok();
    if name.is_none() && findings.is_empty() {
        findings.add(&Place::default(), "the cluster has no name");
    }
    name
}

fn orchestrator(root: &Node) -> Orchestrator {
    match text_of(root, "orchestrator") {
        Some("swarm-mode") => Orchestrator::SwarmMode,
        Some("none") => Orchestrator::None,
        _ => Orchestrator::Classic,
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().max(1))
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name stands for one machine, whichever group it is of.
fn unique(members: &[Member], groups: &Node, findings: &mut Findings) {
    let mut seen: BTreeMap<&MachineName, &str> = BTreeMap::new();
    for member in members {
        let Some(before) = seen.insert(member.name(), &member.group) else {
            continue;
        };
        let place = groups
            .field(&member.group)
            .map_or(&groups.place, |it| &it.place);
        findings.add(
            place,
            format!(
                "the machine {} is in the group {before:?} already",
                member.name()
            ),
        );
    }
}

/// What fits together and what does not, of fields that are right each by itself.
fn coherent(cluster: &Cluster, root: &Node, findings: &mut Findings) {
    let classic = cluster.orchestrator == Orchestrator::Classic;
    for field in ["discovery", "swarm"] {
        if let Some(node) = root.field(field).filter(|_| !classic) {
            let message = format!(
                "is for clusters with the orchestrator classic, not {}",
                cluster.orchestrator
            );
            findings.add(&node.place, message);
        }
    }
    if let (Some(discovery), Some(node)) = (&cluster.discovery, root.field("discovery")) {
        if !discovery.contains("://") {
            findings.add(
                &node.place,
                "must be a URL such as etcd://10.0.0.5:2379/NAME",
            );
        }
        // The refusal quotes the value, and a variable may have put a secret there.
        if Reference::read(discovery).is_err() {
            findings.add(
                &node.place,
                "must be etcd://machine:NAME or consul://machine:NAME where a machine has the store",
            );
        }
        if cluster.store {
            findings.add(
                &node.place,
                "excludes the field store: it is the one or the other",
            );
        }
    }
    let Some(groups) = root.field("groups") else {
        return;
    };
    if groups.entries().is_empty() {
        findings.add(&groups.place, "names no group of machines");
        return;
    }
    roles(cluster, root, groups, findings);
}

fn roles(cluster: &Cluster, root: &Node, groups: &Node, findings: &mut Findings) {
    if cluster.orchestrator == Orchestrator::None {
        for entry in groups.entries() {
            if let Some(roles) = entry.node.field("roles") {
                findings.add(
                    &roles.place,
                    "machines have roles in a cluster only, and the orchestrator is none",
                );
            }
        }
        if let Some(store) = root.field("store") {
            let message = "is for clusters, and the orchestrator is none";
            findings.add(&store.place, message);
        }
        return;
    }
    let managers = cluster.members.iter().filter(|it| it.roles.manager).count();
    if managers == 0 {
        findings.add(
            &groups.place,
            format!(
                "no group has the role manager, which a {} cluster needs",
                cluster.orchestrator
            ),
        );
    }
    let shared = cluster.discovery.is_some() || cluster.store;
    if cluster.orchestrator == Orchestrator::Classic && managers > 1 && !shared {
        findings.add(
            &groups.place,
            format!(
                "{managers} managers share a store: the field discovery names one, the field store \
                 and a group with the role store make one"
            ),
        );
    }
    let stores = cluster.members.iter().any(|it| it.roles.store);
    match (root.field("store"), stores) {
        (Some(store), false) => {
            findings.add(&store.place, "no group has the role store");
        }
        (None, true) => {
            findings.add(&groups.place, "the role store needs the field store");
        }
        _ => {}
    }
}

/// What the servers of the cluster's store run; `None` for the program on the `PATH`.
fn store_source(root: &Node, findings: &mut Findings) -> Option<StoreSource> {
    let store = root.field("store")?;
    let is_packaged = store.field("package").and_then(Node::switch) == Some(true);
    let mut given = ["binary", "image", "package"]
        .into_iter()
        .filter(|name| *name != "package" || is_packaged)
        .filter_map(|name| Some((name, store.field(name)?)));
    let (name, _) = given.next()?;
    for (_, node) in given {
        let why = format!("excludes the field {name}: it is the one or the other");
        findings.add(&node.place, why);
    }
    match text_of(store, "binary").map(std::path::absolute) {
        Some(Ok(path)) => Some(StoreSource::Program(path)),
        Some(Err(error)) => {
            findings.add(
                &store.place,
                format!("the field binary is no path: {error}"),
            );
            None
        }
        None if is_packaged => Some(StoreSource::Package),
        None => text_of(store, "image").map(|image| StoreSource::Image(image.to_owned())),
    }
}

/// Asks for the store's servers, of which the others join the first, and lets the nodes of a
/// classic cluster meet there.
fn serve_stores(cluster: &mut Cluster, root: &Node, source: Option<StoreSource>) {
    let kind = root.field("store").and_then(|store| text_of(store, "kind"));
    let kind = kind.and_then(|kind| kind.parse::<StoreKind>().ok());
    let first = cluster.first_store().map(|first| first.name().clone());
    let (Some(kind), Some(first)) = (kind, first) else {
        return;
    };
    for member in cluster.members.iter_mut().filter(|it| it.roles.store) {
        member.spec.store = Some(StoreRequest {
            kind,
            join: Some(&first)
                .filter(|first| *first != member.name())
                .cloned(),
            source: source.clone(),
        });
    }
    if cluster.orchestrator == Orchestrator::Classic {
        cluster.discovery = Some(format!("{kind}://machine:{first}/{}", cluster.name));
    }
}

/// The options that the machines of a cluster have in common.
fn swarm_options(root: &Node, cluster: &Cluster) -> SwarmOptions {
    if cluster.orchestrator != Orchestrator::Classic {
        return SwarmOptions {
            is_swarm: true,
            ..SwarmOptions::default()
        };
    }
    let swarm = root.field("swarm");
    let text = |field| swarm.and_then(|swarm| text_of(swarm, field));
    let list = |field| swarm.map_or_else(Vec::new, |swarm| texts_of(swarm, field));
    SwarmOptions {
        is_swarm: true,
        discovery: cluster.discovery.clone().unwrap_or_default(),
        host: text("host").unwrap_or(SWARM_HOST).to_owned(),
        image: text("image").unwrap_or_default().to_owned(),
        strategy: text("strategy").unwrap_or(SWARM_STRATEGY).to_owned(),
        arbitrary_flags: list("opt"),
        arbitrary_join_flags: list("join-opt"),
        is_experimental: swarm
            .and_then(|swarm| swarm.field("experimental")?.switch())
            .unwrap_or_default(),
        ..SwarmOptions::default()
    }
}

/// What is asked of one machine. In swarm mode, and where the first manager serves the discovery,
/// the others join it, whatever other clusters there are in the store.
fn request(
    options: &SwarmOptions,
    orchestrator: rmachine_lifecycle::Orchestrator,
    member: &Member,
    first: Option<&MachineName>,
) -> SwarmRequest {
    let Roles {
        manager, worker, ..
    } = member.roles;
    let mut options = SwarmOptions {
        master: manager,
        agent: worker,
        ..options.clone()
    };
    let classic = orchestrator == rmachine_lifecycle::Orchestrator::Classic;
    let leads = first == Some(member.name());
    let joins = !leads && (!classic || options.discovery.is_empty());
    if classic && leads && options.discovery.is_empty() {
        options.discovery = EMBEDDED.to_owned();
    }
    SwarmRequest {
        options,
        join: first.filter(|_| joins).cloned(),
        orchestrator,
    }
}

/// The texts of a list.
pub(super) fn texts_of(node: &Node, field: &str) -> Vec<String> {
    let items = node.field(field).map_or(&[][..], Node::items);
    let texts = items.iter().filter_map(Node::text);
    texts.map(|text| text.value.clone()).collect()
}

/// The document is no YAML, or has in it what a cluster file cannot have.
fn unreadable(error: &serde_yaml::Error) -> Problem {
    let (line, column) = error
        .location()
        .map_or((1, 1), |place| (place.line(), place.column()));
    // The place is told before the message.
    let place = format!(" at line {line} column {column}");
    let said = error.to_string().replacen(&place, "", 1);
    Problem {
        line,
        column,
        field: String::new(),
        message: format!("cannot be read as YAML: {said}"),
    }
}
