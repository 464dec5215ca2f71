//! A driver's flags are data: here they become arguments of `create`, and values again.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use rmachine_driver::{DriverFlag, DriverKind, FlagKind, FlagValue, FlagValues};

use crate::Process;
use crate::drivers::{self, Surroundings};

/// The driver where none is named: docker-machine's.
pub const DEFAULT: &str = "virtualbox";

/// The driver that `create` is told to use in these words, found before they are parsed: which
/// flags there are depends on it. `None` for other commands.
pub fn chosen_driver(
    process: &Process,
    words: &[OsString],
    command: &clap::Command,
) -> Option<String> {
    let args = words.iter().map(|arg| arg.to_string_lossy());
    let mut args = args.skip(1).take_while(|arg| arg != "--");
    loop {
        let arg = args.next()?;
        if !arg.starts_with('-') {
            match arg == "create" {
                true => break,
                false => return None,
            }
        }
        if takes_value(command, &arg) {
            args.next();
        }
    }
    while let Some(arg) = args.next() {
        if arg == "-d" || arg == "--driver" {
            return args.next().map(|name| name.into_owned());
        }
        let joined = arg.strip_prefix("--driver=").or_else(|| {
            let short = arg.strip_prefix("-d").filter(|_| !arg.starts_with("--"))?;
            Some(short.strip_prefix('=').unwrap_or(short))
        });
        if let Some(name) = joined {
            return Some(name.to_owned());
        }
    }
    Some(process.var("MACHINE_DRIVER").unwrap_or(DEFAULT).to_owned())
}

/// Whether the word after this one is its value.
fn takes_value(command: &clap::Command, word: &str) -> bool {
    command.get_arguments().any(|arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        arg.get_action().takes_values() && [long, short].contains(&Some(word.to_owned()))
    })
}

/// Adds the flags of this driver to `create`.
pub fn with_driver_flags(command: clap::Command, kind: &dyn DriverKind) -> clap::Command {
    let mut flags = kind.flags().to_vec();
    flags.sort_by_key(|flag| flag.name);
    let heading = format!("Options of the {} driver", kind.name());
    flags.iter().fold(command, |command, flag| {
        command.arg(argument(flag).help_heading(heading.clone()))
    })
}

/// The values of this driver's flags.
pub fn values(matches: &ArgMatches, driver: &str) -> FlagValues {
    let kinds = drivers::kinds(Surroundings::default());
    let Some(kind) = kinds.iter().find(|kind| kind.name() == driver) else {
        return FlagValues::default();
    };
    let mut values = FlagValues::defaults(kind.flags());
    for flag in kind.flags() {
        if let Some(value) = value(matches, flag) {
            values.set(flag.name, value);
        }
    }
    values
}

fn argument(flag: &DriverFlag) -> Arg {
    let arg = Arg::new(flag.name).long(flag.name).help(flag.help);
    let arg = match flag.env {
        Some(env) => arg.env(env).hide_env_values(true),
        None => arg,
    };
    match flag.kind {
        FlagKind::Text("") => arg.value_name("TEXT"),
        FlagKind::Text(default) => arg.value_name("TEXT").default_value(default),
        FlagKind::Number(default) => arg
            .value_name("NUMBER")
            .value_parser(value_parser!(i64))
            .allow_negative_numbers(true)
            .default_value(default.to_string()),
        FlagKind::Switch => arg
            .action(ArgAction::SetTrue)
            .value_parser(clap::builder::FalseyValueParser::new()),
        FlagKind::List => arg.value_name("TEXT").action(ArgAction::Append),
    }
}

fn value(matches: &ArgMatches, flag: &DriverFlag) -> Option<FlagValue> {
    // The arguments are there only when the first look at the command line found this driver.
    if !matches.ids().any(|id| id == flag.name) {
        return None;
    }
    match flag.kind {
        FlagKind::Text(_) => matches.get_one(flag.name).cloned().map(FlagValue::Text),
        FlagKind::Number(_) => matches.get_one(flag.name).copied().map(FlagValue::Number),
        FlagKind::Switch => Some(FlagValue::Switch(matches.get_flag(flag.name))),
        FlagKind::List => matches
            .get_many::<String>(flag.name)
            .map(|list| FlagValue::List(list.cloned().collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_driver_wherever_it_stands() {
        let command = clap::Command::new("rmachine").arg(Arg::new("store").short('s'));
        let found = |line: &str, env: &[(&str, &str)]| {
            let args: Vec<&str> = line.split_whitespace().collect();
            let process = Process::of(&args, env);
            chosen_driver(&process, process.args(), &command)
        };
        for line in [
            "rmachine create -d none n1",
            "rmachine -s create create n1 --driver none",
            "rmachine -D create --driver=none",
            "rmachine create --x-flag 1 -dnone",
            "rmachine create -d=none",
        ] {
            assert_eq!(found(line, &[]).as_deref(), Some("none"), "{line}");
        }
        for line in ["rmachine create -- -d none", "rmachine create --debug n1"] {
            assert_eq!(found(line, &[]).as_deref(), Some(DEFAULT), "{line}");
        }
        for line in [
            "rmachine create -d",
            "rmachine ssh create -d none",
            "rmachine -s create ssh -d none",
            "rmachine",
        ] {
            assert_eq!(found(line, &[]), None, "{line}");
        }
        let env = [("MACHINE_DRIVER", "docker")];
        assert_eq!(found("rmachine create", &env).as_deref(), Some("docker"));
    }

    #[test]
    fn reads_every_kind_of_flag() {
        const FLAGS: &[DriverFlag] = &[
            DriverFlag {
                name: "x-text",
                env: None,
                kind: FlagKind::Text("t"),
                help: "",
            },
            DriverFlag {
                name: "x-number",
                env: None,
                kind: FlagKind::Number(7),
                help: "",
            },
            DriverFlag {
                name: "x-switch",
                env: None,
                kind: FlagKind::Switch,
                help: "",
            },
            DriverFlag {
                name: "x-list",
                env: None,
                kind: FlagKind::List,
                help: "",
            },
        ];
        let command = FLAGS.iter().fold(clap::Command::new("create"), |c, flag| {
            c.arg(argument(flag))
        });
        let args = [
            "create",
            "--x-number=-1",
            "--x-list=a",
            "--x-list=b",
            "--x-switch",
        ];
        let matches = command.get_matches_from(args);
        let found: Vec<_> = FLAGS.iter().map(|flag| value(&matches, flag)).collect();
        assert_eq!(
            found,
            [
                Some(FlagValue::Text("t".into())),
                Some(FlagValue::Number(-1)),
                Some(FlagValue::Switch(true)),
                Some(FlagValue::List(vec!["a".into(), "b".into()])),
            ]
        );
    }
}
