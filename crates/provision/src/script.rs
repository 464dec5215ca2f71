//! The scripts that carry out what was planned.

use minijinja::{Value, context};

use crate::error::ProvisionError;
use crate::facts::{Init, PackageManager};
use crate::plan::{self, Plan, Service, Step};
use crate::template::render;

/// How long the service may take to restart, in seconds: containers get time to stop.
const RESTART_LIMIT: u32 = 120;
/// How long one command of a package manager may take, in seconds.
const COMMAND_LIMIT: u32 = 900;
/// How long another program may hold the package manager's lock, in seconds.
const LOCK_LIMIT: u32 = 300;

/// The line that ends a file in a script, unless the file has such a line.
const END_OF_FILE: &str = "RMACHINE_END";

/// Where the scripts keep what they must find again.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub state: String,
    pub lock: String,
}

impl Default for Ground {
    fn default() -> Self {
        Self {
            state: plan::STATE_DIR.to_owned(),
            lock: "/run/rmachine.lock".to_owned(),
        }
    }
}

/// The script that applies a plan of the stage `Configure`.
pub(crate) fn apply(plan: &Plan, ground: &Ground) -> Result<String, ProvisionError> {
    let mut paths = Vec::new();
    let mut files: Vec<Value> = Vec::new();
    let mut removed = Vec::new();
    let mut hostname = None;
    let mut validate = None;
    let (mut unmask, mut reload, mut enable, mut restart) = (false, false, false, false);
    for step in &plan.steps {
        match step {
            Step::Write(file) => {
                paths.push(file.path.clone());
                files.push(context! {
                    path => file.path.clone(),
                    mode => format!("{:o}", file.mode),
                    content => file.content.clone(),
                    end => end_of(&file.content),
                });
            }
            Step::Remove { path } => {
                paths.push(path.clone());
                removed.push(path.clone());
            }
            Step::SetHostname { name } => hostname = Some(name.clone()),
            Step::Validate { program, arguments } => {
                validate = Some(context! {
                    program => program.clone(), arguments => arguments.clone(),
                });
            }
            Step::Unmask => unmask = true,
            Step::ReloadUnits => reload = true,
            Step::Enable { .. } => enable = true,
            Step::Restart { .. } => restart = true,
            Step::TidyUp | Step::InstallPackages { .. } | Step::RunInstallScript { .. } => {}
        }
    }
    render(
        "apply.sh",
        context! {
            paths, files, removed, hostname, validate, unmask, reload, enable, restart,
            port => format!("{:04X}", plan.port),
            daemon_json => plan::DAEMON_JSON,
            ..common(&plan.service, ground)
        },
    )
}

/// The script that applies a plan of the stage `Install`.
pub(crate) fn install(plan: &Plan, ground: &Ground) -> Result<String, ProvisionError> {
    let mut manager = None;
    let mut packages = None;
    let mut url = String::new();
    let mut fetches_with_package = false;
    for step in &plan.steps {
        match step {
            Step::InstallPackages {
                manager: with,
                needed,
                welcome,
                before,
            } => {
                manager = Some(*with);
                packages = Some(context! {
                    needed => needed.clone(),
                    welcome => welcome.clone(),
                    before => before.clone(),
                });
            }
            Step::RunInstallScript {
                url: from,
                fetcher_from,
            } => {
                url.clone_from(from);
                manager = *fetcher_from;
                fetches_with_package = fetcher_from.is_some();
            }
            _ => {}
        }
    }
    render(
        "install.sh",
        context! {
            packages, url, fetches_with_package,
            manager => manager.as_ref().map(PackageManager::to_string).unwrap_or_default(),
            command_limit => COMMAND_LIMIT,
            lock_limit => LOCK_LIMIT,
            ..common(&plan.service, ground)
        },
    )
}

/// The script that puts back what was there before.
pub(crate) fn restore(service: &Service, ground: &Ground) -> Result<String, ProvisionError> {
    render("restore.sh", common(service, ground))
}

