use rmachine_driver::DriverError;
use rmachine_lifecycle::LifecycleError;
use rmachine_provision::ProvisionError;
use rmachine_ssh::SshError;

use super::told::described;
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
            LifecycleError::KeyType(_) | LifecycleError::Setting(_) => Self {
                kind: ErrorKind::Usage,
                ..told
            },
            LifecycleError::NotAdopted { .. } => told.hint(format!("rmachine rm {name}")),
            LifecycleError::OtherDriver { driver, .. } => {
                told.hint(format!("rmachine create -d {driver} … {name}"))
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
            | LifecycleError::RollbackFailed { .. } => told,
        }
    }

    /// The host could not be looked at, so the machine that the hints would name does not exist.
    fn untouched(error: LifecycleError, name: &str) -> Self {
        let hint = match &error {
            LifecycleError::Ssh(SshError::Unreachable { host, .. }) => Some(format!("ssh {host}")),
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
