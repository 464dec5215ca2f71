use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rmachine_driver::DriverError;
use serde::{Deserialize, Serialize};

use crate::failure::file;

/// The host-only adapters that rmachine made, for the machines of one store.
///
/// VirtualBox chooses an adapter's name and keeps no notes on it. So what was there is written
/// down before one is made, and what is there besides is ours; whoever was cut off in between, the
/// next one finds it. Read and written under the lock.
#[derive(Debug)]
pub struct Register {
    path: PathBuf,
    entries: Entries,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Entries {
    /// Adapters by name, each with this computer's address on it.
    made: BTreeMap<String, String>,
    /// An adapter is being made, besides these.
    making_besides: Option<Vec<String>>,
}

impl Register {
    /// Reads the register in this directory; a missing one is empty, and so is one that cannot
    /// be understood: then adapters stay that could have gone.
    pub fn read(directory: &Path) -> Self {
        let path = directory.join("adapters.json");
        let entries = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self { path, entries }
    }

    /// Whether rmachine made the adapter.
    pub fn has(&self, adapter: &str) -> bool {
        self.entries.made.contains_key(adapter)
    }

    /// The adapters that rmachine made with this address.
    pub fn at<'a>(&'a self, cidr: &'a str) -> impl Iterator<Item = &'a str> {
        let made = self.entries.made.iter();
        made.filter(move |(_, at)| *at == cidr)
            .map(|(name, _)| name.as_str())
    }

    /// An adapter that somebody began to make and did not set up.
    pub fn half_made<'a>(&self, adapters: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let besides = self.entries.making_besides.as_ref()?;
        adapters
            .into_iter()
            .find(|name| !besides.iter().any(|b| b == name) && !self.has(name))
    }

    /// Notes that an adapter is about to be made besides these.
    pub fn making(&mut self, besides: Vec<String>) -> Result<(), DriverError> {
        self.entries.making_besides = Some(besides);
        self.write()
    }

    /// Notes that it was made and set up.
    pub fn made(&mut self, adapter: &str, cidr: &str) -> Result<(), DriverError> {
        self.entries.making_besides = None;
        self.entries
            .made
            .insert(adapter.to_owned(), cidr.to_owned());
        self.write()
    }

    /// Notes that it was not made after all.
    pub fn not_made(&mut self) -> Result<(), DriverError> {
        self.entries.making_besides = None;
        self.write()
    }

    /// Notes that an adapter is gone.
    pub fn gone(&mut self, adapter: &str) -> Result<(), DriverError> {
        self.entries.made.remove(adapter);
        self.write()
    }

    fn write(&self) -> Result<(), DriverError> {
        let written = || -> io::Result<()> {
            let directory = self.path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(directory)?;
            let mut beside = tempfile::NamedTempFile::new_in(directory)?;
            beside.write_all(&serde_json::to_vec_pretty(&self.entries)?)?;
            beside.as_file().sync_all()?;
            beside.persist(&self.path)?;
            Ok(())
        };
        written().map_err(|source| file(&self.path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_besides_was_being_made() {
        let directory = tempfile::tempdir().unwrap();
        let mut register = Register::read(directory.path());
        assert_eq!(register.half_made(["vboxnet0"]), None);
        register.making(vec!["vboxnet0".to_owned()]).unwrap();

        let mut register = Register::read(directory.path());
        assert_eq!(register.half_made(["vboxnet0"]), None);
        let half = register.half_made(["vboxnet0", "vboxnet1"]);
        assert_eq!(half, Some("vboxnet1"));
        register.made("vboxnet1", "192.168.58.1/24").unwrap();

        let mut register = Register::read(directory.path());
        assert_eq!(register.half_made(["vboxnet0", "vboxnet1"]), None);
        assert!(register.has("vboxnet1") && !register.has("vboxnet0"));
        assert_eq!(
            register.at("192.168.58.1/24").collect::<Vec<_>>(),
            ["vboxnet1"]
        );
        register.gone("vboxnet1").unwrap();
        assert!(!Register::read(directory.path()).has("vboxnet1"));

        fs::write(directory.path().join("adapters.json"), "{").unwrap();
        assert!(!Register::read(directory.path()).has("vboxnet1"));
    }
}
