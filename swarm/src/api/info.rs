//! What `docker info` and `docker version` show of a cluster. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use rmachine_core::printable;
use rmachine_engine::ApiWindow;
use serde_json::{Map, Value, json};

/// What the manager says of itself.
#[derive(Clone, Debug)]
pub struct ManagerReport {
    /// `primary` or `replica`.
    pub role: &'static str,
    /// Where the primary is, if it is another.
    pub primary: Option<String>,
    /// The strategy's name.
    pub strategy: String,
    /// The names of the filters in their order.
    pub filters: Vec<String>,
    /// The host that the manager runs on.
    pub host: Host,
    /// Whether `--experimental` was given.
    pub experimental: bool,
}

/// The host that the manager runs on.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// The version of its kernel.
    pub kernel: String,
}

/// What is shown of one node.
#[derive(Clone, Debug)]
pub struct NodeReport<'a> {
    /// The engine's name; empty as long as nobody knows.
    pub name: &'a str,
    /// Where it listens.
    pub addr: &'a str,
    /// The engine's id; empty as long as nobody knows.
    pub id: &'a str,
    /// `Healthy`, `Pending` and so on.
    pub status: &'static str,
    /// The running, paused and stopped containers; only the sum is true where it is not healthy.
    pub containers: [usize; 3],
    /// Whether it answers.
    pub healthy: bool,
    /// Processors: taken, and all.
    pub cpus: (u64, u64),
    /// Memory in bytes: taken, and all.
    pub memory: (u64, u64),
    /// The engine's labels.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// Why it is not healthy.
    pub error: Option<&'a str>,
    /// When it was last heard of.
    pub updated_at: SystemTime,
    /// The engine's version.
    pub version: &'a str,
}

/// What all nodes come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// How many nodes there are.
    pub nodes: usize,
    /// The running, paused and stopped containers.
    pub containers: [usize; 3],
    /// Images, those counted again that several nodes have.
    pub images: usize,
    /// Processors.
    pub cpus: u64,
    /// Memory in bytes.
    pub memory: u64,
}

/// A key and a value that clients print as they are.
type Line<'a> = [Cow<'a, str>; 2];

/// The version as the original showed its own: clients look for `swarm/`.
pub const SERVER_VERSION: &str = concat!("swarm/", env!("CARGO_PKG_VERSION"));

/// `GET /info`, with the [`lines`] of each node in the order in which they are shown.
///
/// # Errors
/// When something cannot be written as JSON.
pub fn info<'a>(
    manager: &ManagerReport,
    sums: Sums,
    nodes: impl Iterator<Item = &'a str>,
) -> serde_json::Result<String> {
    let [running, paused, stopped] = sums.containers;
    let info = json!({
        "ID": "",
        "Containers": running + paused + stopped,
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": stopped,
        "Images": sums.images,
        "Driver": "",
        "DriverStatus": null,
        "Plugins": {"Volume": null, "Network": null, "Authorization": null, "Log": null},
        "Debug": false,
        "SystemTime": rfc3339(SystemTime::now()),
        "LoggingDriver": "",
        "CgroupDriver": "",
        "KernelVersion": manager.host.kernel,
        "OperatingSystem": "linux",
        "OSType": "linux",
        "Architecture": architecture(),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "NCPU": sums.cpus,
        "MemTotal": sums.memory,
        "DockerRootDir": "",
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": manager.host.name,
        "Labels": null,
        "ExperimentalBuild": manager.experimental,
        "ServerVersion": SERVER_VERSION,
    });
    let fields = [info, rest()].into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    let fields: Map<_, _> = fields.flatten().collect();
    let mut text = serde_json::to_string(&fields)?;
    // The tree is long: it comes in pieces that are made only when a node changes.
    text.truncate(text.len() - 1);
    text.push_str(",\"SystemStatus\":[");
    text.push_str(&inside(&head(manager, sums.nodes))?);
    for node in nodes {
        text.push(',');
        text.push_str(node);
    }
    text.push_str("]}\n");
    Ok(text)
}

/// The lines of one node in the tree, as the inside of a JSON array.
///
/// # Errors
/// When something cannot be written as JSON.
pub fn lines(node: &NodeReport<'_>) -> serde_json::Result<String> {
    let name = match node.name {
        "" => "(unknown)",
        name => name,
    };
    let mut lines: Vec<Line<'_>> = vec![[format!(" {name}").into(), node.addr.into()]];
    let (cpus_used, cpus) = node.cpus;
    let (memory_used, memory) = node.memory;
    let memory = format!("{} / {}", bytes(memory_used), bytes(memory));
    let mut line = |key: &'static str, value| lines.push([key.into(), value]);
    line("  └ ID", node.id.into());
    line("  └ Status", node.status.into());
    line("  └ Containers", containers(node).into());
    line("  └ Reserved CPUs", format!("{cpus_used} / {cpus}").into());
    line("  └ Reserved Memory", memory.into());
    line("  └ Labels", labels(node).into());
    if let Some(error) = node.error {
        line("  └ Error", error.into());
    }
    line("  └ UpdatedAt", rfc3339(node.updated_at).into());
    line("  └ ServerVersion", node.version.into());
    // Clients print these lines as they are, and a node's engine chooses most of the values.
    for value in lines.iter_mut().flatten() {
        if let Cow::Owned(escaped) = printable::line(value) {
            *value = escaped.into();
        }
    }
    inside(&lines)
}

