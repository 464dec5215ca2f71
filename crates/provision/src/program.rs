use std::time::Duration;

use rmachine_driver::{CheckFailure, Report};
use rmachine_ssh::{Privilege, Run, Ssh};

use crate::error::ProvisionError;
use crate::facts::{Facts, PackageManager};
use crate::outcome::Outcome;
use crate::plan::{STATE_DIR, Service, failure};
use crate::script::{self, Ground};

/// A package over a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(1200);
/// A program of a hundred megabytes from the host to here.
const READ_LIMIT: Duration = Duration::from_secs(300);

/// Programs, and the packages of Debian and Ubuntu that they are in.
const PROGRAMS: [(&str, &str); 2] = [("etcd", "etcd-server"), ("consul", "consul")];

/// A program that the distribution of a host has.
#[derive(Clone, Debug)]
pub struct ProgramPackage {
    /// The file in `/usr/bin`.
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    /// What scripts on that host begin with is the same for all of them.
    pub(crate) service: Service,
}

impl ProgramPackage {
    /// The package with a program: `etcd` or `consul`.
    ///
    /// # Errors
    /// When it is not known which package of the host's distribution that is.
    pub fn of(program: &str, facts: &Facts) -> Result<Self, CheckFailure> {
        let known = PROGRAMS.iter().find(|(name, _)| *name == program);
        match known {
            Some((program, package)) if facts.package_managers.contains(&PackageManager::Apt) => {
                Ok(Self {
                    program,
                    package,
                    service: Service::of(facts),
                })
            }
            _ => Err(failure(
                "store",
                format!(
                    "{} has no package with {program} that rmachine knows",
                    facts.os.pretty_name
                ),
                "give --store-binary or --store-image in place of --store-package",
            )),
        }
    }

    /// Fetches the package on its host, without installing it, and returns an archive (tar) with
    /// the program under its name and, under their paths, the loader and the libraries that it
    /// needs there. Nothing stays on the host.
    ///
    /// # Errors
    /// [`ProvisionError::PackageInstallFailed`] when the distribution does not have it, or does not
    /// give it; [`ProvisionError::DiskFull`]; [`ProvisionError::Ssh`].
    pub async fn fetch(
        &self,
        ssh: &dyn Ssh,
        report: &dyn Report,
    ) -> Result<Vec<u8>, ProvisionError> {
        let directory = format!("{STATE_DIR}/program");
        let step = format!("fetching {} from the distribution", self.package);
        report.step(&step);
        let ground = Ground::default();
        let (program, package) = (self.program, self.package);
        let script = script::program(program, package, &directory, &self.service, &ground)?;
        let output = ssh
            .run(&Run {
                step: &step,
                script: &script,
                privilege: Privilege::Root,
                limit: FETCH_LIMIT,
            })
            .await?;
        Outcome::read(&output.stdout).result(&output)?;
        let step = format!("reading {} from the host", self.program);
        report.step(&step);
        let output = ssh
            .run(&Run {
                step: &step,
                script: &format!("cat {directory}/program.tar && rm -rf {directory}"),
                privilege: Privilege::Root,
                limit: READ_LIMIT,
            })
            .await?;
        match output.success() {
            true => Ok(output.stdout),
            false => Err(ProvisionError::CutOff {
                step,
                status: output.status,
                stderr: output.error_text(),
            }),
        }
    }
}
