use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::answer::{
    Answer, FAILURE, FILE_ERROR, IN_USE, INVALID, LOCKED, NOT_FOUND, WRONG_STATE, usage,
};
use crate::network::network_of;
use crate::state::{Store, Vm};
use crate::wishes::Wishes;

const MACHINE: &str = "MachineWrap, interface IMachine, callee nsISupports";
const SESSION: &str = "SessionMachine, interface IMachine, callee nsISupports";
const CONSOLE: &str = "ConsoleWrap, interface IConsole, callee nsISupports";

fn unknown(name: &str) -> Answer {
    Answer::refused(
        &format!("Could not find a registered machine named '{name}'"),
        NOT_FOUND,
        "VirtualBoxWrap, interface IVirtualBox, callee nsISupports",
    )
}

/// The VM, if it is off or saved; settings of a running one are locked.
fn idle<'a>(store: &'a mut Store, name: &str) -> Result<&'a mut Vm, Answer> {
    let vm = store.vm(name).ok_or_else(|| unknown(name))?;
    if is_on(vm) {
        let words = format!(
            "The machine '{}' is already locked for a session (or being unlocked)",
            vm.name
        );
        return Err(Answer::refused(&words, LOCKED, MACHINE));
    }
    Ok(vm)
}

fn is_on(vm: &Vm) -> bool {
    matches!(vm.state.as_str(), "running" | "paused")
}

pub fn known(store: &mut Store, name: &str) -> Answer {
    match store.vm(name) {
        Some(_) => Answer::nothing(),
        None => unknown(name),
    }
}

pub fn list(store: &Store, long: bool) -> Answer {
    let shown = store.all.vms.iter().map(|vm| {
        let Some(adapter) = vm.settings.get("hostonlyadapter2").filter(|_| long) else {
            return format!("\"{}\" {{{}}}\n", vm.name, vm.id);
        };
        format!(
            "Name:                        {}\nNIC 2:                       MAC: {}, Attachment: Host-only Interface '{adapter}', Cable connected: on\n\n",
            vm.name,
            vm.settings.get("macaddress2").map(String::as_str).unwrap_or_default()
        )
    });
    Answer::said(shown.collect())
}

fn option<'a>(rest: &[&'a str], name: &str) -> Option<&'a str> {
    let at = rest.iter().position(|word| *word == name)?;
    rest.get(at + 1).copied()
}

pub fn create(store: &mut Store, rest: &[&str]) -> Answer {
    let name = option(rest, "--name").unwrap_or_default();
    let file = name.replace('/', "_");
    let folder = Path::new(option(rest, "--basefolder").unwrap_or_default()).join(&file);
    let settings = folder.join(format!("{file}.vbox"));
    if settings.exists() {
        let words = format!(
            "Machine settings file '{}' already exists",
            settings.display()
        );
        return Answer::refused(&words, FILE_ERROR, MACHINE);
    }
    if fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&settings, ""))
        .is_err()
    {
        let words = format!(
            "Invalid machine settings file name '{}' (VERR_ACCESS_DENIED)",
            settings.display()
        );
        return Answer::refused(&words, FILE_ERROR, MACHINE);
    }
    store.all.made += 1;
    let made = format!("00000000-0000-4000-8000-{:012}", store.all.made);
    let id = option(rest, "--uuid").unwrap_or(&made).to_owned();
    store.all.vms.push(Vm {
        id: id.clone(),
        name: name.to_owned(),
        folder,
        state: "poweroff".to_owned(),
        ..Vm::default()
    });
    Answer::said(format!(
        "Virtual machine '{name}' is created and registered.\nUUID: {id}\nSettings file: '{}'\n",
        settings.display()
    ))
}

pub fn modify(store: &mut Store, wishes: &Wishes, name: &str, rest: &[&str]) -> Answer {
    let adapters: Vec<String> = store.all.adapters.iter().map(|a| a.name.clone()).collect();
    let vm = match idle(store, name) {
        Ok(vm) => vm,
        Err(answer) => return answer,
    };
    let mut changed = vm.clone();
    let mut warning = String::new();
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--") else {
            return usage(1, &format!("Invalid parameter '{word}'"));
        };
        let value = *words.next().unwrap_or(&"");
        match option {
            "natpf1" if value == "delete" => {
                let rule = *words.next().unwrap_or(&"");
                if changed.rules.remove(rule).is_none() {
                    return Answer::bare(INVALID, "Invalid argument value");
                }
            }
            "natpf1" => {
                if let Some(answer) = add_rule(&mut changed, value) {
                    return answer;
                }
            }
            "nat-localhostreachable1" if wishes.old => {
                return usage(1, &format!("Unknown option: {word}"));
            }
            "nosuchflag" => return usage(1, &format!("Unknown option: {word}")),
            _ if changed.state == "saved" => {
                let words = "The machine is not mutable (state is Saved)";
                return Answer::refused(words, WRONG_STATE, SESSION);
            }
            "hostonlyadapter2" if !adapters.iter().any(|a| a == value) => {
                warning =
                    format!("VBoxManage: warning: Interface \"{value}\" doesn't seem to exist\n");
                changed.settings.insert(option.to_owned(), value.to_owned());
            }
            "macaddress2" => {
                changed
                    .settings
                    .insert(option.to_owned(), value.to_uppercase());
            }
            _ => {
                changed.settings.insert(option.to_owned(), value.to_owned());
            }
        }
    }
    *vm = changed;
    Answer {
        err: warning,
        ..Answer::default()
    }
}

