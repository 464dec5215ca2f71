use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use rmachine_driver::MachineState;

/// A VM as `showvminfo --machinereadable` tells of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Vm {
    fields: BTreeMap<String, String>,
}

/// A VM's state, in VirtualBox's words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VmState(String);

/// A host port that leads to the VM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Forwarding {
    /// Its name: `ssh`.
    pub name: String,
    /// The host's address.
    pub host: Option<Ipv4Addr>,
    /// The host's port.
    pub port: u16,
    /// The VM's port.
    pub guest_port: u16,
}

/// Reads `showvminfo --machinereadable`.
pub fn vm(text: &str) -> Vm {
    let mut fields = BTreeMap::new();
    for line in text.lines() {
        if let Some((key, value)) = field(line) {
            fields.insert(key, value);
        }
    }
    Vm { fields }
}

/// A `key=value` line, either of them in quotes or not. What VirtualBox puts behind the closing
/// quote is dropped.
pub fn field(line: &str) -> Option<(String, String)> {
    let (key, rest) = match line.strip_prefix('"') {
        Some(quoted) => {
            let end = quoted.find("\"=")?;
            (&quoted[..end], &quoted[end + 2..])
        }
        None => line.split_once('=')?,
    };
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.rfind('"').map_or(quoted, |end| &quoted[..end]),
        None => rest,
    };
    Some((key.trim().to_owned(), unescaped(value)))
}

/// VirtualBox escapes quotes and backslashes in values since 7.0.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\\' && matches!(characters.peek(), Some('"' | '\\')) {
            text.extend(characters.next());
        } else {
            text.push(c);
        }
    }
    text
}

impl Vm {
    /// What it says under a key.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    /// Its settings file; one that is not there has none.
    pub fn settings(&self) -> Option<PathBuf> {
        self.field("CfgFile").map(PathBuf::from)
    }

    /// Where VBox.log is.
    pub fn logs(&self) -> Option<PathBuf> {
        self.field("LogFldr").map(PathBuf::from)
    }

    /// Its state.
    pub fn state(&self) -> VmState {
        VmState(self.field("VMState").unwrap_or_default().to_owned())
    }

    /// Whether it has a storage controller of this name.
    pub fn has_controller(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|(key, value)| key.starts_with("storagecontrollername") && value == name)
    }

    /// What is attached to a port of a storage controller.
    pub fn medium(&self, controller: &str, port: u32) -> Option<&str> {
        self.field(&format!("{controller}-{port}-0"))
            .filter(|medium| *medium != "none" && *medium != "emptydrive")
    }

    /// The host-only adapter or network of a network card.
    pub fn host_only(&self, card: u32) -> Option<&str> {
        self.field(&format!("hostonlyadapter{card}"))
            .or_else(|| self.field(&format!("hostonly-network{card}")))
            .filter(|name| !name.is_empty())
    }

    /// The hardware address of a network card, in small letters.
    pub fn card(&self, card: u32) -> Option<String> {
        self.field(&format!("macaddress{card}"))
            .map(str::to_ascii_lowercase)
    }

    /// The ports that lead to it.
    pub fn forwardings(&self) -> Vec<Forwarding> {
        self.fields
            .iter()
            .filter(|(key, _)| key.starts_with("Forwarding("))
            .filter_map(|(_, value)| forwarding(value))
            .collect()
    }

    /// Whether it has a shared folder of this name.
    pub fn shares(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|(key, value)| key.starts_with("SharedFolderName") && value == name)
    }
}

/// Reads `ssh,tcp,127.0.0.1,33022,,22`.
fn forwarding(text: &str) -> Option<Forwarding> {
    let parts: Vec<&str> = text.split(',').collect();
    let [name, _, host, port, _, guest_port] = parts[..] else {
        return None;
    };
    Some(Forwarding {
        name: name.to_owned(),
        host: host.parse().ok(),
        port: port.parse().ok()?,
        guest_port: guest_port.parse().ok()?,
    })
}

impl VmState {
    /// VirtualBox's own word.
    pub fn word(&self) -> &str {
        &self.0
    }

    /// The state in the words of the driver contract.
    pub fn machine(&self) -> MachineState {
        match self.0.as_str() {
            "running" | "livesnapshotting" | "deletingsnapshotlive" | "teleporting" => {
                MachineState::Running
            }
            "paused" | "teleportingpausedvm" | "deletingsnapshotlivepaused" => MachineState::Paused,
            "gurumeditation" | "stuck" => MachineState::Error,
            "saved" | "aborted-saved" => MachineState::Saved,
            "poweroff" | "aborted" | "teleported" => MachineState::Stopped,
            "stopping" | "saving" | "onlinesnapshotting" => MachineState::Stopping,
            // Down already, and not to be touched before VirtualBox is done with it.
            "snapshotting" | "deletingsnapshot" | "restoringsnapshot" => MachineState::Stopping,
            "starting" | "restoring" | "settingup" | "teleportingin" => MachineState::Starting,
            _ => MachineState::None,
        }
    }

    /// Whether VirtualBox takes, restores or removes a snapshot of it. That takes as long as
    /// gigabytes do, goes on when whoever asked for it has gone, and allows nothing else.
    pub fn works_on_disks(&self) -> bool {
        matches!(
            self.0.as_str(),
            "snapshotting"
                | "onlinesnapshotting"
                | "livesnapshotting"
                | "restoringsnapshot"
                | "deletingsnapshot"
                | "deletingsnapshotlive"
                | "deletingsnapshotlivepaused"
        )
    }
}

/// A VM of `list vms`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegisteredVm {
    /// Its name; `<inaccessible>` where its files are gone.
    pub name: String,
    /// Its identity.
    pub id: String,
}

/// Reads `list vms`.
pub fn registered_vms(text: &str) -> Vec<RegisteredVm> {
    text.lines()
        .filter_map(|line| {
            let (name, id) = line.trim_end().strip_prefix('"')?.rsplit_once("\" {")?;
            Some(RegisteredVm {
                name: name.to_owned(),
                id: id.strip_suffix('}')?.to_owned(),
            })
        })
        .collect()
}

/// Whether a VM of `list vms --long` is attached to this host-only adapter or network.
pub fn uses_adapter(text: &str, name: &str) -> bool {
    let quoted = format!("'{name}'");
    text.lines()
        .filter(|line| line.trim_start().starts_with("NIC "))
        .any(|line| line.contains(&quoted))
}
