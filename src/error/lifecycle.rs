use rmachine_companion::CompanionError;
use rmachine_driver::DriverError;
use rmachine_lifecycle::{LifecycleError, StoreRefusal, SwarmModeRefusal, SwarmRefusal};
use rmachine_provision::ProvisionError;
use rmachine_ssh::SshError;

use super::told::{described, quoted};
use super::{CommandError, ErrorKind};

impl CommandError {
    /// What went wrong in the life of this machine.
    pub fn of_lifecycle(error: LifecycleError, name: &str) -> Self {
        let told = described(ErrorKind::Failed, &error);
        match error {
            LifecycleError::Check(failures) => DriverError::Check(failures).into(),
            LifecycleError::Driver(error) => error.into(),
            LifecycleError::EngineSilent { url, source, .. } => Self::of_engine(*source, name)
                .context(format!("the engine does not answer at {url}")),
            LifecycleError::HalfMade { .. } => told
                .hint("rmachine create … (the command that began it)")
                .hint(format!("rmachine rm {name}")),
            LifecycleError::KeyType(_)
            | LifecycleError::Setting(_)
            | LifecycleError::SwarmHost(_) => Self {
                kind: ErrorKind::Usage,
                ..told
            },
            LifecycleError::Swarm(refusal) => of_swarm(told, &refusal),
            LifecycleError::StoreServer(refusal) => of_store(told, &refusal),
            LifecycleError::StoreSilent { log, .. } => {
                let mut told = told
                    .hint(format!(
                        "docker $(rmachine config {name}) logs rmachine-store"
                    ))
                    .hint(format!("rmachine provision {name}"));
                told.causes.extend(log);
                told
            }
            LifecycleError::SwarmMode(refusal) => of_swarm_mode(told, &refusal),
            LifecycleError::Engine(error) => Self::of_engine(error, name),
            LifecycleError::SwarmAddress { interfaces, .. } => {
                let interfaces: Vec<_> = interfaces.iter().map(|name| quoted(name)).collect();
                told.hint(format!("--swarm-addr {}", interfaces.join("|")))
            }
            LifecycleError::Companion(error) => of_companion(error, name),
            LifecycleError::ManagerSilent {
                url, source, log, ..
            } => {
                let mut told = Self::of_engine(*source, name)
                    .context(format!("the manager does not answer at {url}"));
                told.causes.extend(log);
                told.hints = vec![format!(
                    "docker $(rmachine config {name}) logs swarm-agent-master"
                )];
                told
            }
            LifecycleError::MasterLost { master, .. } => told
                .hint("rmachine ls")
                .hint(format!("rmachine provision {master}")),
            LifecycleError::MasterAwaited { .. } => Self {
                kind: ErrorKind::TimedOut,
                ..told
            }
            .hint("rmachine ls"),
            LifecycleError::NotAMember { master, log, .. } => {
                let mut told =
                    told.hint(format!("docker $(rmachine config --swarm {master}) info"));
                told.causes.extend(log);
                told.hint(format!("rmachine provision {name}"))
            }
            LifecycleError::Unreached { to, log, .. } => {
                let mut told = told.hint(format!("rmachine ssh {to} sudo iptables -L"));
                told.kind = ErrorKind::Connection;
                told.causes.extend(log);
                told
            }
            LifecycleError::NotAdopted { .. } => told.hint(format!("rmachine rm {name}")),
            LifecycleError::OtherDriver { driver, .. } => {
                told.hint(format!("rmachine create -d {} … {name}", quoted(&driver)))
            }
            LifecycleError::OtherOptions { driver, begun, .. } => {
                let words = begun.words();
                let options: String = words.iter().map(|w| format!(" {}", quoted(w))).collect();
                told.hint(format!(
                    "rmachine create -d {driver}{options} … {name} (goes on as it was begun)"
                ))
                .hint(format!(
                    "rmachine rm {name} (removes it; it can be made with other options then)"
                ))
            }
            LifecycleError::Provision(error) => Self::of_provision(error, name),
            LifecycleError::Ssh(error) => Self::of_ssh(error, name),
            LifecycleError::Store(error) => error.into(),
            LifecycleError::UnknownDriver { known, .. } => {
                told.hint(format!("rmachine create -d {} …", known.join("|")))
            }
            LifecycleError::Untouched(error) => Self::untouched(*error, name),
            LifecycleError::Certificate { .. }
            | LifecycleError::HalfPair { .. }
            | LifecycleError::NotProvisioned { .. }
            | LifecycleError::NotPublished { .. }
            | LifecycleError::RollbackFailed { .. } => told,
        }
    }