fn add_rule(vm: &mut Vm, rule: &str) -> Option<Answer> {
    let (name, rest) = rule.split_once(',')?;
    let engine = "NATEngineWrap, interface INATEngine, callee nsISupports";
    if vm.rules.contains_key(name) {
        return Some(Answer::refused(
            "A NAT rule of this name already exists",
            INVALID,
            engine,
        ));
    }
    let port = |rule: &str| rule.split(',').nth(2).map(str::to_owned);
    if vm.rules.values().any(|other| port(other) == port(rest)) {
        let words = "A NAT rule for this host port and this host IP already exists";
        return Some(Answer::refused(words, INVALID, engine));
    }
    vm.rules.insert(name.to_owned(), rest.to_owned());
    None
}

pub fn controller(store: &mut Store, name: &str, rest: &[&str]) -> Answer {
    let vm = match idle(store, name) {
        Ok(vm) => vm,
        Err(answer) => return answer,
    };
    let controller = option(rest, "--name").unwrap_or_default().to_owned();
    if vm.controllers.contains(&controller) {
        let words = format!("Storage controller named '{controller}' already exists");
        return Answer::refused(&words, IN_USE, SESSION);
    }
    vm.controllers.push(controller);
    Answer::nothing()
}

pub fn attach(store: &mut Store, name: &str, rest: &[&str]) -> Answer {
    let vm = match idle(store, name) {
        Ok(vm) => vm,
        Err(answer) => return answer,
    };
    let get = |name| option(rest, name).unwrap_or_default();
    let controller = get("--storagectl");
    if !vm.controllers.iter().any(|c| c == controller) {
        return Answer::error(&format!("Could not find a controller named '{controller}'"));
    }
    let medium = get("--medium");
    if medium != "none" && !Path::new(medium).exists() {
        let words = format!("Could not find file for the medium '{medium}' (VERR_FILE_NOT_FOUND)");
        let mut answer = Answer::refused(
            &words,
            FILE_ERROR,
            "MediumWrap, interface IMedium, callee nsISupports",
        );
        answer.err += &format!("VBoxManage: error: Invalid UUID or filename \"{medium}\"\n");
        return answer;
    }
    let place = format!("{controller}-{}-{}", get("--port"), get("--device"));
    vm.media.insert(place, medium.to_owned());
    Answer::nothing()
}

pub fn property(store: &mut Store, verb: &str, name: &str, rest: &[&str]) -> Answer {
    let Some(vm) = store.vm(name) else {
        return unknown(name);
    };
    match (verb, rest) {
        ("set", [key, value]) => {
            vm.properties.insert((*key).to_owned(), (*value).to_owned());
            Answer::nothing()
        }
        ("get", [key]) => Answer::said(match vm.properties.get(*key) {
            Some(value) => format!("Value: {value}\n"),
            None => "No value set!\n".to_owned(),
        }),
        _ => usage(2, "Invalid parameter"),
    }
}

pub fn share(store: &mut Store, name: &str, rest: &[&str]) -> Answer {
    let vm = match idle(store, name) {
        Ok(vm) => vm,
        Err(answer) => return answer,
    };
    let get = |name| option(rest, name).unwrap_or_default().to_owned();
    let (share, directory) = (get("--name"), get("--hostpath"));
    if vm.shares.contains_key(&share) {
        let words = format!("Shared folder named '{share}' already exists");
        return Answer::refused(&words, IN_USE, SESSION);
    }
    if !Path::new(&directory).exists() {
        let words = format!(
            "RTPathQueryInfo failed on shared folder path '{directory}': VERR_FILE_NOT_FOUND"
        );
        let component = "SharedFolderWrap, interface ISharedFolder, callee nsISupports";
        return Answer::refused(&words, INVALID, component);
    }
    vm.shares.insert(share, directory);
    Answer::nothing()
}

