//! What a container may have that is recreated from an engine's own report. Pure.
//!
//! Nothing proves that a client ever requested such a container: its engine may have invented it to
//! get root on other nodes. So only settings pass that are known to be harmless; everything else,
//! including what no version of this program knows, must be empty. Defaults of the engine that
//! weaken or strengthen isolation are removed, and the new engine's apply.

use std::fmt;

use serde_json::{Map, Value};

/// Fields of `Config` that concern the container itself only.
const CONFIG: [&str; 26] = [
    "ArgsEscaped",
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Cmd",
    "Domainname",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Hostname",
    "Image",
    "Labels",
    "MacAddress",
    "NetworkDisabled",
    "OnBuild",
    "OpenStdin",
    "Shell",
    "StdinOnce",
    "StopSignal",
    "StopTimeout",
    "Tty",
    "User",
    "Volumes",
    "WorkingDir",
    "PublishService",
];

/// Fields of `HostConfig` that limit the container, or concern its own networks only.
const HOST_CONFIG: [&str; 39] = [
    "AutoRemove",
    "BlkioWeight",
    "CapDrop",
    "ConsoleSize",
    "ContainerIDFile",
    "CpuCount",
    "CpuPercent",
    "CpuPeriod",
    "CpuQuota",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
    "Init",
    "Isolation",
    "KernelMemory",
    "KernelMemoryTCP",
    "Links",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "NanoCpus",
    "PidsLimit",
    "PortBindings",
    "PublishAllPorts",
    "ReadonlyRootfs",
    "RestartPolicy",
    "ShmSize",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "CpuRealtimePeriod",
];

/// Limits that do no harm whatever their value.
const ULIMITS: [&str; 5] = ["core", "fsize", "nofile", "nproc", "stack"];

/// Log drivers that write to files of the engine's own.
const LOG_DRIVERS: [&str; 4] = ["", "json-file", "local", "none"];

/// Options of a volume in `Binds` that concern the container only.
const BIND_OPTIONS: [&str; 6] = ["", "ro", "rw", "nocopy", "z", "Z"];

/// A setting that is not known to be harmless, as `HostConfig.Privileged`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Privilege(String);

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the first setting of a create request that is not known to be harmless. `named_volumes`
/// says whether volumes with names are: they may hold what another container wrote.
pub fn first_privilege(config: &Value, named_volumes: bool) -> Option<Privilege> {
    let empty = Map::new();
    let fields = |value: Option<&Value>| match value {
        Some(Value::Object(fields)) => Some(fields.clone()),
        None | Some(Value::Null) => Some(empty.clone()),
        Some(_) => None,
    };
    let found = |field: &str| Some(Privilege(field.to_owned()));
    let Some(top) = fields(Some(config)) else {
        return found("Config");
    };
    let Some(host) = fields(config.get("HostConfig")) else {
        return found("HostConfig");
    };
    let has_own_handling = |key: &str| matches!(key, "HostConfig" | "NetworkingConfig");
    let unknown = top
        .iter()
        .filter(|(key, _)| !has_own_handling(key))
        .find(|(key, value)| !CONFIG.contains(&key.as_str()) && !is_empty(value));
    if let Some((key, _)) = unknown {
        return found(&format!("Config.{key}"));
    }
    let volumes = top.get("Volumes").and_then(Value::as_object);
    if volumes.is_some_and(|all| {
        all.keys()
            .any(|path| !path.starts_with('/') || path.contains(':'))
    }) {
        return found("Config.Volumes");
    }
    let privilege = host
        .iter()
        .find(|(key, value)| !is_harmless(key, value, named_volumes));
    privilege.and_then(|(key, _)| found(&format!("HostConfig.{key}")))
}

/// Removes what an engine reports of its defaults, so that those of the new engine apply.
pub fn remove_defaults(config: &mut Value) {
    if let Some(Value::Object(host)) = config.get_mut("HostConfig") {
        for key in ["CgroupnsMode", "MaskedPaths", "ReadonlyPaths", "Runtime"] {
            host.remove(key);
        }
    }
}

fn is_harmless(key: &str, value: &Value, named_volumes: bool) -> bool {
    if HOST_CONFIG.contains(&key) || is_empty(value) {
        // A list of paths that is empty, and not absent, hides nothing.
        let is_path_list = matches!(key, "MaskedPaths" | "ReadonlyPaths");
        return !(is_path_list && value.is_array());
    }
    let text = value.as_str();
    match key {
        // Defaults that are removed.
        "CgroupnsMode" => matches!(text, Some("host" | "private")),
        "Runtime" => matches!(text, Some("runc" | "io.containerd.runc.v2")),
        "MaskedPaths" | "ReadonlyPaths" => value.is_array(),
        "IpcMode" => matches!(text, Some("none" | "private" | "shareable")),
        "NetworkMode" => text.is_some_and(|mode| mode != "host" && !mode.contains(':')),
        "VolumeDriver" => text == Some("local"),
        "LogConfig" => is_harmless_log(value),
        "SecurityOpt" => all(value, |option| {
            option.as_str().is_some_and(|option| {
                let option = option.replace('=', ":");
                matches!(&*option, "no-new-privileges" | "no-new-privileges:true")
            })
        }),
        "Ulimits" => all(value, |limit| {
            let name = limit.get("Name").and_then(Value::as_str);
            name.is_some_and(|name| ULIMITS.contains(&name))
        }),
        "Binds" => all(value, |bind| {
            bind.as_str()
                .is_some_and(|bind| is_harmless_bind(bind, named_volumes))
        }),
        "Mounts" => all(value, |mount| is_harmless_mount(mount, named_volumes)),
        _ => false,
    }
}

