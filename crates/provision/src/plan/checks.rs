//! What a host must have before anything is touched.

use rmachine_driver::CheckFailure;

use crate::facts::{EngineVersion, Facts, Init, Masked, Unfinished};
use crate::options::{self, Contribution};
use crate::plan::{failure, listen};
use crate::wanted::{EngineOption, EngineSettings, Wanted};

const MIB: u64 = 1 << 20;
/// An engine with its image store, unpacked.
const ROOM_TO_INSTALL: u64 = 1024 * MIB;
/// Our files, the copies of the owner's, and what dockerd writes when it starts.
const ROOM_TO_CONFIGURE: u64 = 50 * MIB;
/// Certificates are valid from an hour before they are made.
const BEHIND_TOO_FAR: i64 = 3600;
/// Certificates are valid for 1080 days; a clock that is ahead by more has none.
const AHEAD_TOO_FAR: i64 = 1079 * 24 * 3600;
const WORTH_A_WORD: i64 = 300;

/// Looks at everything but the engine's own configuration.
pub(super) fn host(facts: &Facts, wanted: &Wanted) -> Vec<CheckFailure> {
    let mut failures = Vec::new();
    if facts.uid != 0 {
        failures.push(failure(
            "root",
            format!(
                "the user on the host has uid {} and no way to root",
                facts.uid
            ),
            "log in as root, or as a user who may run sudo",
        ));
    }
    if facts.init == Init::None {
        failures.push(failure(
            "init system",
            "the host runs neither systemd nor OpenRC nor init scripts".to_owned(),
            "use a host that starts its services with systemd or OpenRC",
        ));
    }
    if facts
        .service
        .as_ref()
        .is_some_and(|service| service.masked == Masked::Yes)
    {
        failures.push(failure(
            "docker.service",
            "it is masked, so it cannot be started".to_owned(),
            "run `systemctl unmask docker.service docker.socket` on the host",
        ));
    }
    failures.extend(clock(facts));
    failures.extend(room(facts));
    failures.extend(port(facts, &wanted.engine));
    failures.extend(advertise(facts, &wanted.engine));
    failures.extend(labels(&wanted.engine));
    failures
}

/// What a person should know, and what stops nothing.
pub(super) fn warnings(facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(ahead) = facts.clock_ahead
        && ahead.abs() > WORTH_A_WORD
    {
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        warnings.push(format!(
            "the host's clock is {} s {direction} this machine's",
            ahead.abs()
        ));
    }
    if let Some(holder) = &facts.package_lock {
        warnings.push(format!("the host's package manager is in use by {holder}"));
    }
    warnings
}

/// Looks whether every option can be used with this engine.
pub(super) fn engine_options(
    engine: &EngineSettings,
    version: Option<&EngineVersion>,
) -> Vec<CheckFailure> {
    contributions(engine, version)
        .into_iter()
        .filter_map(Result::err)
        .collect()
}

/// What every option and flag adds to the engine's configuration.
pub(super) fn contributions(
    engine: &EngineSettings,
    version: Option<&EngineVersion>,
) -> Vec<Result<Contribution, CheckFailure>> {
    let named = |name: &str, values: &[String]| -> Vec<EngineOption> {
        let option = |value: &String| EngineOption {
            name: name.to_owned(),
            value: Some(value.clone()),
        };
        values.iter().map(option).collect()
    };
    let driver: Vec<String> = engine.storage_driver.iter().cloned().collect();
    let all = [
        engine.options.clone(),
        named("storage-driver", &driver),
        named("label", &engine.labels),
        named("insecure-registry", &engine.insecure_registries),
        named("registry-mirror", &engine.registry_mirrors),
    ];
    all.iter()
        .flatten()
        .map(|option| {
            options::contribution(option, version).map_err(|unusable| {
                failure(
                    &format!("engine option {}", option.name),
                    unusable.finding,
                    unusable.remedy,
                )
            })
        })
        .collect()
}

