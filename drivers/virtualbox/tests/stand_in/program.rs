//! A VBoxManage for tests: it has VMs, adapters and DHCP servers in a file beside itself, answers
//! as VirtualBox 7.2 does (`tests/recordings.rs` holds it against what that one printed), and
//! starts nothing. Called as `ssh` it leads into those VMs.
//!
//! Its directory is where it is called by its name from, so that each test links it into one of
//! its own. There it finds what a test wants (`wishes.json`) and writes down every call (`calls`).

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod answer;
mod life;
mod medium;
mod network;
mod snapshot;
mod ssh;
mod state;
mod vm;
mod wishes;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use answer::{Answer, usage};
use state::Store;
use wishes::Wishes;

/// The name by which it is another program.
const SSH: &str = "ssh";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(PathBuf::from).unwrap_or_default();
    let directory = program.parent().unwrap_or(Path::new("."));
    let called = program.file_name().filter(|name| *name == SSH);
    let words: Vec<String> = called
        .map(OsStr::to_owned)
        .into_iter()
        .chain(arguments)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    note(directory, &words);
    let wishes = Wishes::read(directory);
    wishes.kill_caller(directory, false);
    wishes.dawdle(&words);
    let answer = wishes.injected(directory, &words).unwrap_or_else(|| {
        let mut store = Store::open(directory);
        let answer = run(&mut store, &wishes, &words);
        store.save();
        answer
    });
    wishes.kill_caller(directory, true);
    print!("{}{}", wishes.before, answer.out);
    eprint!("{}", answer.err);
    ExitCode::from(answer.exit)
}

fn note(directory: &Path, words: &[String]) {
    let line = words.join("\u{1f}") + "\n";
    let calls = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("calls"));
    if let Ok(mut calls) = calls {
        // One write: lines of processes at work at once do not mix.
        let _ = calls.write_all(line.as_bytes());
    }
}

fn run(store: &mut Store, wishes: &Wishes, words: &[String]) -> Answer {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [SSH, ref rest @ ..] => ssh::ssh(store, wishes, rest),
        ["--version"] => Answer::said(format!("{}\n", wishes.version)),
        ["list", "hostinfo"] => Answer::said(wishes.host_info()),
        ["list", "vms", ref more @ ..] => vm::list(store, more.contains(&"--long")),
        ["list", "hostonlyifs"] => network::list_adapters(store, wishes),
        ["list", "hostonlynets"] if wishes.macos => network::list_nets(store),
        ["list", "dhcpservers"] => network::list_servers(store),
        ["list", what, ..] => usage(2, &format!("Unknown subcommand \"{what}\".")),
        ["hostonlyif", ref rest @ ..] if !wishes.macos => network::adapter(store, wishes, rest),
        ["hostonlynet", "add", ref rest @ ..] if wishes.macos => network::add_net(store, rest),
        ["hostonlynet", "remove", name] if wishes.macos => {
            network::remove_net(store, name.trim_start_matches("--name="))
        }
        ["dhcpserver", verb, ref rest @ ..] => network::server(store, wishes, verb, rest),
        ["createvm", ref rest @ ..] => vm::create(store, rest),
        ["modifyvm", name, ref rest @ ..] => vm::modify(store, wishes, name, rest),
        ["storagectl", name, ref rest @ ..] => vm::controller(store, name, rest),
        ["storageattach", name, ref rest @ ..] => vm::attach(store, name, rest),
        ["guestproperty", verb, name, ref rest @ ..] => vm::property(store, verb, name, rest),
        ["setextradata", name, ..] => vm::known(store, name),
        ["sharedfolder", "add", name, ref rest @ ..] => vm::share(store, name, rest),
        ["showvminfo", name, "--machinereadable"] => vm::show(store, name),
        ["startvm", name, ref rest @ ..] => life::start(store, wishes, name, rest),
        ["controlvm", name, ref rest @ ..] => life::control(store, wishes, name, rest),
        ["discardstate", name] => life::discard(store, name),
        ["snapshot", name, ref rest @ ..] => snapshot::snapshot(store, name, rest),
        ["unregistervm", name, ref rest @ ..] => life::unregister(store, name, rest),
        ["clonemedium", "disk", from, to] => medium::clone(store, from, to),
        ["closemedium", "disk", disk] => medium::close(store, disk),
        [command, ..] => usage(2, &format!("Invalid command '{command}'")),
        [] => usage(0, ""),
    }
}
