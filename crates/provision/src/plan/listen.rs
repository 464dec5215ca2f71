//! Where the engine listens: the owner's sockets and our port.

use crate::facts::Socket;
use crate::plan::command_line::{CommandLine, Flag};
use crate::wanted::EngineSettings;

/// Where dockerd listens when it is told nothing.
const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";
const ACTIVATED: &str = "fd://";

/// Puts the hosts of the engine on its command line and returns those of them that are new there.
///
/// The owner's stay; one at our port gives way to ours; `fd://` needs a socket that can be started.
pub(super) fn hosts(
    command: &mut CommandLine,
    moved: &[String],
    socket: Socket,
    engine: &EngineSettings,
) -> Vec<String> {
    let unusable = |flag: &Flag| {
        let value = flag.value.as_deref().unwrap_or_default();
        flag.name == "host"
            && (port_of(value) == Some(engine.port)
                || (value.starts_with(ACTIVATED) && socket != Socket::Present))
    };
    let removed = command.remove(unusable);
    let mut there: Vec<String> = command
        .flags()
        .filter(|flag| flag.name == "host")
        .filter_map(|flag| flag.value.clone())
        .collect();
    let mut added = Vec::new();
    let lost_socket = removed.iter().any(|flag| {
        flag.value
            .as_deref()
            .is_some_and(|v| v.starts_with(ACTIVATED))
    });
    let mut add = |host: &str| {
        if !there.iter().any(|known| same_host(known, host)) {
            there.push(host.to_owned());
            added.push(host.to_owned());
        }
    };
    for host in moved {
        if port_of(host) != Some(engine.port) && (host != ACTIVATED || socket == Socket::Present) {
            add(host);
        }
    }
    if lost_socket {
        add(DEFAULT_SOCKET);
    }
    add(&ours(engine));
    if !there.iter().any(|host| is_local(host)) {
        added.insert(0, DEFAULT_SOCKET.to_owned());
    }
    added
}

/// Where the engine listens for us.
pub(super) fn ours(engine: &EngineSettings) -> String {
    format!("tcp://{}:{}", engine.bind.in_url(), engine.port)
}

/// The TCP port of a host, for those that have one.
pub(super) fn port_of(host: &str) -> Option<u16> {
    if is_local(host) {
        return None;
    }
    host.rsplit(':').next()?.trim_end_matches('/').parse().ok()
}

fn is_local(host: &str) -> bool {
    host.starts_with("unix://") || host.starts_with(ACTIVATED) || host.starts_with("npipe://")
}

fn same_host(a: &str, b: &str) -> bool {
    let real = |host: &str| match host {
        "unix://" | "unix:///run/docker.sock" => DEFAULT_SOCKET.to_owned(),
        other => other.to_owned(),
    };
    // The socket unit listens at the default path: dockerd must not do so beside it.
    let activated = |x: &str, y: &str| x.starts_with(ACTIVATED) && real(y) == DEFAULT_SOCKET;
    real(a) == real(b) || activated(a, b)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn keeps_the_owners_hosts_beside_ours() {
        let ours = "tcp://0.0.0.0:2376";
        let default = "unix:///var/run/docker.sock";
        for (command, moved, socket, expected) in [
            ("d -H fd://", &[][..], Socket::Present, &[ours][..]),
            ("d", &[], Socket::Absent, &[default, ours]),
            ("d -H fd://", &[], Socket::Masked, &[default, ours]),
            (
                "d -H unix:///x -H tcp://10.0.0.1:2376",
                &[],
                Socket::Absent,
                &[ours],
            ),
            (
                "d -H fd://",
                &[default, "tcp://127.0.0.1:2375"],
                Socket::Present,
                &["tcp://127.0.0.1:2375", ours],
            ),
            (
                "d",
                &[default, "tcp://0.0.0.0:2376"],
                Socket::Absent,
                &[default, ours],
            ),
        ] {
            let mut line = CommandLine::parse(command, &BTreeMap::new());
            let moved: Vec<String> = moved.iter().map(|host| (*host).to_owned()).collect();
            let added = hosts(&mut line, &moved, socket, &EngineSettings::default());
            assert_eq!(added, expected, "{command}");
        }
    }

    #[test]
    fn finds_the_port() {
        assert_eq!(port_of("tcp://0.0.0.0:2376"), Some(2376));
        assert_eq!(port_of("tcp://[::]:2376/"), Some(2376));
        assert_eq!(port_of(":2375"), Some(2375));
        assert_eq!(port_of("unix:///var/run/docker.sock"), None);
        assert_eq!(port_of("fd://"), None);
    }
}
