//! Where a missing engine comes from.

use rmachine_driver::CheckFailure;

use crate::facts::{Facts, PackageManager};
use crate::family::{Packages, family_of};
use crate::plan::{Step, failure};
use crate::wanted::{EngineInstall, Wanted};

/// The architectures for which engines are built.
const ARCHITECTURES: [&str; 9] = [
    "x86_64", "amd64", "aarch64", "arm64", "armv7l", "armv6l", "ppc64le", "s390x", "riscv64",
];

/// What installs the engine.
pub(super) fn steps(facts: &Facts, wanted: &Wanted) -> Result<Vec<Step>, Vec<CheckFailure>> {
    let mut failures = Vec::new();
    if !ARCHITECTURES.contains(&facts.arch.as_str()) {
        failures.push(failure(
            "architecture",
            format!("there is no engine for {}", facts.arch),
            format!("use a host with one of {}", ARCHITECTURES.join(", ")),
        ));
    }
    let step = match wanted.engine.install {
        EngineInstall::Auto | EngineInstall::Distro => from_packages(facts),
        EngineInstall::Script => from_script(facts, &wanted.engine.install_url),
        EngineInstall::None => Err(failure(
            "engine",
            "the host has no dockerd, and --engine-install none forbids to install one".to_owned(),
            "install an engine on the host, or let --engine-install auto do it",
        )),
    };
    match step {
        Ok(step) if failures.is_empty() => Ok(vec![step]),
        Ok(_) => Err(failures),
        Err(refused) => {
            failures.push(refused);
            Err(failures)
        }
    }
}

fn from_packages(facts: &Facts) -> Result<Step, CheckFailure> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let Some(family) = family_of(facts) else {
        return Err(failure(
            "operating system",
            format!(
                "{} is not known, and it has no dockerd",
                facts.os.pretty_name
            ),
            "install an engine on the host, or give --engine-install script with an install URL \
             that knows it",
        ));
    };
    match &family.packages {
        Packages::Distro {
            manager,
            needed,
            welcome,
            before,
        } if facts.package_managers.contains(manager) => Ok(Step::InstallPackages {
            manager: *manager,
            needed: owned(needed),
            welcome: owned(welcome),
            before: before.map(str::to_owned),
        }),
        Packages::Distro { manager, .. } => Err(failure(
            "package manager",
            format!("{} has no {manager}", facts.os.pretty_name),
            "install an engine on the host",
        )),
        Packages::ScriptOnly => Err(failure(
            "engine",
            format!(
                "{} ({} family) has no package of the engine",
                facts.os.pretty_name, family.name
            ),
            "give --engine-install script, which sets up Docker's own repository",
        )),
    }
}

fn from_script(facts: &Facts, url: &str) -> Result<Step, CheckFailure> {
    let fetcher_from = match facts.fetchers.first() {
        Some(_) => None,
        None => Some(any_manager(facts).ok_or_else(|| {
            failure(
                "install script",
                "the host has neither curl nor wget".to_owned(),
                "install curl on the host",
            )
        })?),
    };
    Ok(Step::RunInstallScript {
        url: url.to_owned(),
        fetcher_from,
    })
}

fn any_manager(facts: &Facts) -> Option<PackageManager> {
    facts.package_managers.first().copied()
}
