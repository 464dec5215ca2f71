//! What `docker info` and `docker version` show of a cluster. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rmachine_engine::ApiWindow;
use serde_json::{Value, json};

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
pub struct NodeReport {
    /// The engine's name; empty as long as nobody knows.
    pub name: String,
    /// Where it listens.
    pub addr: String,
    /// The engine's id; empty as long as nobody knows.
    pub id: String,
    /// `Healthy`, `Pending` and so on.
    pub status: String,
    /// The running, paused and stopped containers; only the sum is true where it is not healthy.
    pub containers: [usize; 3],
    /// Whether it answers.
    pub healthy: bool,
    /// Processors: taken, and all.
    pub cpus: (u64, u64),
    /// Memory in bytes: taken, and all.
    pub memory: (u64, u64),
    /// The engine's labels.
    pub labels: BTreeMap<String, String>,
    /// Why it is not healthy.
    pub error: Option<String>,
    /// When it was last heard of.
    pub updated_at: SystemTime,
    /// The engine's version.
    pub version: String,
}

/// The version as the original showed its own: clients look for `swarm/`.
pub const SERVER_VERSION: &str = concat!("swarm/", env!("CARGO_PKG_VERSION"));

/// `GET /info`. Nodes are shown in the natural order of their names.
pub fn info(manager: &ManagerReport, nodes: &[NodeReport], images: usize) -> Value {
    let sum = |kind: usize| -> usize { nodes.iter().map(|node| node.containers[kind]).sum() };
    let [running, paused, stopped] = [0, 1, 2].map(sum);
    let cpus: u64 = nodes.iter().map(|node| node.cpus.1).sum();
    let memory: u64 = nodes.iter().map(|node| node.memory.1).sum();
    let mut info = json!({
        "ID": "",
        "Containers": running + paused + stopped,
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": stopped,
        "Images": images,
        "Driver": "",
        "DriverStatus": null,
        "SystemStatus": system_status(manager, nodes),
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
        "NCPU": cpus,
        "MemTotal": memory,
        "DockerRootDir": "",
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": manager.host.name,
        "Labels": null,
        "ExperimentalBuild": manager.experimental,
        "ServerVersion": SERVER_VERSION,
    });
    if let (Value::Object(info), Value::Object(rest)) = (&mut info, rest()) {
        info.extend(rest);
    }
    info
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

/// The tree that clients print as it is: pairs in their order.
fn system_status(manager: &ManagerReport, nodes: &[NodeReport]) -> Vec<[String; 2]> {
    let mut lines = Vec::with_capacity(5 + 10 * nodes.len());
    let mut line = |key: &str, value: String| lines.push([key.to_owned(), value]);
    line("Role", manager.role.to_owned());
    if let Some(primary) = &manager.primary {
        line("Primary", primary.clone());
    }
    line("Strategy", manager.strategy.clone());
    line("Filters", manager.filters.join(", "));
    line("Nodes", nodes.len().to_string());
    let mut nodes: Vec<&NodeReport> = nodes.iter().collect();
    nodes.sort_by(|a, b| natord::compare(&a.name, &b.name).then_with(|| a.addr.cmp(&b.addr)));
    for node in nodes {
        let name = if node.name.is_empty() {
            "(unknown)"
        } else {
            &node.name
        };
        line(&format!(" {name}"), node.addr.clone());
        line("  └ ID", node.id.clone());
        line("  └ Status", node.status.clone());
        line("  └ Containers", containers(node));
        let (used, total) = node.cpus;
        line("  └ Reserved CPUs", format!("{used} / {total}"));
        let (used, total) = node.memory;
        let memory = format!("{} / {}", bytes(used), bytes(total));
        line("  └ Reserved Memory", memory);
        let labels = node
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        line("  └ Labels", labels.collect::<Vec<_>>().join(", "));
        if let Some(error) = &node.error {
            line("  └ Error", error.clone());
        }
        line("  └ UpdatedAt", rfc3339(node.updated_at));
        line("  └ ServerVersion", node.version.clone());
    }
    lines
}

fn containers(node: &NodeReport) -> String {
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

    fn node(name: &str, addr: &str, id: &str) -> NodeReport {
        let labels = [
            ("storagedriver", "aufs"),
            ("provider", "virtualbox"),
            ("kernelversion", "4.4.17-boot2docker"),
            (
                "operatingsystem",
                "Boot2Docker 1.12.1 (TCL 7.2); HEAD : ef7d0b4 - Thu Aug 18 21:18:06 UTC 2016",
            ),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        NodeReport {
            name: name.to_owned(),
            addr: addr.to_owned(),
            id: id.to_owned(),
            status: "Healthy".to_owned(),
            containers: [2, 0, 0],
            healthy: true,
            cpus: (0, 1),
            memory: (0, 1_096_290_000),
            labels: labels.into(),
            error: None,
            updated_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_472_052_814),
            version: "1.12.1".to_owned(),
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
        let mut nodes = [
            node("node10", "192.168.99.105:2376", "EGYZ:TXBG"),
            node("node2", "192.168.99.104:2376", "A77F:BLVI"),
        ];
        nodes[0].containers = [1, 0, 1];
        let info = info(&manager(), &nodes, 4);
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
        assert_eq!(info["NCPU"], 2);
        assert_eq!(info["MemTotal"], 2 * 1_096_290_000_u64);
        assert_eq!(info["Images"], 4);
        assert_eq!(info["Name"], "7d436f0f312b");
    }

    #[test]
    fn a_node_that_nobody_knows_yet_says_why() {
        let mut manager = manager();
        (manager.role, manager.primary) = ("primary", None);
        let node = NodeReport {
            name: String::new(),
            id: String::new(),
            status: "Pending".to_owned(),
            healthy: false,
            containers: [0, 0, 3],
            cpus: (0, 0),
            memory: (0, 0),
            labels: BTreeMap::new(),
            error: Some("cannot connect".to_owned()),
            version: String::new(),
            ..node("", "10.0.0.1:2376", "")
        };
        let info = info(&manager, &[node], 0);
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
        assert_eq!(info["Containers"], 3);
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
