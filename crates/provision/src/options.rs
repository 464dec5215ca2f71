//! The options of dockerd: which of them `daemon.json` takes, under which key, in which shape, and
//! which engines have them. An option that is not here goes on the command line as it was given,
//! so that dockerd judges it.

use serde_json::{Map, Value, json};

use crate::facts::EngineVersion;
use crate::wanted::EngineOption;

/// One option that `daemon.json` takes.
#[derive(Debug)]
pub(crate) struct OptionRow {
    /// The long name on the command line.
    pub flag: &'static str,
    /// The one letter that it has, too.
    pub short: Option<char>,
    /// The key in `daemon.json`.
    pub key: &'static str,
    pub shape: Shape,
    /// The first major version without it, and what to use instead.
    pub gone: Option<(u32, &'static str)>,
}

/// The shape of an option's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    Text,
    Flag,
    Number,
    /// A list of texts; on the command line, the option once for each.
    List,
    /// A map of texts; on the command line, `key=value` once for each.
    Map,
    /// `name=path`, a map of objects with a `path`.
    Runtime,
    /// `name=soft:hard`, a map of objects.
    Ulimit,
    /// Its shape in `daemon.json` is richer than on the command line, where it stays.
    CommandLine,
}

const fn row(flag: &'static str, key: &'static str, shape: Shape) -> OptionRow {
    OptionRow {
        flag,
        short: None,
        key,
        shape,
        gone: None,
    }
}

const fn short(letter: char, row: OptionRow) -> OptionRow {
    OptionRow {
        short: Some(letter),
        ..row
    }
}

const fn gone(major: u32, instead: &'static str, row: OptionRow) -> OptionRow {
    OptionRow {
        gone: Some((major, instead)),
        ..row
    }
}

use Shape::{CommandLine, Flag, List, Map as TextMap, Number, Runtime, Text, Ulimit};

const CLUSTER_STORE_INSTEAD: &str = "use swarm mode (`docker swarm init`) for networks across \
     hosts, or an engine up to 20.10";