    /// The host could not be looked at, so the machine that the hints would name does not exist.
    fn untouched(error: LifecycleError, name: &str) -> Self {
        let hint = match &error {
            LifecycleError::Ssh(SshError::Unreachable { host, .. }) => {
                Some(format!("ssh {}", quoted(host)))
            }
            _ => None,
        };
        let mut told = Self::of_lifecycle(error, name);
        told.kind = ErrorKind::CheckFailed;
        if let Some(hint) = hint {
            told.hints = vec![hint];
        }
        told.context("the pre-create check failed; nothing was touched")
    }

    /// What kept a host from becoming what was wanted.
    fn of_provision(error: ProvisionError, name: &str) -> Self {
        let mut told = described(ErrorKind::Failed, &error);
        let provision = format!("rmachine provision {name}");
        match error {
            ProvisionError::Busy { .. } => {
                told.kind = ErrorKind::Busy;
                told
            }
            ProvisionError::Unanswered { .. } => {
                told.kind = ErrorKind::TimedOut;
                told.hint("the host is busy: run the command again when it has less to do")
            }
            ProvisionError::ConfigurationInvalid { log } => {
                told.causes.extend(log);
                told.hint("mend the --engine-* option that dockerd names")
            }
            ProvisionError::EngineDidNotStart { log, restored, .. } => {
                told.causes.extend(log);
                told.message.push_str(match restored {
                    true => "; the configuration from before is in force again",
                    false => "; nor did it with the configuration from before",
                });
                told.hint(format!(
                    "rmachine ssh {name} sudo journalctl -u docker -n 50"
                ))
            }
            ProvisionError::PackageInstallFailed { output, .. } => {
                told.causes.extend(output);
                told.hint("rmachine create --engine-install distro|script|none …")
            }
            ProvisionError::CannotWrite { reason, .. } => {
                told.causes.extend(reason);
                told
            }
            ProvisionError::DiskFull { .. } => told.hint(format!("rmachine ssh {name} df -h")),
            ProvisionError::NoEngineAfterInstall => {
                told.hint("rmachine create --engine-install distro|script …")
            }
            ProvisionError::CutOff { stderr, .. } => {
                told.causes.extend((!stderr.is_empty()).then_some(stderr));
                told.hint(provision)
            }
            ProvisionError::FactsUnreadable { stderr, .. } => {
                told.causes.extend((!stderr.is_empty()).then_some(stderr));
                told
            }
            ProvisionError::Ssh(error) => Self::of_ssh(error, name),
            ProvisionError::Refused(refusals) => DriverError::Check(refusals.0).into(),
            ProvisionError::Template { .. } => told,
        }
    }
}

