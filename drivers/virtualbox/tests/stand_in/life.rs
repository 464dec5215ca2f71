use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::answer::{Answer, FAILURE, INVALID, LOCKED, WRONG_STATE, usage};
use crate::network::network_of;
use crate::state::{Net, Server, Store, Vm};
use crate::vm::{CARD, MACHINE, SESSION, add_rule, is_on, option, unknown};
use crate::wishes::Wishes;

/// Where a VM that runs has the address that it got; no property that VirtualBox has.
const ADDRESS: &str = "/VirtualBox/GuestInfo/got";

const CONSOLE: &str = "ConsoleWrap, interface IConsole, callee nsISupports";

pub fn start(store: &mut Store, wishes: &Wishes, name: &str, rest: &[&str]) -> Answer {
    let adapters: Vec<String> = store.all.adapters.iter().map(|a| a.name.clone()).collect();
    let (servers, nets) = (store.all.servers.clone(), store.all.nets.clone());
    let taken: Vec<u16> = store
        .all
        .vms
        .iter()
        .filter(|vm| is_on(vm))
        .flat_map(ports)
        .collect();
    let Some(vm) = store.vm(name) else {
        return unknown(name);
    };
    if is_on(vm) || vm.busy.is_some() {
        let words = format!(
            "The machine '{}' is already locked by a session (or being locked or unlocked)",
            vm.name
        );
        return Answer::refused(&words, LOCKED, MACHINE);
    }
    let frontend = option(rest, "--type").unwrap_or("gui");
    if !["headless", "gui", "sdl", "separate"].contains(&frontend) {
        let words = format!("Invalid frontend name: '{frontend}'");
        return Answer::refused(&words, INVALID, MACHINE);
    }
    let waiting = format!("Waiting for VM \"{}\" to power on...\n", name);
    let fails = |words: &[String]| {
        let details = format!("Details: code {FAILURE}, component ConsoleWrap, interface IConsole");
        let lines = words.iter().chain(std::iter::once(&details));
        Answer {
            exit: 1,
            out: waiting.clone(),
            err: lines
                .map(|line| format!("VBoxManage: error: {line}\n"))
                .collect(),
        }
    };
    if wishes.no_virtualization {
        return fails(&["AMD-V is not available (VERR_SVM_NO_SVM)".to_owned()]);
    }
    let missing = |medium: &&String| *medium != "none" && !Path::new(medium).exists();
    if let Some(medium) = vm.media.values().find(missing) {
        return fails(&[
            format!(
                "VD: error VERR_FILE_NOT_FOUND opening image file '{medium}' (VERR_FILE_NOT_FOUND)."
            ),
            format!("Failed to open image '{medium}' in read-only mode (VERR_FILE_NOT_FOUND)."),
            "AHCI: Failed to attach drive to Port0 (VERR_FILE_NOT_FOUND)".to_owned(),
        ]);
    }
    let adapter = vm.settings.get("hostonlyadapter2").cloned();
    let on_adapter = vm.settings.get("nic2").is_some_and(|nic| nic == "hostonly");
    if let Some(adapter) = adapter.filter(|a| on_adapter && !adapters.contains(a)) {
        return fails(&[format!(
            "Nonexistent host networking interface, name '{adapter}' (VERR_INTERNAL_ERROR)"
        )]);
    }
    let mut log = "00:00:00.100000 VirtualBox VM 7.2.22_Debian\n".to_owned();
    for port in ports(vm) {
        log += &lead(port, taken.contains(&port));
    }
    write_log(vm, &log, false);
    vm.state = "running".to_owned();
    let address = address(vm, &servers, &nets);
    boot(vm, address, wishes);
    Answer::said(format!(
        "{waiting}VM \"{name}\" has been successfully started.\n"
    ))
}

pub fn ports(vm: &Vm) -> Vec<u16> {
    let port = |rule: &String| rule.split(',').nth(2)?.parse().ok();
    vm.rules.values().filter_map(port).collect()
}

/// What VirtualBox logs when it has a port lead to the VM.
fn lead(port: u16, taken: bool) -> String {
    if taken || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
        format!(
            "00:00:00.900000 NAT: Failed to redirect TCP 127.0.0.1:{port} -> 0.0.0.0:22 (Unknown error)\n"
        )
    } else {
        format!("00:00:00.900000 NAT: Set redirect TCP 127.0.0.1:{port} -> 0.0.0.0:22\n")
    }
}

fn write_log(vm: &Vm, text: &str, more: bool) {
    use std::io::Write as _;
    let logs = vm.folder.join("Logs");
    let _ = fs::create_dir_all(&logs);
    let mut options = fs::OpenOptions::new();
    let log = options
        .create(true)
        .write(true)
        .append(more)
        .truncate(!more);
    if let Ok(mut file) = log.open(logs.join("VBox.log")) {
        let _ = file.write_all(text.as_bytes());
    }
}

/// The address that the system gets for the VM's second card, once it has asked for one.
fn address(vm: &Vm, servers: &[Server], nets: &[Net]) -> Option<String> {
    let setting = |name: &str| vm.settings.get(name).map(String::as_str);
    if let Some(name) = setting("host-only-net2") {
        let net = nets.iter().find(|net| net.name == name)?;
        // The first one is this computer's.
        let first: Ipv4Addr = net.lower.parse().ok()?;
        return Some(Ipv4Addr::from_bits(first.to_bits() + 1).to_string());
    }
    let network = network_of(setting("hostonlyadapter2")?);
    let server = servers.iter().find(|s| s.network == network && s.enabled)?;
    let kept = server.kept.get(&card(vm).to_lowercase());
    Some(kept.unwrap_or(&server.lower).clone())
}