/// The options, by their long names.
pub(crate) static OPTIONS: &[OptionRow] = &[
    row("add-runtime", "runtimes", Runtime),
    row(
        "allow-nondistributable-artifacts",
        "allow-nondistributable-artifacts",
        List,
    ),
    row("authorization-plugin", "authorization-plugins", List),
    row("bip", "bip", Text),
    short('b', row("bridge", "bridge", Text)),
    row("cgroup-parent", "cgroup-parent", Text),
    gone(
        23,
        CLUSTER_STORE_INSTEAD,
        row("cluster-advertise", "cluster-advertise", Text),
    ),
    gone(
        23,
        CLUSTER_STORE_INSTEAD,
        row("cluster-store", "cluster-store", Text),
    ),
    gone(
        23,
        CLUSTER_STORE_INSTEAD,
        row("cluster-store-opt", "cluster-store-opts", TextMap),
    ),
    row("containerd", "containerd", Text),
    row("cpu-rt-period", "cpu-rt-period", Number),
    row("cpu-rt-runtime", "cpu-rt-runtime", Number),
    row("cri-containerd", "cri-containerd", Flag),
    row("data-root", "data-root", Text),
    short('D', row("debug", "debug", Flag)),
    row("default-address-pool", "default-address-pools", CommandLine),
    row("default-cgroupns-mode", "default-cgroupns-mode", Text),
    row("default-gateway", "default-gateway", Text),
    row("default-gateway-v6", "default-gateway-v6", Text),
    row("default-ipc-mode", "default-ipc-mode", Text),
    row("default-network-opt", "default-network-opts", CommandLine),
    row("default-runtime", "default-runtime", Text),
    row("default-shm-size", "default-shm-size", Text),
    row("default-ulimit", "default-ulimits", Ulimit),
    row("dns", "dns", List),
    row("dns-opt", "dns-opts", List),
    row("dns-search", "dns-search", List),
    row("exec-opt", "exec-opts", List),
    row("exec-root", "exec-root", Text),
    row("experimental", "experimental", Flag),
    row("feature", "features", CommandLine),
    row("fixed-cidr", "fixed-cidr", Text),
    row("fixed-cidr-v6", "fixed-cidr-v6", Text),
    short('g', row("graph", "data-root", Text)),
    short('G', row("group", "group", Text)),
    row("host-gateway-ip", "host-gateway-ip", Text),
    row("icc", "icc", Flag),
    row("init", "init", Flag),
    row("init-path", "init-path", Text),
    row("insecure-registry", "insecure-registries", List),
    row("ip", "ip", Text),
    row("ip-forward", "ip-forward", Flag),
    row("ip-masq", "ip-masq", Flag),
    row("ip6tables", "ip6tables", Flag),
    row("iptables", "iptables", Flag),
    row("ipv6", "ipv6", Flag),
    row("label", "labels", List),
    row("live-restore", "live-restore", Flag),
    row("log-driver", "log-driver", Text),
    short('l', row("log-level", "log-level", Text)),
    row("log-opt", "log-opts", TextMap),
    row(
        "max-concurrent-downloads",
        "max-concurrent-downloads",
        Number,
    ),
    row("max-concurrent-uploads", "max-concurrent-uploads", Number),
    row("max-download-attempts", "max-download-attempts", Number),
    row("metrics-addr", "metrics-addr", Text),
    row("mtu", "mtu", Number),
    row(
        "network-control-plane-mtu",
        "network-control-plane-mtu",
        Number,
    ),
    row("no-new-privileges", "no-new-privileges", Flag),
    row("node-generic-resource", "node-generic-resources", List),
    row("oom-score-adjust", "oom-score-adjust", Number),
    short('p', row("pidfile", "pidfile", Text)),
    row("raw-logs", "raw-logs", Flag),
    row("registry-mirror", "registry-mirrors", List),
    row("seccomp-profile", "seccomp-profile", Text),
    row("selinux-enabled", "selinux-enabled", Flag),
    row("shutdown-timeout", "shutdown-timeout", Number),
    short('s', row("storage-driver", "storage-driver", Text)),
    row("storage-opt", "storage-opts", List),
    row(
        "swarm-default-advertise-addr",
        "swarm-default-advertise-addr",
        Text,
    ),
    row("userland-proxy", "userland-proxy", Flag),
    row("userland-proxy-path", "userland-proxy-path", Text),
    row("userns-remap", "userns-remap", Text),
];

/// Storage drivers that an engine no longer has: name, first major version without it.
static GONE_STORAGE_DRIVERS: &[(&str, u32)] =
    &[("aufs", 24), ("overlay", 24), ("devicemapper", 25)];

/// Options that belong to rmachine, and what asks for the same.
static OURS: &[(&str, &str)] = &[
    (
        "host",
        "the driver's engine port flag sets where the engine listens",
    ),
    ("tls", "the engine always asks for TLS"),
    ("tlscacert", "the machine's certificates are rmachine's"),
    ("tlscert", "the machine's certificates are rmachine's"),
    ("tlskey", "the machine's certificates are rmachine's"),
    (
        "tlsverify",
        "the engine always asks for client certificates",
    ),
    ("config-file", "the engine reads /etc/docker/daemon.json"),
];

/// The long names of the TLS options, which the command line must not carry beside `daemon.json`.
pub(crate) static TLS_FLAGS: &[&str] = &["tls", "tlscacert", "tlscert", "tlskey", "tlsverify"];

/// The row of a long name.
pub(crate) fn by_flag(name: &str) -> Option<&'static OptionRow> {
    OPTIONS.iter().find(|row| row.flag == name)
}

/// The row of a one-letter name.
pub(crate) fn by_letter(letter: char) -> Option<&'static OptionRow> {
    OPTIONS.iter().find(|row| row.short == Some(letter))
}

