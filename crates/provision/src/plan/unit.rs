//! What systemd makes of a unit file and its drop-ins, as far as dockerd's command line goes.

use std::collections::BTreeMap;

use crate::facts::{Facts, ServiceFacts};

/// The directory of the drop-ins that an administrator, or rmachine, writes.
const DROP_IN_DIR: &str = "/etc/systemd/system/docker.service.d";

/// The name that docker-machine uses: where its file is, ours takes its place.
const USUAL: &str = "10-machine.conf";

/// The name for hosts where another drop-in sets the command line behind the usual name: the last
/// `ExecStart=` counts.
const LAST: &str = "zz-machine.conf";

/// What the owner's files say about dockerd's command line.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// The last `ExecStart=`.
    pub command: Option<String>,
    /// The variables that it can use.
    pub environment: BTreeMap<String, String>,
    /// The last drop-in of the owner that sets the command line.
    commanding: Option<String>,
}

/// Reads the unit file and the owner's drop-ins in the order in which they apply.
pub(super) fn read(facts: &Facts, service: &ServiceFacts) -> Unit {
    let mut unit = Unit::default();
    let owners = service.drop_ins.iter().filter(|path| !is_ours(path));
    for path in std::iter::once(&service.fragment).chain(owners) {
        let Some(file) = facts.files.get(path) else {
            continue;
        };
        for (key, value) in settings(&file.content) {
            match key.as_str() {
                "ExecStart" => {
                    unit.command = (!value.is_empty()).then_some(value);
                    if *path != service.fragment {
                        unit.commanding = Some(path.clone());
                    }
                }
                "Environment" if value.is_empty() => unit.environment.clear(),
                "Environment" => {
                    for word in shlex::split(&value).unwrap_or_default() {
                        if let Some((name, value)) = word.split_once('=') {
                            assign(&mut unit.environment, name, value.to_owned());
                        }
                    }
                }
                "EnvironmentFile" => {
                    if let Some(file) = facts.files.get(value.trim_start_matches('-')) {
                        read_environment_file(&mut unit.environment, &file.content);
                    }
                }
                _ => {}
            }
        }
    }
    unit
}

impl Unit {
    /// Where our drop-in goes so that its command line is the one that counts, or the drop-in
    /// that would still win.
    pub(super) fn drop_in(&self) -> Result<String, &str> {
        let Some(path) = &self.commanding else {
            return Ok(in_dir(USUAL));
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        match name {
            name if name < USUAL => Ok(in_dir(USUAL)),
            name if name < LAST => Ok(in_dir(LAST)),
            _ => Err(path),
        }
    }
}

/// The paths at which rmachine writes its drop-in.
pub(super) fn our_paths() -> [String; 2] {
    [in_dir(USUAL), in_dir(LAST)]
}

fn in_dir(name: &str) -> String {
    format!("{DROP_IN_DIR}/{name}")
}

fn is_ours(path: &str) -> bool {
    our_paths().iter().any(|ours| ours == path)
}

/// The settings of the `[Service]` section, continued lines joined.
fn settings(text: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut in_service = false;
    let mut joined = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) || (trimmed.is_empty() && joined.is_empty()) {
            continue;
        }
        if let Some(more) = trimmed.strip_suffix('\\') {
            joined.push_str(more);
            joined.push(' ');
            continue;
        }
        joined.push_str(trimmed);
        let whole = std::mem::take(&mut joined);
        if whole.starts_with('[') {
            in_service = whole == "[Service]";
        } else if in_service && let Some((key, value)) = whole.split_once('=') {
            settings.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    settings
}

/// Reads `NAME=value` lines, quoted as a shell would, and leaves out what is no assignment. A value
/// may go on over several lines, in quotes or behind a `\`.
pub(super) fn read_environment_file(environment: &mut BTreeMap<String, String>, text: &str) {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.starts_with(['#', ';']) {
            continue;
        }
        let Some((name, first)) = line.split_once('=') else {
            continue;
        };
        let mut value = first.to_owned();
        let mut rest = lines.clone();
        let words = loop {
            let goes_on = value.strip_suffix('\\').map(|value| format!("{value} "));
            let open = shlex::split(&value);
            match (goes_on, open) {
                (None, Some(words)) => {
                    lines = rest;
                    break words;
                }
                (goes_on, _) => match rest.next() {
                    Some(more) => value = goes_on.unwrap_or_else(|| format!("{value}\n")) + more,
                    None => break Vec::new(),
                },
            }
        };
        let value = words.join(" ");
        assign(
            environment,
            name,
            value.split_whitespace().collect::<Vec<_>>().join(" "),
        );
    }
}

fn assign(environment: &mut BTreeMap<String, String>, name: &str, value: String) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(allowed) {
        environment.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_lines_and_stays_in_its_section() {
        let text = "[Unit]\nExecStart=no\n[Service]\n# ExecStart=no\nExecStart=/usr/bin/dockerd \\\n   -H fd:// \\\n; remark\n   $OPTIONS\nEnvironment=\"A=b c\" D=e\n[Install]\nExecStart=no\n";
        assert_eq!(
            settings(text),
            [
                (
                    "ExecStart".to_owned(),
                    "/usr/bin/dockerd  -H fd://  $OPTIONS".to_owned()
                ),
                ("Environment".to_owned(), "\"A=b c\" D=e".to_owned()),
            ]
        );
    }

    #[test]
    fn environment_files_are_read_as_far_as_systemd_does() {
        let mut environment = BTreeMap::new();
        let text = "# OPTIONS=no\nOPTIONS='--a --b=c'\nif [ -z \"$X\" ]; then\n    X=/etc/docker\nfi\nexport Y=\"1\"\nM='--a \\\n  --b'\nBAD='open\n";
        read_environment_file(&mut environment, text);
        let expected = [
            ("OPTIONS", "--a --b=c"),
            ("X", "/etc/docker"),
            ("Y", "1"),
            ("M", "--a --b"),
            ("BAD", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        assert_eq!(environment, expected);
    }

    #[test]
    fn our_command_line_is_the_last() {
        let at = |name: &str| Unit {
            commanding: Some(format!("/etc/systemd/system/docker.service.d/{name}")),
            ..Unit::default()
        };
        assert!(
            Unit::default()
                .drop_in()
                .unwrap()
                .ends_with("/10-machine.conf")
        );
        assert!(
            at("05-first.conf")
                .drop_in()
                .unwrap()
                .ends_with("/10-machine.conf")
        );
        assert!(
            at("override.conf")
                .drop_in()
                .unwrap()
                .ends_with("/zz-machine.conf")
        );
        assert!(at("zzz.conf").drop_in().is_err());
    }
}