/// `/path` is a new volume, `name:/path[:options]` one with a name.
fn is_harmless_bind(bind: &str, named_volumes: bool) -> bool {
    let mut parts = bind.split(':');
    let (first, target, options) = (parts.next(), parts.next(), parts.next());
    let Some(target) = target else {
        return first.is_some_and(|path| path.starts_with('/'));
    };
    let is_name = first.is_some_and(is_volume_name);
    let mut options = options.unwrap_or_default().split(',');
    named_volumes
        && is_name
        && target.starts_with('/')
        && options.all(|option| BIND_OPTIONS.contains(&option))
        && parts.next().is_none()
}

fn is_harmless_mount(mount: &Value, named_volumes: bool) -> bool {
    let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("Type") {
        "tmpfs" => true,
        "volume" => {
            let source = text("Source");
            let driver = mount.pointer("/VolumeOptions/DriverConfig");
            let driver = driver.unwrap_or(&Value::Null);
            let name = driver.get("Name").and_then(Value::as_str);
            let has_options = driver.get("Options").is_some_and(|it| !is_empty(it));
            (source.is_empty() || named_volumes && is_volume_name(source))
                && matches!(name, None | Some("" | "local"))
                && !has_options
                && mount.get("BindOptions").is_none_or(is_empty)
        }
        _ => false,
    }
}

fn is_volume_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|it| it.is_ascii_alphanumeric())
        && characters.all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '-'))
}

/// Drivers that send logs elsewhere may be an engine's default, which has no options.
fn is_harmless_log(log: &Value) -> bool {
    let driver = log.get("Type").and_then(Value::as_str).unwrap_or_default();
    LOG_DRIVERS.contains(&driver) || log.get("Config").is_none_or(is_empty)
}

