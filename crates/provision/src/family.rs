//! The families of distributions, as a table: which system belongs to which, and what its package
//! of the engine is called.

use crate::facts::{Facts, PackageManager};

/// A family of distributions.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Family {
    /// For messages.
    pub name: &'static str,
    /// The `ID`s of its members.
    ids: &'static [&'static str],
    /// The major versions that belong to it; `None` for all.
    majors: Option<(u32, u32)>,
    pub packages: Packages,
}

/// Where a family's engine comes from.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Packages {
    /// The distribution has these packages.
    Distro {
        manager: PackageManager,
        /// What the engine needs.
        needed: &'static [&'static str],
        /// What a person on the host expects, where the release has it.
        welcome: &'static [&'static str],
        /// A command that makes the packages known first.
        before: Option<&'static str>,
    },
    /// The distribution has none; the install script knows it.
    ScriptOnly,
}

const fn distro(manager: PackageManager, needed: &'static [&'static str]) -> Packages {
    Packages::Distro {
        manager,
        needed,
        welcome: &[],
        before: None,
    }
}

const fn family(name: &'static str, ids: &'static [&'static str], packages: Packages) -> Family {
    Family {
        name,
        ids,
        majors: None,
        packages,
    }
}

const fn of_majors(first: u32, last: u32, family: Family) -> Family {
    Family {
        majors: Some((first, last)),
        ..family
    }
}

use PackageManager::{Apk, Apt, Dnf, Pacman, Yum, Zypper};

/// Without apparmor_parser, dockerd does not start where the kernel enforces AppArmor.
const DEBIAN: Packages = Packages::Distro {
    manager: Apt,
    needed: &["docker.io", "apparmor", "ca-certificates", "iptables"],
    welcome: &["docker-cli"],
    before: None,
};

/// The families; the first that matches counts.
static FAMILIES: &[Family] = &[
    family("Debian", &["debian", "raspbian"], DEBIAN),
    family("Ubuntu", &["ubuntu"], DEBIAN),
    family("Fedora", &["fedora"], distro(Dnf, &["moby-engine"])),
    of_majors(
        0,
        7,
        family("CentOS", &["centos", "rhel"], distro(Yum, &["docker"])),
    ),
    of_majors(
        0,
        7,
        family("Oracle Linux", &["ol"], distro(Yum, &["docker-engine"])),
    ),
    family(
        "RHEL",
        &["rhel", "centos", "rocky", "almalinux", "ol"],
        Packages::ScriptOnly,
    ),
    of_majors(
        0,
        2,
        family(
            "Amazon Linux",
            &["amzn"],
            Packages::Distro {
                manager: Yum,
                needed: &["docker"],
                welcome: &[],
                before: Some("amazon-linux-extras enable docker"),
            },
        ),
    ),
    family("Amazon Linux", &["amzn"], distro(Dnf, &["docker"])),
    family(
        "SUSE",
        &[
            "suse",
            "opensuse",
            "opensuse-leap",
            "opensuse-tumbleweed",
            "sles",
            "sled",
            "sle-micro",
        ],
        distro(Zypper, &["docker"]),
    ),
    family("Arch", &["arch", "archlinux"], distro(Pacman, &["docker"])),
    family(
        "Alpine",
        &["alpine"],
        Packages::Distro {
            manager: Apk,
            needed: &["docker"],
            welcome: &["docker-openrc"],
            before: None,
        },
    ),
];

/// The family of a host: by `ID`, then by `ID_LIKE`, the nearest relative first.
///
/// A relative's version says nothing about its own, so the version only counts for `ID`; for a
/// relative, the family counts whose package manager the host has.
pub(crate) fn family_of(facts: &Facts) -> Option<&'static Family> {
    let by_id = FAMILIES.iter().find(|family| {
        family.ids.contains(&facts.os.id.as_str())
            && family.majors.is_none_or(|(first, last)| {
                facts
                    .os
                    .major()
                    .is_some_and(|major| (first..=last).contains(&major))
            })
    });
    by_id.or_else(|| {
        facts.os.id_like.iter().find_map(|like| {
            FAMILIES
                .iter()
                .filter(|family| family.ids.contains(&like.as_str()))
                .find(|family| family.suits(facts))
        })
    })
}

impl Family {
    fn suits(&self, facts: &Facts) -> bool {
        match &self.packages {
            Packages::Distro { manager, .. } => facts.package_managers.contains(manager),
            Packages::ScriptOnly => true,
        }
    }
}