/// The script that packs a program of a package, with what it needs, into `program.tar` in a
/// directory of its own.
pub(crate) fn program(
    program: &str,
    package: &str,
    directory: &str,
    service: &Service,
    ground: &Ground,
) -> Result<String, ProvisionError> {
    render(
        "program.sh",
        context! {
            program, package, directory,
            command_limit => COMMAND_LIMIT,
            lock_limit => LOCK_LIMIT,
            ..common(service, ground)
        },
    )
}

fn common(service: &Service, ground: &Ground) -> Value {
    let init = match service.init {
        Init::Systemd => "systemd",
        Init::Openrc => "openrc",
        Init::Sysvinit | Init::None => "sysvinit",
    };
    context! {
        init,
        service => service.name.clone(),
        state => ground.state.clone(),
        lock => ground.lock.clone(),
        restart_limit => RESTART_LIMIT,
    }
}

fn end_of(content: &str) -> String {
    let mut end = END_OF_FILE.to_owned();
    while content.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::plan::{FileWrite, Stage};

    fn plan_of(init: Init, stage: Stage, steps: Vec<Step>) -> Plan {
        Plan {
            stage,
            steps,
            warnings: Vec::new(),
            service: Service {
                init,
                name: "docker.service".to_owned(),
            },
            port: 2376,
        }
    }

    /// Lets the shell read a script without running it.
    fn assert_readable(script: &str) {
        let mut shell = Command::new("sh")
            .args(["-n", "-s"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let wrapped = format!("main() {{\n{script}\n}}\nmain </dev/null\n");
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(wrapped.as_bytes())
            .unwrap();
        let output = shell.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{script}");
    }

    #[test]
    fn every_script_is_one_that_a_shell_reads() {
        assert_readable(crate::facts::facts_script());
        for init in [Init::Systemd, Init::Openrc, Init::Sysvinit] {
            let everything = plan_of(
                init,
                Stage::Configure,
                vec![
                    Step::TidyUp,
                    Step::Unmask,
                    Step::Write(FileWrite {
                        path: "/etc/it's/a \"file\".pem".to_owned(),
                        mode: 0o600,
                        content: "$HOME `id` '\nRMACHINE_END\n".to_owned(),
                        secret: true,
                    }),
                    Step::Remove {
                        path: "/etc/x".to_owned(),
                    },
                    Step::SetHostname {
                        name: "n1".to_owned(),
                    },
                    Step::Validate {
                        program: "/usr/bin/dockerd".to_owned(),
                        arguments: vec!["--x=a b".to_owned()],
                    },
                    Step::ReloadUnits,
                    Step::Enable {
                        service: "docker.service".to_owned(),
                    },
                    Step::Restart {
                        service: "docker.service".to_owned(),
                        reasons: Vec::new(),
                    },
                ],
            );
            let script = apply(&everything, &Ground::default()).unwrap();
            assert!(script.contains("<<'RMACHINE_END_'\n"), "{script}");
            assert_readable(&script);
            assert_readable(&restore(&everything.service, &Ground::default()).unwrap());
            let service = &everything.service;
            let script = program("etcd", "etcd-server", "/var/x", service, &Ground::default());
            assert_readable(&script.unwrap());
            for step in [
                Step::InstallPackages {
                    manager: PackageManager::Apt,
                    needed: vec!["docker.io".to_owned()],
                    welcome: vec!["docker-cli".to_owned()],
                    before: Some("true".to_owned()),
                },
                Step::RunInstallScript {
                    url: "https://example.org/?a=b&c".to_owned(),
                    fetcher_from: Some(PackageManager::Apk),
                },
            ] {
                let plan = plan_of(init, Stage::Install, vec![step]);
                assert_readable(&install(&plan, &Ground::default()).unwrap());
            }
        }
    }
}