/// The shape of the value that `daemon.json` keeps under this key.
pub(crate) fn shape_of_key(key: &str) -> Option<Shape> {
    OPTIONS
        .iter()
        .find(|row| row.key == key)
        .map(|row| row.shape)
}

/// What one option adds to the engine's configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Contribution {
    /// One value under this key.
    Scalar(&'static str, Value),
    /// One more item of a list.
    Item(&'static str, Value),
    /// One more entry of a map.
    Entry(&'static str, String, Value),
    /// A word on the command line.
    Argument(String),
}

/// Why an option cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unusable {
    pub finding: String,
    pub remedy: String,
}

/// Decides where an option goes, and refuses what this engine cannot do.
pub(crate) fn contribution(
    option: &EngineOption,
    engine: Option<&EngineVersion>,
) -> Result<Contribution, Unusable> {
    if let Some((_, why)) = OURS.iter().find(|(name, _)| *name == option.name) {
        return Err(Unusable {
            finding: format!("rmachine sets {} itself", option.name),
            remedy: format!("leave it away: {why}"),
        });
    }
    let Some(row) = by_flag(&option.name) else {
        return Ok(Contribution::Argument(format!("--{option}")));
    };
    if let (Some((major, instead)), Some(version)) = (row.gone, engine)
        && version.at_least(major, 0)
    {
        return Err(Unusable {
            finding: format!("engine {version} has no {}: {major}.0 removed it", row.flag),
            remedy: instead.to_owned(),
        });
    }
    if row.key == "storage-driver"
        && let Some(driver) = &option.value
    {
        storage_driver(driver, engine)?;
    }
    contribution_of_row(row, option)
}

/// Refuses a storage driver that this engine no longer has.
fn storage_driver(driver: &str, engine: Option<&EngineVersion>) -> Result<(), Unusable> {
    let gone = GONE_STORAGE_DRIVERS
        .iter()
        .find(|(name, _)| *name == driver);
    match (gone, engine) {
        (Some((_, major)), Some(version)) if version.at_least(*major, 0) => Err(Unusable {
            finding: format!(
                "engine {version} has no storage driver {driver}: {major}.0 removed it"
            ),
            remedy: "leave --engine-storage-driver away, or use overlay2".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn contribution_of_row(
    row: &'static OptionRow,
    option: &EngineOption,
) -> Result<Contribution, Unusable> {
    let needs = |what: &str| Unusable {
        finding: format!("{} needs {what}", row.flag),
        remedy: format!("give it as --engine-opt {}=VALUE", row.flag),
    };
    if row.shape == Flag {
        return match option.value.as_deref() {
            None | Some("true" | "1") => Ok(Contribution::Scalar(row.key, Value::Bool(true))),
            Some("false" | "0") => Ok(Contribution::Scalar(row.key, Value::Bool(false))),
            Some(_) => Err(needs("true or false")),
        };
    }
    let value = option.value.as_deref().ok_or_else(|| needs("a value"))?;
    let pair = || {
        let (name, rest) = value.split_once('=').ok_or_else(|| needs("name=value"))?;
        Ok::<_, Unusable>((name.to_owned(), rest))
    };
    Ok(match row.shape {
        Text | Flag => Contribution::Scalar(row.key, json!(value)),
        Number => {
            let number: i64 = value.parse().map_err(|_| needs("a number"))?;
            Contribution::Scalar(row.key, json!(number))
        }
        List => Contribution::Item(row.key, json!(value)),
        TextMap => {
            let (name, rest) = pair()?;
            Contribution::Entry(row.key, name, json!(rest))
        }
        Runtime => {
            let (name, path) = pair()?;
            Contribution::Entry(row.key, name, json!({ "path": path }))
        }
        Ulimit => {
            let (name, limits) = pair()?;
            let limits = ulimit(&name, limits).ok_or_else(|| needs("name=soft:hard"))?;
            Contribution::Entry(row.key, name, limits)
        }
        CommandLine => Contribution::Argument(format!("--{option}")),
    })
}

fn ulimit(name: &str, limits: &str) -> Option<Value> {
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let soft: i64 = soft.parse().ok()?;
    let hard: i64 = hard.parse().ok()?;
    let mut object = Map::new();
    object.insert("Name".to_owned(), json!(name));
    object.insert("Soft".to_owned(), json!(soft));
    object.insert("Hard".to_owned(), json!(hard));
    Some(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, engine: &str) -> Result<Contribution, Unusable> {
        contribution(&text.parse().unwrap(), Some(&engine.parse().unwrap()))
    }

    #[test]
    fn every_option_has_its_shape() {
        for (text, expected) in [
            (
                "bip=10.1.0.1/16",
                Contribution::Scalar("bip", json!("10.1.0.1/16")),
            ),
            (
                "live-restore",
                Contribution::Scalar("live-restore", json!(true)),
            ),
            ("icc=false", Contribution::Scalar("icc", json!(false))),
            ("mtu=1400", Contribution::Scalar("mtu", json!(1400))),
            (
                "graph=/srv/d",
                Contribution::Scalar("data-root", json!("/srv/d")),
            ),
            ("label=a=b", Contribution::Item("labels", json!("a=b"))),
            (
                "log-opt=tag={{.Name}}=x",
                Contribution::Entry("log-opts", "tag".into(), json!("{{.Name}}=x")),
            ),
            (
                "add-runtime=kata=/usr/bin/kata",
                Contribution::Entry("runtimes", "kata".into(), json!({"path": "/usr/bin/kata"})),
            ),
            (
                "default-ulimit=nofile=1024:2048",
                Contribution::Entry(
                    "default-ulimits",
                    "nofile".into(),
                    json!({"Name": "nofile", "Soft": 1024, "Hard": 2048}),
                ),
            ),
            (
                "cluster-store=etcd://10.0.0.1:2379",
                Contribution::Scalar("cluster-store", json!("etcd://10.0.0.1:2379")),
            ),
            (
                "bogus-option=1",
                Contribution::Argument("--bogus-option=1".into()),
            ),
            (
                "default-address-pool=base=10.0.0.0/8,size=24",
                Contribution::Argument("--default-address-pool=base=10.0.0.0/8,size=24".into()),
            ),
        ] {
            assert_eq!(read(text, "20.10.24").unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_remedy() {
        for (text, engine, word) in [
            ("cluster-store=etcd://h", "23.0.1", "23.0 removed it"),
            ("cluster-advertise=eth0:2376", "26.1.5", "23.0 removed it"),
            ("storage-driver=aufs", "24.0.0", "24.0 removed it"),
            ("storage-driver=devicemapper", "25.0.0", "25.0 removed it"),
            (
                "host=tcp://0.0.0.0:1",
                "20.10.24",
                "rmachine sets host itself",
            ),
            (
                "tlsverify=false",
                "20.10.24",
                "rmachine sets tlsverify itself",
            ),
            ("mtu=big", "20.10.24", "a number"),
            ("icc=maybe", "20.10.24", "true or false"),
            ("log-opt=max-size", "20.10.24", "name=value"),
            ("bip", "20.10.24", "a value"),
        ] {
            let unusable = read(text, engine).unwrap_err();
            assert!(unusable.finding.contains(word), "{text}: {unusable:?}");
            assert!(!unusable.remedy.is_empty());
        }
        assert!(read("storage-driver=devicemapper", "24.0.9").is_ok());
    }

    #[test]
    fn no_option_is_listed_twice() {
        for (index, row) in OPTIONS.iter().enumerate() {
            let same = |other: &OptionRow| {
                other.flag == row.flag || (row.short.is_some() && other.short == row.short)
            };
            assert!(!OPTIONS[..index].iter().any(same), "{}", row.flag);
        }
    }
}
