//! From the configuration that an engine is to have to the steps that give it to it.

use sha2::{Digest, Sha256};

use crate::facts::{EngineFacts, Facts, Init, Masked, ServiceFacts, Unfinished};
use crate::plan::configured::{Configured, mode};
use crate::plan::daemon_json::pretty;
use crate::plan::{APPLIED_NOTE, DAEMON_JSON, FileWrite, Step, hostname};
use crate::tls_paths;
use crate::wanted::{EngineOption, TlsMaterial, Wanted};

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
        let json = self.json(configured, wanted);
        if json.iter().any(|step| {
            matches!(step, Step::Write(file) if file.path == DAEMON_JSON)
                && self.changes_content(step)
        }) {
            reasons.push("daemon.json changed".to_owned());
        }
        steps.extend(json);
        let tls = self.tls(wanted);
        if tls.needs_restart {
            reasons.push("the certificates changed".to_owned());
        }
        steps.extend(tls.writes.into_iter().map(Step::Write));
        let commands: Vec<Step> = command_files
            .into_iter()
            .filter(|step| self.changes(step))
            .collect();
        let commanded = commands.iter().any(|step| self.changes_content(step));
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

    fn json(&self, configured: &Configured, wanted: &Wanted) -> Vec<Step> {
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
        let secret = holds_secret(&wanted.engine.options);
        steps.push(Step::Write(FileWrite {
            path: DAEMON_JSON.to_owned(),
            mode: mode(self.facts, DAEMON_JSON, secret),
            content: configured.json.text(self.facts.text(DAEMON_JSON)),
            secret,
        }));
        steps.retain(|step| self.changes(step));
        steps
    }

    fn tls(&self, wanted: &Wanted) -> TlsChange {
        let own = [tls_paths::CA, tls_paths::CERTIFICATE, tls_paths::KEY];
        let store = [
            tls_paths::STORE_CA,
            tls_paths::STORE_CERTIFICATE,
            tls_paths::STORE_KEY,
        ];
        let mut change = TlsChange::default();
        let of_store = wanted.engine.store_tls.iter().map(|tls| (store, tls));
        for (paths, tls) in std::iter::once((own, &wanted.tls)).chain(of_store) {
            self.add_tls(paths, tls, &mut change);
        }
        change
    }

    fn add_tls(&self, paths: [&str; 3], tls: &TlsMaterial, change: &mut TlsChange) {
        let [ca, certificate, key] = paths;
        let files = [
            pem(ca, 0o644, &tls.ca, false),
            pem(certificate, 0o644, &tls.certificate, false),
            pem(key, 0o600, tls.key.expose(), true),
        ];
        let sha256_of = |path: &str| self.facts.tls.get(path).map(|file| file.sha256.as_str());
        let goes_on = tls.replaces.as_deref().is_some_and(|previous| {
            sha256_of(certificate) == Some(&sha256(&pem_text(previous)))
                && sha256_of(ca) == Some(&sha256(&pem_text(&tls.ca)))
        });
        let writes = files.into_iter().filter(|file| {
            self.facts.tls.get(&file.path).is_none_or(|present| {
                present.mode != file.mode || present.sha256 != sha256(&file.content)
            })
        });
        let before = change.writes.len();
        change.writes.extend(writes);
        change.needs_restart |= change.writes.len() > before && !goes_on;
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

    /// Whether a step changes more than a file's mode, so that the engine has to read it again.
    fn changes_content(&self, step: &Step) -> bool {
        match step {
            Step::Write(file) => self.facts.text(&file.path) != Some(file.content.as_str()),
            _ => true,
        }
    }
}

/// Whether the value of an engine option can be a secret: a URL with a password, or what its name
/// calls a token, a password, a secret or a credential.
fn holds_secret(options: &[EngineOption]) -> bool {
    options.iter().any(|option| {
        let text = option.to_string();
        let (_, value) = text.split_once('=').unwrap_or_default();
        let has_user = value.split_once("://").is_some_and(|(_, rest)| {
            let authority = rest.split('/').next().unwrap_or_default();
            authority.contains('@')
        });
        let name = text
            .rsplit_once('=')
            .map_or(text.as_str(), |(name, _)| name);
        let name = name.to_ascii_lowercase();
        let is_named = ["token", "password", "secret", "credential"]
            .iter()
            .any(|word| name.contains(word));
        has_user || is_named
    })
}

/// Certificates and keys to write.
#[derive(Default)]
struct TlsChange {
    writes: Vec<FileWrite>,
    /// Whether the engine cannot go on with those that it has loaded.
    needs_restart: bool,
}

fn pem(path: &str, mode: u32, text: &str, secret: bool) -> FileWrite {
    FileWrite {
        path: path.to_owned(),
        mode,
        content: pem_text(text),
        secret,
    }
}

fn pem_text(text: &str) -> String {
    format!("{}\n", text.trim_end())
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_with_passwords_or_tokens_hold_secrets() {
        for (option, expected) in [
            ("http-proxy=http://u:p@proxy:3128", true),
            ("log-opt=splunk-token=abc", true),
            ("log-opt=Password=abc", true),
            ("log-opt=splunk-url=https://logs.example/a@b", false),
            ("cluster-store=etcd://10.0.0.1:2379", false),
            ("live-restore", false),
        ] {
            let option = option.parse().unwrap();
            assert_eq!(holds_secret(&[option]), expected, "{expected}");
        }
    }
}
