//! The host's own name.

use crate::facts::Facts;
use crate::plan::{FileWrite, Step, shell_file};

const HOSTNAME: &str = "/etc/hostname";
const HOSTS: &str = "/etc/hosts";
/// Where boot2docker finds its name after a reboot; its root is in memory.
const KEPT: &str = "/var/lib/boot2docker/etc/hostname";
/// Debian's address for a host that has no fixed one.
const OWN_ADDRESS: &str = "127.0.1.1";

/// What gives the host this name.
pub(super) fn steps(facts: &Facts, name: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let kept = shell_file::is_boot2docker(facts).then_some(KEPT);
    for path in std::iter::once(HOSTNAME).chain(kept) {
        if facts.text(path).map(str::trim_end) != Some(name) {
            steps.push(write(facts, path, format!("{name}\n")));
        }
    }
    let hosts = facts.text(HOSTS).unwrap_or_default();
    if !is_named(hosts, name) {
        steps.push(write(facts, HOSTS, with_name(hosts, name)));
    }
    if facts.hostname != name {
        steps.push(Step::SetHostname {
            name: name.to_owned(),
        });
    }
    steps
}

fn write(facts: &Facts, path: &str, content: String) -> Step {
    Step::Write(FileWrite {
        path: path.to_owned(),
        mode: facts.files.get(path).map_or(0o644, |file| file.mode),
        content,
        secret: false,
    })
}

fn names(line: &str) -> impl Iterator<Item = &str> {
    let line = line.split('#').next().unwrap_or_default();
    line.split_whitespace()
}

fn is_named(hosts: &str, name: &str) -> bool {
    hosts
        .lines()
        .any(|line| names(line).skip(1).any(|word| word == name))
}

fn with_name(hosts: &str, name: &str) -> String {
    let entry = match name.split_once('.') {
        Some((short, _)) => format!("{OWN_ADDRESS}\t{name} {short}"),
        None => format!("{OWN_ADDRESS}\t{name}"),
    };
    let mut replaced = false;
    let mut text = String::new();
    for line in hosts.lines() {
        if names(line).next() == Some(OWN_ADDRESS) && !replaced {
            text.push_str(&entry);
            replaced = true;
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    if !replaced {
        text.push_str(&entry);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_address_gets_the_name() {
        assert_eq!(
            with_name(
                "127.0.0.1 localhost\n127.0.1.1 old.example old\n::1 ip6\n",
                "n1"
            ),
            "127.0.0.1 localhost\n127.0.1.1\tn1\n::1 ip6\n"
        );
        assert_eq!(
            with_name("127.0.0.1 localhost", "n1.example.org"),
            "127.0.0.1 localhost\n127.0.1.1\tn1.example.org n1\n"
        );
        assert!(is_named("10.0.0.5 a n1 # x\n", "n1"));
        assert!(!is_named("# 127.0.1.1 n1\nn1 x\n", "n1"));
    }
}