/// The hardware address of the VM's second card.
fn card(vm: &Vm) -> String {
    let given = vm.settings.get("macaddress2").cloned();
    given.unwrap_or_else(|| CARD.to_owned())
}

/// The system asks for an address. It is told by its guest additions where there are some, and
/// otherwise to who comes in.
fn boot(vm: &mut Vm, address: Option<String>, wishes: &Wishes) {
    let Some(address) = address else {
        return;
    };
    if wishes.additions {
        let told = "/VirtualBox/GuestInfo/Net/1/V4/IP".to_owned();
        vm.properties.insert(told, address.clone());
    }
    vm.properties.insert(ADDRESS.to_owned(), address);
}

/// What `ip address show` prints in a VM that runs.
pub fn interfaces(vm: &Vm) -> String {
    let card = card(vm).to_lowercase();
    let pairs: Vec<&str> = (0..6).filter_map(|n| card.get(n * 2..n * 2 + 2)).collect();
    let address = vm.properties.get(ADDRESS);
    let inet = address.map(|it| format!("    inet {it}/24 scope global eth1\n"));
    let ether = |card: &str| format!("    link/ether {card} brd ff:ff:ff:ff:ff:ff\n");
    [
        "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n",
        &ether("08:00:27:00:00:01"),
        "    inet 10.0.2.15/24 scope global eth0\n",
        "3: eth1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n",
        &ether(&pairs.join(":")),
        &inet.unwrap_or_default(),
    ]
    .concat()
}

pub fn control(store: &mut Store, wishes: &Wishes, name: &str, rest: &[&str]) -> Answer {
    let taken: Vec<u16> = store
        .all
        .vms
        .iter()
        .filter(|vm| is_on(vm))
        .flat_map(ports)
        .collect();
    let Some(vm) = store.vm(name) else {
        return unknown(name);
    };
    if !is_on(vm) {
        return Answer::error(&format!("Machine '{}' is not currently running.", vm.name));
    }
    let paused = vm.state == "paused";
    let wrong = |words: &str| Answer::refused(words, WRONG_STATE, CONSOLE);
    match *rest {
        ["acpipowerbutton"] if paused => return wrong("Invalid machine state: Paused"),
        ["acpipowerbutton"] => {
            if !wishes.deaf {
                off(vm, "poweroff");
            }
        }
        ["poweroff"] => {
            off(vm, "poweroff");
            return Answer::nothing().with_progress();
        }
        ["pause"] if paused => return wrong("Already paused"),
        ["pause"] => vm.state = "paused".to_owned(),
        ["resume"] if !paused => {
            return wrong("Cannot resume the machine as it is not paused (machine state: Running)");
        }
        ["resume"] => vm.state = "running".to_owned(),
        ["savestate"] => {
            off(vm, "saved");
            return Answer::nothing().with_progress();
        }
        ["natpf1", "delete", rule] => {
            if vm.rules.remove(rule).is_none() {
                return Answer::bare(INVALID, "Invalid argument value");
            }
        }
        ["natpf1", rule] => {
            if let Some(answer) = add_rule(vm, rule) {
                return answer;
            }
            let port = rule.split(',').nth(3).and_then(|port| port.parse().ok());
            if let Some(port) = port {
                write_log(vm, &lead(port, taken.contains(&port)), true);
            }
        }
        [word, ..] => return usage(1, &format!("Invalid parameter '{word}'.")),
        [] => return usage(1, "Not enough parameters"),
    }
    Answer::nothing()
}

fn off(vm: &mut Vm, state: &str) {
    state.clone_into(&mut vm.state);
    vm.properties
        .retain(|key, _| !key.starts_with("/VirtualBox/GuestInfo/"));
}

pub fn discard(store: &mut Store, name: &str) -> Answer {
    match store.vm(name) {
        Some(vm) if vm.state == "saved" => {
            vm.state = "poweroff".to_owned();
            Answer::nothing()
        }
        Some(_) => Answer::refused(
            "Cannot discard the machine's saved state",
            WRONG_STATE,
            SESSION,
        ),
        None => unknown(name),
    }
}

pub fn unregister(store: &mut Store, name: &str, rest: &[&str]) -> Answer {
    let (name, delete) = match *rest {
        [] => (name, false),
        ["--delete"] => (name, true),
        // The old order: `unregistervm --delete NAME`.
        [other] => (other, name == "--delete"),
        _ => return usage(2, "Invalid parameter"),
    };
    let Some(vm) = store.vm(name) else {
        return unknown(name);
    };
    if is_on(vm) || vm.busy.is_some() {
        let words = format!(
            "Cannot unregister the machine '{}' while it is locked",
            vm.name
        );
        return Answer::refused(&words, LOCKED, MACHINE);
    }
    let vm = vm.clone();
    store.all.vms.retain(|other| other.id != vm.id);
    if !delete {
        return Answer::nothing();
    }
    let _ = fs::remove_dir_all(&vm.folder);
    for (_, disk) in vm
        .media
        .iter()
        .filter(|(place, _)| place.as_str() == "SATA-1-0")
    {
        let _ = fs::remove_file(disk);
        store.all.disks.retain(|known| known != disk);
    }
    Answer::nothing().with_progress()
}