/// Lines as the inside of a JSON array.
fn inside(lines: &[Line<'_>]) -> serde_json::Result<String> {
    let mut text = serde_json::to_string(lines)?;
    text.pop();
    text.remove(0);
    Ok(text)
}

/// What the tree begins with: pairs that clients print as they are, in their order.
fn head(manager: &ManagerReport, nodes: usize) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = vec![["Role".into(), manager.role.into()]];
    if let Some(primary) = &manager.primary {
        lines.push(["Primary".into(), primary.into()]);
    }
    lines.push(["Strategy".into(), (&manager.strategy).into()]);
    lines.push(["Filters".into(), manager.filters.join(", ").into()]);
    lines.push(["Nodes".into(), nodes.to_string().into()]);
    lines
}

/// What says nothing of a cluster, but clients warn or fail without.
fn rest() -> Value {
    json!({
        "MemoryLimit": true,
        "SwapLimit": true,
        "KernelMemory": true,
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "CPUShares": true,
        "CPUSet": true,
        "PidsLimit": true,
        "IPv4Forwarding": true,
        "BridgeNfIptables": true,
        "BridgeNfIp6tables": true,
        "OomKillDisable": true,
        "ClusterStore": "",
        "ClusterAdvertise": "",
        "Runtimes": null,
        "DefaultRuntime": "",
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": false,
            "Error": "",
            "RemoteManagers": null,
        },
        "LiveRestoreEnabled": false,
        "Isolation": "",
        "SecurityOptions": null,
    })
}

/// `GET /version`.
pub fn version(manager: &ManagerReport, window: ApiWindow) -> Value {
    json!({
        "Platform": {"Name": "rswarm"},
        "Version": SERVER_VERSION,
        "ApiVersion": window.newest.to_string(),
        "MinAPIVersion": window.oldest.to_string(),
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": manager.host.kernel,
        "Experimental": manager.experimental,
        "BuildTime": "",
    })
}

fn labels(node: &NodeReport<'_>) -> String {
    let mut shown = String::new();
    for (key, value) in node.labels.into_iter().flatten() {
        if !shown.is_empty() {
            shown.push_str(", ");
        }
        shown.push_str(key);
        shown.push('=');
        shown.push_str(value);
    }
    shown
}

fn containers(node: &NodeReport<'_>) -> String {
    let [running, paused, stopped] = node.containers;
    let all = running + paused + stopped;
    match node.healthy {
        true => format!("{all} ({running} Running, {paused} Paused, {stopped} Stopped)"),
        false => all.to_string(),
    }
}