/// Why a machine cannot be a part of the cluster, and what can be done.
fn of_swarm(told: CommandError, refusal: &SwarmRefusal) -> CommandError {
    let told = CommandError {
        kind: ErrorKind::CheckFailed,
        ..told
    };
    const STORE: &str = "rmachine create --swarm --swarm-master --swarm-opt replication --swarm-discovery etcd://… …";
    match refusal {
        SwarmRefusal::SecondMaster { .. } => told
            .hint(format!("{STORE} (for each of the masters)"))
            .hint("rmachine create --store etcd … (makes a store: etcd://machine:NAME)")
            .hint("--swarm-discovery embedded:// makes a cluster of its own"),
        SwarmRefusal::NoMaster => told
            .hint("rmachine create --swarm --swarm-master … (makes one)")
            .hint("--swarm-discovery URL"),
        SwarmRefusal::SeveralMasters { masters } => {
            let names: Vec<_> = masters.iter().map(|name| name.as_str()).collect();
            told.hint(format!("--swarm-join {}", names.join("|")))
        }
        SwarmRefusal::NotAMaster { .. } => told.hint("rmachine ls"),
        SwarmRefusal::MasterNotReady { name } => told.hint(format!("rmachine provision {name}")),
        SwarmRefusal::NoElection { .. } | SwarmRefusal::ElsewhereEmbedded { .. } => {
            told.hint(STORE)
        }
    }
}

/// Why a store cannot be had.
fn of_store(told: CommandError, refusal: &StoreRefusal) -> CommandError {
    let told = CommandError {
        kind: ErrorKind::CheckFailed,
        ..told
    };
    match refusal {
        StoreRefusal::NoStore { .. } => {
            told.hint("rmachine create --store etcd|consul … (makes one)")
        }
        StoreRefusal::OtherKind { name, kind, .. } => {
            told.hint(format!("--store {kind}, or {kind}://machine:{name}"))
        }
        StoreRefusal::NotReady { name } => told.hint(format!("rmachine provision {name}")),
        StoreRefusal::NoProgram { .. } => {
            told.hint("--store-binary FILE, --store-image IMAGE or --store-package")
        }
        StoreRefusal::NoAddress { .. } => told.hint("--swarm-addr ADDRESS|INTERFACE"),
        StoreRefusal::NoName(_) | StoreRefusal::NoSuchStore(_) => CommandError {
            kind: ErrorKind::Usage,
            ..told
        }
        .hint("etcd://machine:NAME or consul://machine:NAME"),
    }
}

/// Why an engine cannot become a node of a swarm.
fn of_swarm_mode(told: CommandError, refusal: &SwarmModeRefusal) -> CommandError {
    let told = CommandError {
        kind: ErrorKind::CheckFailed,
        ..told
    };
    match refusal {
        SwarmModeRefusal::NoManager => {
            told.hint("rmachine create --swarm-mode --swarm-master … (begins a swarm)")
        }
        SwarmModeRefusal::SeveralManagers { managers } => {
            let names: Vec<_> = managers.iter().map(|name| name.as_str()).collect();
            told.hint(format!("--swarm-join {}", names.join("|")))
        }
        SwarmModeRefusal::NotAManager { .. } => told.hint("rmachine ls"),
        SwarmModeRefusal::ManagerNotReady { name } => {
            told.hint(format!("rmachine provision {name}"))
        }
        SwarmModeRefusal::OtherSwarm { name } | SwarmModeRefusal::Broken { name, .. } => told.hint(
            format!("docker $(rmachine config {name}) swarm leave --force"),
        ),
    }
}

/// Why the companion does not run.
fn of_companion(error: CompanionError, name: &str) -> CommandError {
    let told = described(ErrorKind::Failed, &error);
    match error {
        CompanionError::NoProgram { looked_at, .. } => {
            let mut told = told;
            let looked_at = looked_at.into_iter();
            told.causes
                .extend(looked_at.map(|(path, why)| format!("{} {why}", path.display())));
            told.hint("./install.sh builds it; RMACHINE_COMPANION=FILE names another one")
        }
        CompanionError::Engine(error) => CommandError::of_engine(error, name),
        CompanionError::Unusable { .. } | CompanionError::OtherArchitecture { .. } => {
            told.hint("--store-binary FILE or --store-image IMAGE names what the store runs")
        }
        CompanionError::Architecture(_)
        | CompanionError::Archive { .. }
        | CompanionError::ImageName(_)
        | CompanionError::Credentials { .. } => told,
    }
}
