//! What a script said about how it went.

use rmachine_ssh::Output;

use crate::error::ProvisionError;

/// How many lines of a log an error carries.
const LOG_LINES: usize = 12;

/// The lines that belong to rmachine, read.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub step: String,
    log: Vec<String>,
    failure: Option<(String, String)>,
    restored: bool,
    done: Option<String>,
}

impl Outcome {
    pub(crate) fn read(stdout: &[u8]) -> Self {
        let mut outcome = Self::default();
        for line in String::from_utf8_lossy(stdout).lines() {
            let Some(line) = line.strip_prefix('@') else {
                continue;
            };
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "step" => value.clone_into(&mut outcome.step),
                "log" => outcome.log.push(value.to_owned()),
                "restored" => outcome.restored = value == "yes",
                "done" => outcome.done = Some(value.to_owned()),
                "fail" => {
                    let (kind, argument) = value.split_once(' ').unwrap_or((value, ""));
                    outcome.failure = Some((kind.to_owned(), argument.to_owned()));
                }
                _ => {}
            }
        }
        outcome
    }

    /// Whether the script found something to do, or why it failed.
    pub(crate) fn result(self, output: &Output) -> Result<bool, ProvisionError> {
        let Some((kind, argument)) = self.failure else {
            return match self.done {
                Some(word) => Ok(word != "nothing"),
                None => Err(ProvisionError::CutOff {
                    step: self.step,
                    status: output.status,
                    stderr: output.error_text(),
                }),
            };
        };
        Err(match kind.as_str() {
            "full" => ProvisionError::DiskFull { path: argument },
            "busy" => ProvisionError::Busy { lock: argument },
            "invalid" => ProvisionError::ConfigurationInvalid {
                log: telling(self.log),
            },
            "engine" => ProvisionError::EngineDidNotStart {
                unit: argument,
                log: telling(self.log),
                restored: self.restored,
            },
            "package" => {
                let (status, command) = argument.split_once(' ').unwrap_or(("1", &argument));
                ProvisionError::PackageInstallFailed {
                    command: command.to_owned(),
                    status: status.parse().unwrap_or(1),
                    output: last(self.log),
                }
            }
            _ => ProvisionError::CannotWrite {
                path: argument,
                reason: last(self.log),
            },
        })
    }
}

/// The lines of a service's log that say why it failed: dockerd's own errors where there are any.
fn telling(log: Vec<String>) -> Vec<String> {
    let says_why = |line: &String| {
        let chatter = ["level=info", "level=debug", "level=warning"];
        let grave = [
            "level=error",
            "level=fatal",
            "failed to start daemon",
            "unable to configure",
        ];
        let plain = [
            "unknown flag",
            "unknown shorthand",
            "invalid argument",
            "Status: ",
            "rror: ",
            "bad unit file",
            "No such file",
        ];
        !chatter.iter().any(|word| line.contains(word))
            && grave.iter().chain(&plain).any(|word| line.contains(word))
    };
    let mut why: Vec<String> = log.iter().filter(|line| says_why(line)).cloned().collect();
    why.dedup();
    if why.is_empty() { last(log) } else { last(why) }
}

fn last(mut log: Vec<String>) -> Vec<String> {
    log.retain(|line| !line.trim().is_empty());
    log.split_off(log.len().saturating_sub(LOG_LINES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(stdout: &str) -> Result<bool, ProvisionError> {
        let output = Output {
            status: 1,
            stdout: stdout.as_bytes().to_vec(),
            stderr: b"sh: killed\n".to_vec(),
        };
        Outcome::read(&output.stdout).result(&output)
    }

    #[test]
    fn a_script_that_says_nothing_was_cut_off() {
        match result("@step write the new files\n").unwrap_err() {
            ProvisionError::CutOff { step, stderr, .. } => {
                assert_eq!(
                    (step.as_str(), stderr.as_str()),
                    ("write the new files", "sh: killed")
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(result("noise\n@done\n").unwrap());
        assert!(!result("@done nothing\n").unwrap());
    }

    #[test]
    fn the_engines_own_words_are_picked_from_its_log() {
        let said = "@log Starting docker.service - Docker Application Container Engine...\n\
            @log time=\"x\" level=info msg=\"Starting up\"\n\
            @log failed to start daemon: error initializing graphdriver: driver not supported: bogus\n\
            @log docker.service: Main process exited, code=exited, status=1/FAILURE\n\
            @restored yes\n@fail engine docker.service\n";
        match result(said).unwrap_err() {
            ProvisionError::EngineDidNotStart {
                unit,
                log,
                restored,
            } => {
                assert_eq!(unit, "docker.service");
                assert!(restored);
                assert_eq!(log.len(), 1, "{log:?}");
                assert!(log[0].starts_with("failed to start daemon"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_failure_is_typed() {
        assert!(matches!(
            result("@fail full /etc/docker/daemon.json\n").unwrap_err(),
            ProvisionError::DiskFull { path } if path == "/etc/docker/daemon.json"
        ));
        assert!(matches!(
            result("@log E: Unable to locate package x\n@fail package 100 apt-get install x\n").unwrap_err(),
            ProvisionError::PackageInstallFailed { command, status: 100, output }
                if command == "apt-get install x" && output.len() == 1
        ));
        assert!(matches!(
            result("@fail busy /run/rmachine.lock\n").unwrap_err(),
            ProvisionError::Busy { .. }
        ));
    }
}