/// Four digits and a unit, as Go's `%.4g` writes them.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    #[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut size = count as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let decimals = match size {
        size if size < 10.0 => 3,
        size if size < 100.0 => 2,
        size if size < 1000.0 => 1,
        _ => 0,
    };
    let mut digits = format!("{size:.decimals$}");
    if digits.contains('.') {
        digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
    }
    format!("{digits} {}", UNITS[unit])
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// This processor in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn labels() -> BTreeMap<String, String> {
        [
            ("storagedriver", "aufs"),
            ("provider", "virtualbox"),
            ("kernelversion", "4.4.17-boot2docker"),
            (
                "operatingsystem",
                "Boot2Docker 1.12.1 (TCL 7.2); HEAD : ef7d0b4 - Thu Aug 18 21:18:06 UTC 2016",
            ),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    fn node<'a>(
        name: &'a str,
        addr: &'a str,
        id: &'a str,
        labels: &'a BTreeMap<String, String>,
    ) -> NodeReport<'a> {
        NodeReport {
            name,
            addr,
            id,
            status: "Healthy",
            containers: [2, 0, 0],
            healthy: true,
            cpus: (0, 1),
            memory: (0, 1_096_290_000),
            labels: Some(labels),
            error: None,
            updated_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_472_052_814),
            version: "1.12.1",
        }
    }

    fn manager() -> ManagerReport {
        let filters = [
            "health",
            "port",
            "containerslots",
            "dependency",
            "affinity",
            "constraint",
        ];
        ManagerReport {
            role: "replica",
            primary: Some("192.168.99.104:3376".to_owned()),
            strategy: "spread".to_owned(),
            filters: filters.map(str::to_owned).into(),
            host: Host {
                name: "7d436f0f312b".to_owned(),
                kernel: "4.4.17-boot2docker".to_owned(),
            },
            experimental: false,
        }
    }

    fn answered(manager: &ManagerReport, sums: Sums, nodes: &[NodeReport<'_>]) -> Value {
        let nodes: Vec<_> = nodes.iter().map(|node| lines(node).unwrap()).collect();
        let text = info(manager, sums, nodes.iter().map(String::as_str)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// As clients print it.
    fn printed(info: &Value) -> String {
        let pairs: Vec<[String; 2]> = serde_json::from_value(info["SystemStatus"].clone()).unwrap();
        pairs
            .iter()
            .map(|[key, value]| format!("{key}: {value}\n"))
            .collect()
    }

    #[test]
    fn a_cluster_looks_as_it_always_did() {
        let labels = labels();
        let mut nodes = [
            node("node2", "192.168.99.104:2376", "A77F:BLVI", &labels),
            node("node10", "192.168.99.105:2376", "EGYZ:TXBG", &labels),
        ];
        nodes[1].containers = [1, 0, 1];
        let sums = Sums {
            nodes: 2,
            containers: [3, 0, 1],
            images: 4,
            ..Sums::default()
        };
        let info = answered(&manager(), sums, &nodes);
        assert_eq!(
            printed(&info),
            "\
Role: replica
Primary: 192.168.99.104:3376
Strategy: spread
Filters: health, port, containerslots, dependency, affinity, constraint
Nodes: 2
 node2: 192.168.99.104:2376
  └ ID: A77F:BLVI
  └ Status: Healthy
  └ Containers: 2 (2 Running, 0 Paused, 0 Stopped)
  └ Reserved CPUs: 0 / 1
  └ Reserved Memory: 0 B / 1.021 GiB
  └ Labels: kernelversion=4.4.17-boot2docker, operatingsystem=Boot2Docker 1.12.1 (TCL 7.2); HEAD : ef7d0b4 - Thu Aug 18 21:18:06 UTC 2016, provider=virtualbox, storagedriver=aufs
  └ UpdatedAt: 2016-08-24T15:33:34Z
  └ ServerVersion: 1.12.1
 node10: 192.168.99.105:2376
  └ ID: EGYZ:TXBG
  └ Status: Healthy
  └ Containers: 2 (1 Running, 0 Paused, 1 Stopped)
  └ Reserved CPUs: 0 / 1
  └ Reserved Memory: 0 B / 1.021 GiB
  └ Labels: kernelversion=4.4.17-boot2docker, operatingsystem=Boot2Docker 1.12.1 (TCL 7.2); HEAD : ef7d0b4 - Thu Aug 18 21:18:06 UTC 2016, provider=virtualbox, storagedriver=aufs
  └ UpdatedAt: 2016-08-24T15:33:34Z
  └ ServerVersion: 1.12.1
"
        );
        assert_eq!(info["Containers"], 4);
        assert_eq!(info["ContainersStopped"], 1);
        assert_eq!(info["Images"], 4);
        assert_eq!(info["Name"], "7d436f0f312b");
    }

    #[test]
    fn a_node_that_nobody_knows_yet_says_why() {
        let mut manager = manager();
        (manager.role, manager.primary) = ("primary", None);
        let none = BTreeMap::new();
        let node = NodeReport {
            status: "Pending",
            healthy: false,
            containers: [0, 0, 3],
            cpus: (0, 0),
            memory: (0, 0),
            labels: None,
            error: Some("cannot connect"),
            version: "",
            ..node("", "10.0.0.1:2376", "", &none)
        };
        let sums = Sums {
            nodes: 1,
            ..Sums::default()
        };
        let info = answered(&manager, sums, &[node]);
        assert_eq!(
            printed(&info),
            "\
Role: primary
Strategy: spread
Filters: health, port, containerslots, dependency, affinity, constraint
Nodes: 1
 (unknown): 10.0.0.1:2376
  └ ID: \n  └ Status: Pending
  └ Containers: 3
  └ Reserved CPUs: 0 / 0
  └ Reserved Memory: 0 B / 0 B
  └ Labels: \n  └ Error: cannot connect
  └ UpdatedAt: 2016-08-24T15:33:34Z
  └ ServerVersion: \n"
        );
    }

    #[test]
    fn lines_of_hostile_node_are_printable() {
        let hostile = "a\x1b]0;x\x07\r\n  Role: primary\u{202e}\u{9b}2J";
        let labels = BTreeMap::from([(hostile.to_owned(), hostile.to_owned())]);
        let node = NodeReport {
            error: Some(hostile),
            version: hostile,
            ..node(hostile, "10.0.0.1:2376", hostile, &labels)
        };
        let pairs: Vec<[String; 2]> =
            serde_json::from_str(&format!("[{}]", lines(&node).unwrap())).unwrap();
        assert!(
            pairs
                .iter()
                .flatten()
                .flat_map(|text| text.chars())
                .all(|c| !printable::is_unsafe(c)),
            "{pairs:?}"
        );
        assert_eq!(pairs[0][0], format!(" {}", printable::line(hostile)));
    }

    #[test]
    fn sizes_have_four_digits() {
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1_096_290_000, "1.021 GiB"),
            (26_543_000_000, "24.72 GiB"),
            (128 << 20, "128 MiB"),
            (1000 << 30, "1000 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }
}