fn all(list: &Value, is_harmless: impl Fn(&Value) -> bool) -> bool {
    list.as_array()
        .is_some_and(|list| list.iter().all(is_harmless))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(host: Value, named_volumes: bool) -> Option<String> {
        let config = json!({"Image": "x", "HostConfig": host});
        first_privilege(&config, named_volumes).map(|found| found.0)
    }

    /// As dockerd 28 answers for `docker run -d -p 80:80 nginx`.
    const PLAIN: &str = r#"{
        "Binds": null, "ContainerIDFile": "", "LogConfig": {"Type": "journald", "Config": {}},
        "NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": false,
        "VolumeDriver": "", "VolumesFrom": null, "ConsoleSize": [0, 0], "CapAdd": null,
        "CapDrop": null, "CgroupnsMode": "host", "Dns": [], "DnsOptions": [], "DnsSearch": [],
        "ExtraHosts": null, "GroupAdd": null, "IpcMode": "private", "Cgroup": "", "Links": null,
        "OomScoreAdj": 0, "PidMode": "", "Privileged": false, "PublishAllPorts": false,
        "ReadonlyRootfs": false, "SecurityOpt": null, "UTSMode": "", "UsernsMode": "",
        "ShmSize": 67108864, "Runtime": "runc", "Isolation": "", "CpuShares": 0, "Memory": 0,
        "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": [],
        "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [], "BlkioDeviceReadIOps": [],
        "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": [],
        "DeviceCgroupRules": null, "DeviceRequests": null, "MemoryReservation": 0,
        "MemorySwap": 0, "MemorySwappiness": null, "OomKillDisable": null, "PidsLimit": null,
        "Ulimits": [], "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0, "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"]
    }"#;

    fn plain() -> Value {
        serde_json::from_str(PLAIN).unwrap()
    }

    #[test]
    fn plain_container_has_no_privilege() {
        assert_eq!(found(plain(), false), None);
        assert_eq!(found(json!({}), false), None);
        assert_eq!(found(json!(null), false), None);
    }

    #[test]
    fn harmless_settings_are_no_privileges() {
        for (key, value) in [
            ("Memory", json!(64 << 20)),
            ("NetworkMode", json!("front")),
            ("NetworkMode", json!("none")),
            ("IpcMode", json!("shareable")),
            ("CapDrop", json!(["ALL"])),
            ("SecurityOpt", json!(["no-new-privileges:true"])),
            ("Ulimits", json!([{"Name": "nofile", "Soft": 9, "Hard": 9}])),
            ("Binds", json!(["/data"])),
            ("Mounts", json!([{"Type": "tmpfs", "Target": "/t"}])),
            ("Mounts", json!([{"Type": "volume", "Target": "/t"}])),
            (
                "LogConfig",
                json!({"Type": "json-file", "Config": {"max-size": "1m"}}),
            ),
        ] {
            let mut host = plain();
            host[key] = value.clone();
            assert_eq!(found(host, false), None, "{key}: {value}");
        }
    }

    #[test]
    fn named_volumes_are_harmless_only_where_they_are_allowed() {
        for (key, value) in [
            ("Binds", json!(["data:/data"])),
            ("Binds", json!(["data:/data:ro,nocopy"])),
            (
                "Mounts",
                json!([{"Type": "volume", "Source": "data", "Target": "/t"}]),
            ),
        ] {
            let host = json!({key: value});
            assert_eq!(found(host.clone(), true), None, "{host}");
            assert_eq!(found(host, false), Some(format!("HostConfig.{key}")));
        }
    }

    #[test]
    fn privileges_are_found() {
        let device = json!({"type": "none", "o": "bind", "device": "/"});
        for (key, value) in [
            ("Privileged", json!(true)),
            ("Privileged", json!("true")),
            ("privileged", json!(true)),
            ("PidMode", json!("host")),
            ("PidMode", json!("container:x")),
            ("IpcMode", json!("host")),
            ("IpcMode", json!("container:x")),
            ("UTSMode", json!("host")),
            ("UsernsMode", json!("host")),
            ("Cgroup", json!("container:x")),
            ("CgroupnsMode", json!("container:x")),
            ("CgroupParent", json!("/")),
            ("NetworkMode", json!("host")),
            ("NetworkMode", json!("container:x")),
            ("NetworkMode", json!(["host"])),
            ("Devices", json!([{"PathOnHost": "/dev/sda"}])),
            ("DeviceRequests", json!([{"Driver": "nvidia"}])),
            ("DeviceCgroupRules", json!(["a *:* rwm"])),
            ("CapAdd", json!(["SYS_ADMIN"])),
            ("Capabilities", json!(["SYS_ADMIN"])),
            ("SecurityOpt", json!(["seccomp=unconfined"])),
            ("SecurityOpt", json!(["apparmor=unconfined"])),
            ("SecurityOpt", json!(["label=disable"])),
            ("SecurityOpt", json!(["no-new-privileges:false"])),
            ("Binds", json!(["/:/host"])),
            ("Binds", json!(["./x:/x"])),
            ("Binds", json!(["data:/data:shared"])),
            ("Binds", json!(["data:/data:ro:x"])),
            ("Binds", json!("/:/host")),
            (
                "Mounts",
                json!([{"Type": "bind", "Source": "/", "Target": "/host"}]),
            ),
            (
                "Mounts",
                json!([{"Type": "image", "Source": "x", "Target": "/x"}]),
            ),
            (
                "Mounts",
                json!([{"Type": "volume", "Source": "/etc", "Target": "/x"}]),
            ),
            (
                "Mounts",
                json!([{"Type": "volume", "Source": "x", "Target": "/x",
                    "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": device}}}]),
            ),
            (
                "Mounts",
                json!([{"Type": "volume", "Source": "x", "Target": "/x",
                    "VolumeOptions": {"DriverConfig": {"Name": "netshare"}}}]),
            ),
            ("VolumeDriver", json!("netshare")),
            ("VolumesFrom", json!(["db"])),
            ("Runtime", json!("other")),
            ("MaskedPaths", json!([])),
            ("ReadonlyPaths", json!([])),
            ("OomScoreAdj", json!(-1000)),
            ("OomKillDisable", json!(true)),
            ("CpuRealtimeRuntime", json!(95_000)),
            ("Ulimits", json!([{"Name": "rtprio", "Hard": 99}])),
            (
                "LogConfig",
                json!({"Type": "syslog", "Config": {"syslog-address": "x"}}),
            ),
            ("Annotations", json!({"a": "b"})),
            ("FieldOfTomorrow", json!(true)),
        ] {
            let mut host = plain();
            host[key] = value.clone();
            let expected = format!("HostConfig.{key}");
            assert_eq!(found(host, true), Some(expected), "{key}: {value}");
        }
    }

    #[test]
    fn fields_outside_of_host_config_are_judged_too() {
        for (config, expected) in [
            (json!([]), "Config"),
            (json!({"HostConfig": []}), "HostConfig"),
            (
                json!({"hostconfig": {"Privileged": true}}),
                "Config.hostconfig",
            ),
            (json!({"Volumes": {"/:/host": {}}}), "Config.Volumes"),
        ] {
            let privilege = first_privilege(&config, true);
            assert_eq!(privilege, Some(Privilege(expected.to_owned())), "{config}");
        }
    }

    #[test]
    fn defaults_of_the_old_engine_are_removed() {
        let mut config = json!({"HostConfig": plain()});
        remove_defaults(&mut config);
        let host = config["HostConfig"].as_object().unwrap();
        for key in ["CgroupnsMode", "MaskedPaths", "ReadonlyPaths", "Runtime"] {
            assert!(!host.contains_key(key), "{key}");
        }
        assert_eq!(host["NetworkMode"], "bridge");
    }
}
