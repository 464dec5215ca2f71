use rmachine_driver::{DriverFlag, FlagKind};

use crate::recipe::DEFAULT_RELEASE;

pub const HOST: &str = "docker-host";
pub const IMAGE: &str = "docker-image";
pub const NETWORK: &str = "docker-network";
pub const MEMORY: &str = "docker-memory";
pub const CPUS: &str = "docker-cpus";
pub const RELEASE: &str = "docker-release";
pub const PUBLISH: &str = "docker-publish";
pub const MIRROR: &str = "docker-debian-mirror";

/// The flags that `create` takes for this driver.
pub const FLAGS: &[DriverFlag] = &[
    DriverFlag {
        name: HOST,
        env: Some("MACHINE_DOCKER_HOST"),
        kind: FlagKind::Text(""),
        help: "Engine to make the machine on (default: the first socket that answers, never DOCKER_HOST)",
    },
    DriverFlag {
        name: IMAGE,
        env: Some("MACHINE_DOCKER_IMAGE"),
        kind: FlagKind::Text(""),
        help: "Image with systemd and sshd to use in place of the one that rmachine builds",
    },
    DriverFlag {
        name: NETWORK,
        env: Some("MACHINE_DOCKER_NETWORK"),
        kind: FlagKind::Text(""),
        help: "Existing network to attach the machine to (default: one that all machines share)",
    },
    DriverFlag {
        name: MEMORY,
        env: Some("MACHINE_DOCKER_MEMORY"),
        kind: FlagKind::Number(0),
        help: "Memory limit in MB, 0 for none",
    },
    DriverFlag {
        name: CPUS,
        env: Some("MACHINE_DOCKER_CPUS"),
        kind: FlagKind::Text(""),
        help: "Processors that the machine may use, such as 2 or 1.5 (default: all)",
    },
    DriverFlag {
        name: RELEASE,
        env: Some("MACHINE_DOCKER_RELEASE"),
        kind: FlagKind::Text(DEFAULT_RELEASE),
        help: "Debian release of the image that rmachine builds",
    },
    DriverFlag {
        name: PUBLISH,
        env: Some("MACHINE_DOCKER_PUBLISH"),
        kind: FlagKind::Switch,
        help: "Reach the machine through ports of 127.0.0.1 (on by itself where container addresses cannot be reached)",
    },
    DriverFlag {
        name: MIRROR,
        env: Some("MACHINE_DOCKER_DEBIAN_MIRROR"),
        kind: FlagKind::Text(""),
        help: "Debian archive to build the image from (default: Debian's own)",
    },
];