pub fn show(store: &mut Store, name: &str) -> Answer {
    let Some(vm) = store.vm(name) else {
        return unknown(name);
    };
    let settings = vm.folder.join(format!("{}.vbox", vm.name));
    if !settings.exists() {
        let words = "The object functionality is limited";
        return Answer::refused(words, crate::answer::DENIED, MACHINE);
    }
    let get = |name: &str, otherwise: &str| {
        vm.settings
            .get(name)
            .cloned()
            .unwrap_or_else(|| otherwise.to_owned())
    };
    let mut lines = vec![
        format!("name=\"{}\"", vm.name),
        "groups=\"/\"".to_owned(),
        format!("UUID=\"{}\"", vm.id),
        format!("CfgFile=\"{}\"", settings.display()),
        format!("LogFldr=\"{}\"", vm.folder.join("Logs").display()),
        format!("memory={}", get("memory", "128")),
        format!("cpus={}", get("cpus", "1")),
        format!("VMState=\"{}\"", vm.state),
    ];
    for (number, controller) in vm.controllers.iter().enumerate() {
        lines.push(format!("storagecontrollername{number}=\"{controller}\""));
        for port in 0..30 {
            let place = format!("{controller}-{port}-0");
            let medium = vm.media.get(&place).map_or("none", String::as_str);
            lines.push(format!("\"{place}\"=\"{medium}\""));
        }
    }
    lines.push(format!("nic1=\"{}\"", get("nic1", "nat")));
    lines.push(format!("nictype1=\"{}\"", get("nictype1", "82540EM")));
    for (number, (name, rule)) in vm.rules.iter().enumerate() {
        lines.push(format!("Forwarding({number})=\"{name},{rule}\""));
    }
    match get("nic2", "none").as_str() {
        "none" => lines.push("nic2=\"none\"".to_owned()),
        nic => {
            if nic == "hostonly" {
                lines.push(format!(
                    "hostonlyadapter2=\"{}\"",
                    get("hostonlyadapter2", "")
                ));
            } else {
                lines.push(format!(
                    "hostonly-network2=\"{}\"",
                    get("host-only-net2", "")
                ));
            }
            lines.push(format!(
                "macaddress2=\"{}\"",
                get("macaddress2", "0800270A0B0C")
            ));
            lines.push("cableconnected2=\"on\"".to_owned());
            lines.push(format!("nic2=\"{nic}\""));
            lines.push(format!("nictype2=\"{}\"", get("nictype2", "82540EM")));
        }
    }
    for (number, (share, directory)) in vm.shares.iter().enumerate() {
        let number = number + 1;
        lines.push(format!(
            "SharedFolderNameMachineMapping{number}=\"{share}\""
        ));
        lines.push(format!(
            "SharedFolderPathMachineMapping{number}=\"{directory}\""
        ));
    }
    Answer::said(lines.join("\n") + "\n")
}

pub fn start(store: &mut Store, wishes: &Wishes, name: &str, rest: &[&str]) -> Answer {
    let adapters: Vec<String> = store.all.adapters.iter().map(|a| a.name.clone()).collect();
    let servers = store.all.servers.clone();
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
    if is_on(vm) {
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
    give_address(vm, &servers);
    Answer::said(format!(
        "{waiting}VM \"{name}\" has been successfully started.\n"
    ))
}

fn ports(vm: &Vm) -> Vec<u16> {
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

/// What the guest additions would tell after the system has asked for an address.
fn give_address(vm: &mut Vm, servers: &[crate::state::Server]) {
    let card = vm
        .settings
        .get("macaddress2")
        .map(|c| c.to_lowercase())
        .unwrap_or_default();
    let adapter = vm
        .settings
        .get("hostonlyadapter2")
        .cloned()
        .unwrap_or_default();
    let server = servers
        .iter()
        .find(|s| s.network == network_of(&adapter) && s.enabled);
    if let Some(server) = server {
        let address = server.kept.get(&card).unwrap_or(&server.lower).clone();
        vm.properties
            .insert("/VirtualBox/GuestInfo/Net/1/V4/IP".to_owned(), address);
    }
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
    if is_on(vm) {
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
    }
    Answer::nothing().with_progress()
}

pub fn clone(from: &str, to: &str) -> Answer {
    match fs::copy(from, to) {
        Ok(_) => Answer::said(
            "Clone medium created in format 'VMDK'. UUID: 0240d31c-e1cc-4931-b1c6-5ef42a16c0d5\n"
                .to_owned(),
        )
        .with_progress(),
        Err(_) => {
            let words =
                format!("Could not find file for the medium '{from}' (VERR_FILE_NOT_FOUND)");
            Answer::refused(
                &words,
                FILE_ERROR,
                "MediumWrap, interface IMedium, callee nsISupports",
            )
        }
    }
}
