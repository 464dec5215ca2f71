//! What an engine of the line 20.10 answers, in the fields that clients and managers read.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::engine::{Container, Engine, State};

/// The image that every engine has.
const IMAGE: &str = "sha256:2fc3c9a8e3f45ab7fa7b5bb2ffc4d5a1a7e2d5ddcd3e0d3d1a1b6f1c2d3e4f50";

/// `GET /version`.
pub fn version() -> Value {
    json!({
        "Platform": {"Name": ""}, "Version": "20.10.24", "ApiVersion": "1.41",
        "MinAPIVersion": "1.12", "GitCommit": "5d6db84", "GoVersion": "go1.19.8", "Os": "linux",
        "Arch": "amd64", "KernelVersion": "6.1.0",
    })
}

/// `GET /info`.
pub fn info(engine: &Engine) -> Value {
    let containers = engine.list();
    let running = containers
        .iter()
        .filter(|container| container.state == State::Running)
        .count();
    let number = engine.number;
    json!({
        "ID": format!("SIMU:{:04X}:ENGI:NE00:0000:0000:0000:0000:0000:0000:0000:{number:04}", number),
        "Containers": containers.len(), "ContainersRunning": running, "ContainersPaused": 0,
        "ContainersStopped": containers.len() - running, "Images": 1, "Driver": "overlay2",
        "KernelVersion": "6.1.0", "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
        "OSType": "linux", "Architecture": "x86_64", "NCPU": 64, "MemTotal": 256_i64 << 30,
        "Name": format!("engine-{number}"), "Labels": [format!("number={number}")],
        "ServerVersion": "20.10.24", "ExperimentalBuild": false,
        "Swarm": {"LocalNodeState": "inactive"},
    })
}

/// An item of `GET /containers/json`.
pub fn listed(container: &Container) -> Value {
    json!({
        "Id": container.id,
        "Names": [format!("/{}", container.name)],
        "Image": container.config["Image"],
        "ImageID": IMAGE,
        "Command": "sleep infinity",
        "Created": container.created.unix_timestamp(),
        "Ports": [],
        "Labels": labels(container),
        "State": word(container.state),
        "Status": status(container),
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {"bridge": {
            "IPAMConfig": null, "Links": null, "Aliases": null,
            "NetworkID": "4f7a6d1cf1d0a3c0b7b1d3f0a5f0e8c1e6a2b3c4d5e6f708192a3b4c5d6e7f80",
            "EndpointID": "9f7a6d1cf1d0a3c0b7b1d3f0a5f0e8c1e6a2b3c4d5e6f708192a3b4c5d6e7f80",
            "Gateway": "172.17.0.1", "IPAddress": "172.17.0.2", "IPPrefixLen": 16,
            "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
            "MacAddress": "02:42:ac:11:00:02", "DriverOpts": null,
        }}},
        "Mounts": [],
    })
}

/// `GET /containers/ID/json`.
pub fn inspected(container: &Container) -> Value {
    let mut config = container.config.clone();
    let host_config = config["HostConfig"].take();
    json!({
        "Id": container.id,
        "Created": timestamp(container.created),
        "Path": "sleep", "Args": ["infinity"],
        "State": {
            "Status": word(container.state), "Running": container.state == State::Running,
            "Paused": false, "Restarting": false, "OOMKilled": false, "Dead": false,
            "Pid": 1, "ExitCode": 0, "Error": "",
            "StartedAt": timestamp(container.started), "FinishedAt": "0001-01-01T00:00:00Z",
        },
        "Image": IMAGE,
        "Name": format!("/{}", container.name),
        "RestartCount": 0,
        "HostConfig": host_config,
        "Mounts": [],
        "Config": config,
        "NetworkSettings": {"Ports": {}, "Networks": {}},
    })
}

/// `GET /images/json`.
pub fn images() -> Value {
    json!([{
        "Id": IMAGE, "ParentId": "", "RepoTags": ["busybox:latest"], "RepoDigests": [],
        "Created": 1_700_000_000, "Size": 4_000_000, "SharedSize": -1, "VirtualSize": 4_000_000,
        "Labels": {}, "Containers": -1,
    }])
}

/// `GET /networks`.
pub fn networks(engine: &Engine) -> Value {
    json!([{
        "Name": "bridge", "Id": format!("{:064x}", u64::from(engine.number) + 1),
        "Created": "2026-01-01T00:00:00Z", "Scope": "local", "Driver": "bridge",
        "EnableIPv6": false, "IPAM": {"Driver": "default", "Options": null, "Config": []},
        "Internal": false, "Attachable": false, "Ingress": false, "ConfigOnly": false,
        "Containers": {}, "Options": {}, "Labels": {},
    }])
}

fn labels(container: &Container) -> Value {
    match &container.config["Labels"] {
        Value::Null => json!({}),
        labels => labels.clone(),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Exited => "exited",
    }
}

fn status(container: &Container) -> String {
    let since = OffsetDateTime::now_utc() - container.started;
    match container.state {
        State::Created => "Created".to_owned(),
        State::Running => format!("Up {} seconds", since.whole_seconds()),
        State::Exited => format!("Exited (0) {} seconds ago", since.whole_seconds()),
    }
}

fn timestamp(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}