fn clock(facts: &Facts) -> Option<CheckFailure> {
    let ahead = facts.clock_ahead?;
    let (finding, consequence) = if -ahead > BEHIND_TOO_FAR {
        (
            format!("{} s behind this machine's", -ahead),
            "not valid yet",
        )
    } else if ahead > AHEAD_TOO_FAR {
        (format!("{ahead} s ahead of this machine's"), "expired")
    } else {
        return None;
    };
    Some(failure(
        "clock",
        format!("the host's clock is {finding}: new certificates are {consequence} there"),
        "set the clock of the host, for example with `timedatectl set-ntp true`, or this machine's",
    ))
}

fn room(facts: &Facts) -> Vec<CheckFailure> {
    let installs = facts.engine.is_none() || facts.unfinished.contains(&Unfinished::Install);
    let needed = if installs {
        ROOM_TO_INSTALL
    } else {
        ROOM_TO_CONFIGURE
    };
    facts
        .free
        .iter()
        .filter(|(_, free)| **free < needed)
        .map(|(path, free)| {
            failure(
                "disk",
                format!(
                    "{path} has {} MiB free, {} MiB are needed",
                    free / MIB,
                    needed / MIB
                ),
                format!("make room in the file system of {path}"),
            )
        })
        .collect()
}

fn port(facts: &Facts, engine: &EngineSettings) -> Option<CheckFailure> {
    let on_port = |listener: &&crate::facts::Listener| listener.port == engine.port;
    let listener = facts.listeners.iter().find(on_port)?;
    let whose = match listener.program.as_deref() {
        Some(name) if name.starts_with("dockerd") => return None,
        Some(name) => format!("{name} listens there"),
        // The host cannot tell: the engine itself, if it runs and we have put it there.
        None if facts.text(super::APPLIED_NOTE).is_some() || !facts.before.is_empty() => {
            return None;
        }
        None => "somebody listens there".to_owned(),
    };
    Some(failure(
        &format!("port {}", engine.port),
        whose,
        "stop that program, or choose another engine port with the driver's flag",
    ))
}

/// `cluster-advertise` names an interface or an address of the host.
fn advertise(facts: &Facts, engine: &EngineSettings) -> Option<CheckFailure> {
    let named = |option: &&EngineOption| option.name == "cluster-advertise";
    let value = engine.options.iter().rfind(named)?.value.as_deref()?;
    let (place, port) = value.rsplit_once(':').unwrap_or((value, ""));
    let interface = facts.interfaces.iter().find(|i| i.name == place);
    let is_address = place
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>()
        .is_ok();
    let finding = match interface {
        _ if port.parse::<u16>().is_err() => format!("{value} has no port"),
        Some(interface) if interface.addresses.is_empty() => format!("{place} has no address"),
        Some(_) => return None,
        None if is_address => return None,
        None => format!("the host has no interface {place}"),
    };
    let there: Vec<String> = facts
        .interfaces
        .iter()
        .filter(|interface| !interface.addresses.is_empty())
        .map(|interface| {
            let addresses: Vec<String> = interface
                .addresses
                .iter()
                .map(ToString::to_string)
                .collect();
            format!("{} ({})", interface.name, addresses.join(", "))
        })
        .collect();
    Some(failure(
        "engine option cluster-advertise",
        finding,
        format!(
            "give INTERFACE:{} with one of {}",
            engine.port,
            there.join(", ")
        ),
    ))
}

fn labels(engine: &EngineSettings) -> Vec<CheckFailure> {
    engine
        .labels
        .iter()
        .filter(|label| label.split_once('=').is_none_or(|(key, _)| key.is_empty()))
        .map(|label| {
            failure(
                "engine label",
                format!("{label:?} is not key=value"),
                "give it as --engine-label key=value",
            )
        })
        .collect()
}

/// Whether another of the owner's TCP hosts will ask for TLS from now on.
pub(super) fn plain_hosts<'h>(hosts: impl Iterator<Item = &'h str>, port: u16) -> Vec<String> {
    hosts
        .filter(|host| listen::port_of(host).is_some_and(|other| other != port))
        .map(|host| format!("{host}, where the engine listens too, asks for TLS as well now"))
        .collect()
}
