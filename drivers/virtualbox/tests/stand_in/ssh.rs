use std::fs;
use std::io::stdin;

use crate::answer::Answer;
use crate::life::{interfaces, ports};
use crate::state::{Store, Vm};
use crate::vm::{is_on, option};
use crate::wishes::Wishes;

/// The program `ssh`, as it is called for one connection with many commands: a master, which
/// leaves the port in place of its socket, and its clients. All that VMs can do is tell of their
/// interfaces.
pub fn ssh(store: &Store, wishes: &Wishes, words: &[&str]) -> Answer {
    let socket = option(words, "-S").unwrap_or_default();
    if words.contains(&"-O") {
        return Answer::nothing();
    }
    if words.contains(&"-M") {
        let port = words.iter().find_map(|word| word.strip_prefix("Port="));
        let port = port.and_then(|port| port.parse().ok()).unwrap_or_default();
        return match behind(store, port) {
            None => lost(&format!(
                "ssh: connect to host 127.0.0.1 port {port}: Connection refused"
            )),
            Some(_) if wishes.locked_out => {
                lost("docker@127.0.0.1: Permission denied (publickey).")
            }
            Some(_) => match fs::write(socket, port.to_string()) {
                Ok(()) => Answer::nothing(),
                Err(error) => lost(&error.to_string()),
            },
        };
    }
    let port = fs::read_to_string(socket).ok();
    let vm = port.and_then(|port| behind(store, port.parse().ok()?));
    let asked = stdin()
        .lines()
        .map_while(Result::ok)
        .any(|line| line == "ip address show");
    match vm.filter(|_| asked) {
        Some(vm) => Answer::said(interfaces(vm)),
        None => lost("mux_client_request_session: session request failed"),
    }
}

/// The running VM that a port leads to.
fn behind(store: &Store, port: u16) -> Option<&Vm> {
    let mut vms = store.all.vms.iter();
    vms.find(|vm| is_on(vm) && ports(vm).contains(&port))
}

fn lost(words: &str) -> Answer {
    Answer {
        exit: 255,
        out: String::new(),
        err: format!("{words}\n"),
    }
}
