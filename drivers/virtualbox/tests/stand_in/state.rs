use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Everything that there is, in a file that one call holds at a time.
pub struct Store {
    path: PathBuf,
    /// Held until the process ends.
    _lock: Option<File>,
    pub all: All,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub struct All {
    pub vms: Vec<Vm>,
    pub adapters: Vec<Adapter>,
    pub nets: Vec<Net>,
    pub servers: Vec<Server>,
    /// The disks that it has made, by their paths.
    pub disks: Vec<String>,
    /// How many VMs were ever made, for identities.
    pub made: u32,
}

#[derive(Clone, Default, Deserialize, Serialize)]
pub struct Vm {
    pub id: String,
    pub name: String,
    pub folder: PathBuf,
    pub state: String,
    /// Settings by the name of their option, without dashes.
    pub settings: BTreeMap<String, String>,
    /// Rules by name.
    pub rules: BTreeMap<String, String>,
    pub controllers: Vec<String>,
    /// Media by controller and port: `SATA-0-0`.
    pub media: BTreeMap<String, String>,
    pub shares: BTreeMap<String, String>,
    pub properties: BTreeMap<String, String>,
    #[serde(default)]
    pub snapshots: Vec<Snapshot>,
    /// What VirtualBox does to it by itself.
    #[serde(default)]
    pub busy: Option<Busy>,
}

/// A state that passes.
#[derive(Clone, Deserialize, Serialize)]
pub struct Busy {
    /// VirtualBox's word for it.
    pub word: String,
    /// How often it is still seen.
    pub looks: u32,
    /// The snapshot that is there afterwards.
    #[serde(default)]
    pub takes: Option<String>,
}

/// A VM as it was.
#[derive(Clone, Deserialize, Serialize)]
pub struct Snapshot {
    pub id: String,
    pub name: String,
    /// Whether the VM goes on from it.
    pub current: bool,
    pub state: String,
    pub settings: BTreeMap<String, String>,
    pub rules: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize, Serialize)]
pub struct Adapter {
    pub name: String,
    pub address: String,
    pub mask: String,
    pub up: bool,
}

#[derive(Clone, Deserialize, Serialize)]
pub struct Net {
    pub name: String,
    pub mask: String,
    pub lower: String,
    pub upper: String,
}

#[derive(Clone, Deserialize, Serialize)]
pub struct Server {
    pub network: String,
    pub address: String,
    pub mask: String,
    pub lower: String,
    pub upper: String,
    pub enabled: bool,
    /// Kept addresses by card.
    pub kept: BTreeMap<String, String>,
}

impl Store {
    pub fn open(directory: &Path) -> Self {
        let lock = File::create(directory.join("state.lock")).ok();
        if let Some(lock) = &lock {
            let _ = lock.lock();
        }
        let path = directory.join("state.json");
        let all = fs::read(&path).ok();
        let all = all.and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            path,
            _lock: lock,
            all: all.unwrap_or_default(),
        }
    }

    /// A process that is killed leaves the old state or the new one.
    pub fn save(&self) {
        let beside = self.path.with_extension("new");
        if let Ok(text) = serde_json::to_vec_pretty(&self.all)
            && fs::write(&beside, text).is_ok()
        {
            let _ = fs::rename(&beside, &self.path);
        }
    }

    pub fn vm(&mut self, name: &str) -> Option<&mut Vm> {
        let by_id = self.all.vms.iter().position(|vm| vm.id == name);
        let found = by_id.or_else(|| self.all.vms.iter().position(|vm| vm.name == name))?;
        self.all.vms.get_mut(found)
    }
}
