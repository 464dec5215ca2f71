//! From the configuration that an engine is to have to the steps that give it to it.

use sha2::{Digest, Sha256};

use crate::facts::{EngineFacts, Facts, Init, Masked, ServiceFacts, Unfinished};
use crate::plan::configured::Configured;
use crate::plan::daemon_json::pretty;
use crate::plan::{APPLIED_NOTE, DAEMON_JSON, FileWrite, Step, hostname};
use crate::tls_paths;
use crate::wanted::{TlsMaterial, Wanted};

/// `dockerd --validate` exists from this version on.
const VALIDATES: (u32, u32) = (23, 0);

/// Compares with what a host has.
pub(super) struct Steps<'a> {
    pub facts: &'a Facts,
    pub engine: &'a EngineFacts,
    pub service: &'a ServiceFacts,
}

impl Steps<'_> {
    /// What must be done; nothing when the host is what it should be.
    pub(super) fn all(
        &self,
        configured: &Configured,
        command_files: Vec<Step>,
        wanted: &Wanted,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut reasons = Vec::new();
        if self.facts.unfinished.contains(&Unfinished::Changing) {
            reasons.push("an earlier run was cut off".to_owned());
        } else if self.facts.unfinished.contains(&Unfinished::Staging) {
            steps.push(Step::TidyUp);
        }
        let unmask = self.service.masked == Masked::Runtime;
        if unmask {
            steps.push(Step::Unmask);
        }
        let json = self.json(configured);
        if json
            .iter()
            .any(|step| matches!(step, Step::Write(file) if file.path == DAEMON_JSON))
        {
            reasons.push("daemon.json changed".to_owned());
        }
        steps.extend(json);
        let tls = self.tls(wanted);
        if !tls.is_empty() {
            reasons.push("the certificates changed".to_owned());
        }
        steps.extend(tls);
        let commands: Vec<Step> = command_files
            .into_iter()
            .filter(|step| self.changes(step))
            .collect();
        let commanded = !commands.is_empty();
        if commanded {
            reasons.push("the command line changed".to_owned());
        }
        steps.extend(commands);
        if let Some(name) = &wanted.hostname {
            steps.extend(hostname::steps(self.facts, name));
        }
        if !self.service.active {
            reasons.push("it is not running".to_owned());
        }
        self.finish(steps, reasons, configured, commanded || unmask)
    }

    /// Adds what puts changed files in force.
    fn finish(
        &self,
        mut steps: Vec<Step>,
        reasons: Vec<String>,
        configured: &Configured,
        units_changed: bool,
    ) -> Vec<Step> {
        let validates = self
            .engine
            .version
            .as_ref()
            .is_some_and(|version| version.at_least(VALIDATES.0, VALIDATES.1));
        if validates
            && steps
                .iter()
                .any(|step| matches!(step, Step::Write(file) if file.path == DAEMON_JSON))
        {
            steps.push(Step::Validate {
                program: self.engine.path.clone(),
                arguments: configured.trial(),
            });
        }
        let cut_off = self.facts.unfinished.contains(&Unfinished::Changing);
        let systemd = self.facts.init == Init::Systemd;
        if systemd && (units_changed || self.service.stale || cut_off) {
            steps.push(Step::ReloadUnits);
        }
        if !self.service.enabled {
            steps.push(Step::Enable {
                service: self.service.name.clone(),
            });
        }
        if !reasons.is_empty() {
            steps.push(Step::Restart {
                service: self.service.name.clone(),
                reasons,
            });
        }
        steps
    }

    fn json(&self, configured: &Configured) -> Vec<Step> {
        let note = configured.json.note();
        let mut steps = Vec::new();
        if !note.is_empty() {
            steps.push(Step::Write(FileWrite {
                path: APPLIED_NOTE.to_owned(),
                mode: 0o600,
                content: pretty(note),
                secret: true,
            }));
        } else if self.facts.files.contains_key(APPLIED_NOTE) {
            steps.push(Step::Remove {
                path: APPLIED_NOTE.to_owned(),
            });
        }
        // Where all of ours is on the command line, there need not be a file.
        if configured.json.is_empty() && !self.facts.files.contains_key(DAEMON_JSON) {
            return steps;
        }
        steps.push(Step::Write(FileWrite {
            path: DAEMON_JSON.to_owned(),
            mode: self
                .facts
                .files
                .get(DAEMON_JSON)
                .map_or(0o644, |file| file.mode),
            content: configured.json.text(self.facts.text(DAEMON_JSON)),
            secret: false,
        }));
        steps.retain(|step| self.changes(step));
        steps
    }

    fn tls(&self, wanted: &Wanted) -> Vec<Step> {
        let pem = |path: &str, mode: u32, text: &str, secret: bool| FileWrite {
            path: path.to_owned(),
            mode,
            content: format!("{}\n", text.trim_end()),
            secret,
        };
        let files = |paths: [&str; 3], tls: &TlsMaterial| {
            let [ca, certificate, key] = paths;
            [
                pem(ca, 0o644, &tls.ca, false),
                pem(certificate, 0o644, &tls.certificate, false),
                pem(key, 0o600, tls.key.expose(), true),
            ]
        };
        let own = [tls_paths::CA, tls_paths::CERTIFICATE, tls_paths::KEY];
        let store = [
            tls_paths::STORE_CA,
            tls_paths::STORE_CERTIFICATE,
            tls_paths::STORE_KEY,
        ];
        let of_store = wanted.engine.store_tls.iter();
        let of_store = of_store.flat_map(|tls| files(store, tls));
        files(own, &wanted.tls)
            .into_iter()
            .chain(of_store)
            .filter(|file| {
                self.facts.tls.get(&file.path).is_none_or(|there| {
                    there.mode != file.mode || there.sha256 != sha256(&file.content)
                })
            })
            .map(Step::Write)
            .collect()
    }

    fn changes(&self, step: &Step) -> bool {
        match step {
            Step::Write(file) => self
                .facts
                .files
                .get(&file.path)
                .is_none_or(|there| there.content != file.content || there.mode != file.mode),
            _ => true,
        }
    }
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
