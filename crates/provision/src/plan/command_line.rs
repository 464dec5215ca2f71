//! A command line of dockerd as a unit or a shell file has it: read into flags, written back with
//! every word that nobody asked to change exactly as it stood.

use std::collections::BTreeMap;

use crate::options::{self, Shape};

/// The command line behind an `ExecStart=`, or the value of a `DOCKER_OPTS`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommandLine {
    items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    /// A word that is no flag: the program, an argument.
    Word(String),
    Flag(Flag),
    /// `$NAME`, which the environment fills.
    Variable {
        raw: String,
        /// What it holds, where the files tell.
        flags: Vec<Flag>,
    },
}

/// A flag with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flag {
    /// The long name, where it is known.
    pub name: String,
    pub value: Option<String>,
    /// As it stood.
    raw: String,
}

impl Flag {
    /// The key in `daemon.json` that means the same.
    pub(crate) fn key(&self) -> &str {
        match options::by_flag(&self.name) {
            Some(row) => row.key,
            None if self.name == "host" => "hosts",
            None => &self.name,
        }
    }
}

impl CommandLine {
    /// Reads the words of a command line; `environment` fills its variables.
    pub(crate) fn parse(text: &str, environment: &BTreeMap<String, String>) -> Self {
        let mut words = split(text).into_iter().peekable();
        let mut items = Vec::new();
        while let Some(word) = words.next() {
            if let Some(name) = variable(&word.raw) {
                let held = environment.get(name).map_or("", String::as_str);
                let flags = Self::parse(held, &BTreeMap::new()).into_flags();
                items.push(Item::Variable {
                    raw: word.raw,
                    flags,
                });
            } else if word.value.len() > 1 && word.value.starts_with('-') {
                let (name, inline) = flag_name(&word.value);
                let mut flag = Flag {
                    name,
                    value: inline,
                    raw: word.raw,
                };
                let follows =
                    |next: &Word| !next.value.starts_with('-') && variable(&next.raw).is_none();
                if flag.value.is_none()
                    && takes_value(&flag.name)
                    && let Some(value) = words.next_if(follows)
                {
                    flag.raw = format!("{} {}", flag.raw, value.raw);
                    flag.value = Some(value.value);
                }
                items.push(Item::Flag(flag));
            } else {
                items.push(Item::Word(word.raw));
            }
        }
        Self { items }
    }

    fn into_flags(self) -> Vec<Flag> {
        self.items
            .into_iter()
            .filter_map(|item| match item {
                Item::Flag(flag) => Some(flag),
                _ => None,
            })
            .collect()
    }

    /// Every flag, those that variables bring included.
    pub(crate) fn flags(&self) -> impl Iterator<Item = &Flag> {
        self.items.iter().flat_map(|item| match item {
            Item::Word(_) => &[][..],
            Item::Flag(flag) => std::slice::from_ref(flag),
            Item::Variable { flags, .. } => flags,
        })
    }

    /// Takes away every flag that `unwanted` picks, and returns them. A variable that brings such
    /// a flag is replaced by the other flags that it brings: the file behind it is the owner's.
    pub(crate) fn remove(&mut self, unwanted: impl Fn(&Flag) -> bool) -> Vec<Flag> {
        let mut removed = Vec::new();
        let mut kept = Vec::new();
        for item in std::mem::take(&mut self.items) {
            match item {
                Item::Flag(flag) if unwanted(&flag) => removed.push(flag),
                Item::Variable { flags, .. } if flags.iter().any(&unwanted) => {
                    let (out, stay): (Vec<_>, Vec<_>) = flags.into_iter().partition(&unwanted);
                    removed.extend(out);
                    kept.extend(stay.into_iter().map(Item::Flag));
                }
                item => kept.push(item),
            }
        }
        self.items = kept;
        removed
    }

