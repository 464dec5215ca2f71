use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How much of the machine below a container is given, so that systemd and an engine run in it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// All of it: the usual way.
    Privileged,
    /// Every capability but CAP_SYS_RESOURCE, for engines that lack that one themselves and so
    /// cannot give it.
    Capabilities,
}

impl Isolation {
    /// The word in labels and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Capabilities => "capabilities",
        }
    }

    /// The settings of the container, on an engine with this kind of cgroups.
    pub fn settings(self, cgroups: Cgroups) -> Map<String, Value> {
        let mut settings = Map::new();
        match self {
            Self::Privileged => {
                settings.insert("Privileged".into(), json!(true));
            }
            Self::Capabilities => {
                settings.insert("CapAdd".into(), json!(["ALL"]));
                settings.insert("CapDrop".into(), json!(["SYS_RESOURCE"]));
                settings.insert(
                    "SecurityOpt".into(),
                    json!(["seccomp=unconfined", "apparmor=unconfined"]),
                );
                // `systempaths=unconfined`, as the engine's API says it.
                settings.insert("MaskedPaths".into(), json!([]));
                settings.insert("ReadonlyPaths".into(), json!([]));
            }
        }
        // systemd must be able to write its cgroups. A privileged container on version 2 has a
        // writable tree of its own; everywhere else the container sees the machine's tree, and so
        // must name its own place in it as the machine does.
        if self == Self::Privileged && cgroups == Cgroups::V2 {
            settings.insert("CgroupnsMode".into(), json!("private"));
        } else {
            settings.insert("CgroupnsMode".into(), json!("host"));
            settings.insert("Binds".into(), json!(["/sys/fs/cgroup:/sys/fs/cgroup:rw"]));
        }
        settings
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Isolation {
    type Err = UnknownIsolation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Privileged, Self::Capabilities]
            .into_iter()
            .find(|isolation| isolation.as_str() == text)
            .ok_or_else(|| UnknownIsolation(text.to_owned()))
    }
}

/// The text names no isolation.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not an isolation: privileged or capabilities")]
pub struct UnknownIsolation(String);

/// The version of the engine's cgroups.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cgroups {
    V1,
    V2,
}

/// Whether a start was refused because the engine itself lacks a capability that a privileged
/// container is given.
pub fn lacks_privilege(message: &str) -> bool {
    let message = message.to_lowercase();
    let denied = message.contains("operation not permitted");
    denied
        && (message.contains("caps") || message.contains("capabilit") || message.contains("rlimit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_can_write_its_cgroups_everywhere() {
        let shown = |isolation: Isolation, cgroups| {
            let settings = isolation.settings(cgroups);
            let bound = settings.contains_key("Binds");
            (settings["CgroupnsMode"].as_str().unwrap().to_owned(), bound)
        };
        let host = ("host".to_owned(), true);
        let private = ("private".to_owned(), false);
        assert_eq!(shown(Isolation::Privileged, Cgroups::V1), host);
        assert_eq!(shown(Isolation::Privileged, Cgroups::V2), private);
        assert_eq!(shown(Isolation::Capabilities, Cgroups::V1), host);
        assert_eq!(shown(Isolation::Capabilities, Cgroups::V2), host);
    }

    #[test]
    fn knows_a_refused_capability_from_other_failures() {
        for refused in [
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: unable to apply caps: operation not permitted: unknown",
            "runc create failed: unable to start container process: unable to apply caps: can't apply bounding set: operation not permitted",
            "error setting rlimit type 7: operation not permitted",
        ] {
            assert!(lacks_privilege(refused), "{refused}");
        }
        for other in [
            "Address already in use",
            "error mounting \"cgroup\": operation not permitted",
            "exec: \"/sbin/init\": stat /sbin/init: no such file or directory",
        ] {
            assert!(!lacks_privilege(other), "{other}");
        }
    }
}
