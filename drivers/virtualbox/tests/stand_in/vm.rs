use std::fs;
use std::path::Path;

use crate::answer::{Answer, FILE_ERROR, IN_USE, INVALID, LOCKED, NOT_FOUND, WRONG_STATE, usage};
use crate::state::{Store, Vm};
use crate::wishes::Wishes;

pub const MACHINE: &str = "MachineWrap, interface IMachine, callee nsISupports";
pub const SESSION: &str = "SessionMachine, interface IMachine, callee nsISupports";

/// The hardware address that a second card has by itself.
pub const CARD: &str = "0800270A0B0C";

pub fn unknown(name: &str) -> Answer {
    Answer::refused(
        &format!("Could not find a registered machine named '{name}'"),
        NOT_FOUND,
        "VirtualBoxWrap, interface IVirtualBox, callee nsISupports",
    )
}

/// The VM, if it is off or saved; settings of a running one are locked.
fn idle<'a>(store: &'a mut Store, name: &str) -> Result<&'a mut Vm, Answer> {
    let vm = store.vm(name).ok_or_else(|| unknown(name))?;
    if is_on(vm) || vm.busy.is_some() {
        let words = format!(
            "The machine '{}' is already locked for a session (or being unlocked)",
            vm.name
        );
        return Err(Answer::refused(&words, LOCKED, MACHINE));
    }
    Ok(vm)
}

pub fn is_on(vm: &Vm) -> bool {
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
        let attached = [
            ("hostonlyadapter2", "Host-only Interface"),
            ("host-only-net2", "Host Only Network"),
        ];
        let attachment = attached.into_iter().find_map(|(option, what)| {
            let to = vm.settings.get(option).filter(|_| long)?;
            Some(format!("{what} '{to}'"))
        });
        let Some(attachment) = attachment else {
            return format!("\"{}\" {{{}}}\n", vm.name, vm.id);
        };
        format!(
            "Name:                        {}\nNIC 2:                       MAC: {}, Attachment: {attachment}, Cable connected: on\n\n",
            vm.name,
            vm.settings.get("macaddress2").map(String::as_str).unwrap_or_default()
        )
    });
    Answer::said(shown.collect())
}

pub fn option<'a>(rest: &[&'a str], name: &str) -> Option<&'a str> {
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

pub fn add_rule(vm: &mut Vm, rule: &str) -> Option<Answer> {
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
    let state = passing(vm).unwrap_or_else(|| vm.state.clone());
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
        format!("VMState=\"{state}\""),
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
            lines.push(format!("macaddress2=\"{}\"", get("macaddress2", CARD)));
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

/// The state that the VM is in for one look more.
fn passing(vm: &mut Vm) -> Option<String> {
    let busy = vm.busy.as_mut()?;
    if busy.looks > 0 {
        busy.looks -= 1;
        return Some(busy.word.clone());
    }
    if let Some(name) = vm.busy.take()?.takes {
        crate::snapshot::take(vm, &name, format!("id of {name}"));
    }
    None
}