    /// The command line as text.
    pub(crate) fn text(&self) -> String {
        let words = self.items.iter().map(|item| match item {
            Item::Word(raw) | Item::Variable { raw, .. } => raw.as_str(),
            Item::Flag(flag) => flag.raw.as_str(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The flags as arguments for a trial run.
    pub(crate) fn arguments(&self) -> Vec<String> {
        self.flags()
            .flat_map(|flag| match &flag.value {
                Some(value) => vec![format!("--{}={value}", flag.name)],
                None => vec![format!("--{}", flag.name)],
            })
            .collect()
    }
}

/// The long name of a flag, and the value that its own word carries.
fn flag_name(word: &str) -> (String, Option<String>) {
    if let Some(long) = word.strip_prefix("--") {
        return match long.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (long.to_owned(), None),
        };
    }
    let mut letters = word.chars().skip(1);
    let letter = letters.next().unwrap_or('-');
    let rest: String = letters.collect();
    let name = match (letter, options::by_letter(letter)) {
        ('H', _) => "host".to_owned(),
        (_, Some(row)) => row.flag.to_owned(),
        (_, None) => letter.to_string(),
    };
    let value = rest.strip_prefix('=').unwrap_or(&rest);
    (name, (!rest.is_empty()).then(|| value.to_owned()))
}

fn takes_value(name: &str) -> bool {
    match options::by_flag(name) {
        Some(row) => row.shape != Shape::Flag,
        None => !matches!(name, "tls" | "tlsverify" | "validate" | "rootless"),
    }
}

/// The name of the variable that a word is, if it is one and nothing else.
fn variable(raw: &str) -> Option<&str> {
    let name = raw.strip_prefix('$')?;
    let name = match name.strip_prefix('{') {
        Some(braced) => braced.strip_suffix('}')?,
        None => name,
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(allowed)).then_some(name)
}

struct Word {
    raw: String,
    value: String,
}

/// Splits at blanks outside quotes, as systemd and a shell do.
fn split(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut raw = String::new();
    let mut value = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => {
                if !raw.is_empty() {
                    words.push(Word {
                        raw: std::mem::take(&mut raw),
                        value: std::mem::take(&mut value),
                    });
                }
                continue;
            }
            ('\\', q) if q != Some('\'') => {
                raw.push(c);
                if let Some(escaped) = chars.next() {
                    raw.push(escaped);
                    value.push(escaped);
                }
                continue;
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, _) => value.push(c),
        }
        raw.push(c);
    }
    if !raw.is_empty() {
        words.push(Word { raw, value });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> CommandLine {
        let environment = [(
            "OPTIONS",
            "--selinux-enabled --log-driver=journald -H unix://",
        )]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        CommandLine::parse(text, &environment)
    }

    fn flags(line: &CommandLine) -> Vec<(String, Option<String>)> {
        line.flags()
            .map(|f| (f.name.clone(), f.value.clone()))
            .collect()
    }

    #[test]
    fn reads_every_spelling_of_a_flag() {
        let line = parse(
            "/usr/bin/dockerd -H fd:// -Hunix:///a -D --label 'a b=c' --bip=10.0.0.1/8 -s=vfs --icc --mtu 9000",
        );
        let expected = [
            ("host", Some("fd://")),
            ("host", Some("unix:///a")),
            ("debug", None),
            ("label", Some("a b=c")),
            ("bip", Some("10.0.0.1/8")),
            ("storage-driver", Some("vfs")),
            ("icc", None),
            ("mtu", Some("9000")),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.map(str::to_owned)))
            .collect();
        assert_eq!(flags(&line), expected);
    }

    #[test]
    fn writes_back_what_nobody_changed() {
        for text in [
            "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS",
            "-/usr/bin/dockerd --label \"a=\\\"x y\\\"\" ${OPTIONS} --data-root=%S/docker",
        ] {
            assert_eq!(parse(text).text(), text);
        }
    }

    #[test]
    fn a_variable_is_opened_only_when_it_must_be() {
        let mut line = parse("dockerd $OPTIONS $UNKNOWN -H fd://");
        assert!(line.remove(|flag| flag.name == "label").is_empty());
        assert_eq!(line.text(), "dockerd $OPTIONS $UNKNOWN -H fd://");

        let removed = line.remove(|flag| flag.name == "log-driver");
        assert_eq!(removed[0].value.as_deref(), Some("journald"));
        assert_eq!(
            line.text(),
            "dockerd --selinux-enabled -H unix:// $UNKNOWN -H fd://"
        );
    }
}
