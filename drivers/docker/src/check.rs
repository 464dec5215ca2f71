use rmachine_driver::CheckFailure;
use rmachine_engine::EngineError;

use crate::config::Config;
use crate::daemon::{Below, Daemon};
use crate::failure::{chain, found, remedy};
use crate::machine::Machine;

/// The least memory, in megabytes, in which systemd and an engine come up.
const LEAST_MEMORY: u64 = 128;

/// Every reason found why the machine cannot be made.
pub async fn failures(machine: &Machine) -> Vec<CheckFailure> {
    let daemon = match machine.daemon_or_silence().await {
        Ok(daemon) => daemon,
        Err(silence) => return vec![silence.as_check()],
    };
    match look(machine, daemon).await {
        Ok(failures) => failures,
        Err(error) => vec![found(
            "docker engine",
            chain(&error),
            remedy(&error).unwrap_or("see what the engine's own log says"),
        )],
    }
}

async fn look(machine: &Machine, daemon: &Daemon) -> Result<Vec<CheckFailure>, EngineError> {
    let config = &machine.config;
    let below = daemon.below().await?;
    let mut failures = fits(config, &below);
    if let Some(image) = &config.wanted_image
        && !daemon.has_image(image).await?
    {
        failures.push(found(
            "image",
            format!("the engine has no image {image}"),
            &format!("docker -H {} pull {image}", daemon.host()),
        ));
    }
    if let Some(network) = &config.wanted_network {
        let seen = daemon.network(network).await?;
        let driver = seen.as_ref().map(|seen| seen["Driver"].as_str());
        match driver {
            None => failures.push(found(
                "network",
                format!("the engine has no network {network}"),
                &format!("docker -H {} network create {network}", daemon.host()),
            )),
            Some(Some("host" | "null")) => failures.push(found(
                "network",
                format!("a machine on the network {network} has no address of its own"),
                "give a bridge network with --docker-network, or none",
            )),
            Some(_) => {}
        }
    }
    let name = machine.container();
    let seen = daemon.container(&name).await?;
    if seen.is_some_and(|seen| !seen.is_of(&machine.context)) {
        failures.push(found(
            "container",
            format!("the engine has a container {name} that is not of this machine"),
            "give the machine another name, or remove that container",
        ));
    }
    Ok(failures)
}

/// What the engine's computer cannot hold.
fn fits(config: &Config, below: &Below) -> Vec<CheckFailure> {
    let mut failures = Vec::new();
    if below.containers_of != "linux" {
        failures.push(found(
            "docker engine",
            format!("it runs {} containers", below.containers_of),
            "switch the engine to Linux containers",
        ));
    }
    if config.memory != 0 && config.memory < LEAST_MEMORY {
        failures.push(found(
            "memory",
            format!("{} MB are too little for a host", config.memory),
            &format!("give at least {LEAST_MEMORY} with --docker-memory, or 0 for no limit"),
        ));
    }
    if config.memory > below.memory {
        failures.push(found(
            "memory",
            format!(
                "{} MB are asked for, and the engine's computer has {}",
                config.memory, below.memory
            ),
            "give less with --docker-memory, or 0 for no limit",
        ));
    }
    if let Some(cpus) = &config.cpus
        && cpus.nano() > below.processors.saturating_mul(1_000_000_000)
    {
        failures.push(found(
            "processors",
            format!(
                "{cpus} are asked for, and the engine's computer has {}",
                below.processors
            ),
            "give fewer with --docker-cpus",
        ));
    }
    failures
}

#[cfg(test)]
mod tests {
    use crate::isolation::Cgroups;

    use super::*;

    #[test]
    fn a_machine_must_fit() {
        let below = Below {
            cgroups: Cgroups::V1,
            architecture: "x86_64".to_owned(),
            containers_of: "linux".to_owned(),
            memory: 4096,
            processors: 2,
            addresses_unreachable: false,
        };
        let subjects = |memory, cpus: Option<&str>, below: &Below| -> Vec<String> {
            let config = Config {
                memory,
                cpus: cpus.map(|text| text.parse().unwrap()),
                ..Config::default()
            };
            fits(&config, below)
                .into_iter()
                .map(|f| f.subject)
                .collect()
        };
        assert!(subjects(0, None, &below).is_empty());
        assert!(subjects(4096, Some("2"), &below).is_empty());
        assert_eq!(subjects(127, None, &below), ["memory"]);
        assert_eq!(
            subjects(4097, Some("2.5"), &below),
            ["memory", "processors"]
        );
        let windows = Below {
            containers_of: "windows".to_owned(),
            ..below
        };
        assert_eq!(subjects(0, None, &windows), ["docker engine"]);
    }
}
