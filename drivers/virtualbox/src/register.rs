use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rmachine_driver::DriverError;
use serde::{Deserialize, Serialize};

use crate::answer::HostOnlyAdapter;
use crate::failure::file;
use crate::network::is_on;
use crate::subnet::HostCidr;

/// The host-only adapters that rmachine made, for the machines of one store.
///
/// VirtualBox chooses an adapter's name and keeps no notes on it. So what was there is written
/// down before one is made, and what is there besides may be ours; whoever was cut off in between,
/// the next one finds it. Read and written under the lock.
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
    /// The address that it is to have.
    making_at: Option<String>,
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

    /// Whether rmachine made the adapter, with this address.
    pub fn has(&self, adapter: &str, cidr: HostCidr) -> bool {
        self.entries.made.get(adapter) == Some(&cidr.to_string())
    }

    /// The adapters that rmachine made with this address.
    pub fn at<'a>(&'a self, cidr: &'a str) -> impl Iterator<Item = &'a str> {
        let made = self.entries.made.iter();
        made.filter(move |(_, at)| *at == cidr)
            .map(|(name, _)| name.as_str())
    }

    /// The adapters that may be one that was begun and not set up: they came after the note of it,
    /// and have the address that it was to have, or none of their own.
    pub fn half_made<'a>(
        &self,
        adapters: &'a [HostOnlyAdapter],
    ) -> impl Iterator<Item = &'a HostOnlyAdapter> {
        let cidr = self.entries.making_at.as_ref();
        let cidr: Option<HostCidr> = cidr.and_then(|cidr| cidr.parse().ok());
        let came = |name: &String| {
            let besides = self.entries.making_besides.as_ref();
            besides.is_some_and(|besides| !besides.contains(name))
        };
        adapters.iter().filter(move |adapter| {
            came(&adapter.name)
                && !self.entries.made.contains_key(&adapter.name)
                && (adapter.is_bare() || cidr.is_some_and(|cidr| is_on(adapter, cidr)))
        })
    }

    /// Notes that an adapter with this address is about to be made besides these, which are all.
    pub fn making(&mut self, cidr: HostCidr, besides: Vec<String>) -> Result<(), DriverError> {
        // One that is gone has left its name to others.
        self.entries.made.retain(|name, _| besides.contains(name));
        self.entries.making_besides = Some(besides);
        self.entries.making_at = Some(cidr.to_string());
        self.write()
    }

    /// Notes that it was made and set up.
    pub fn made(&mut self, adapter: &str, cidr: HostCidr) -> Result<(), DriverError> {
        self.entries.making_besides = None;
        self.entries.making_at = None;
        let made = &mut self.entries.made;
        made.insert(adapter.to_owned(), cidr.to_string());
        self.write()
    }

    /// Notes that none is being made any more, if one was.
    pub fn not_made(&mut self) -> Result<(), DriverError> {
        if self.entries.making_besides.take().is_none() {
            return Ok(());
        }
        self.entries.making_at = None;
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

    fn adapter(name: &str, address: &str, up: bool) -> HostOnlyAdapter {
        HostOnlyAdapter {
            name: name.to_owned(),
            address: address.parse().ok(),
            mask: "255.255.255.0".parse().ok(),
            up,
            network: format!("HostInterfaceNetworking-{name}"),
        }
    }

    #[test]
    fn what_came_besides_and_is_not_set_up_was_being_made() {
        let directory = tempfile::tempdir().unwrap();
        let cidr: HostCidr = "192.168.58.1/24".parse().unwrap();
        let first = adapter("vboxnet0", "192.168.56.1", true);
        let half = |register: &Register, adapters: &[HostOnlyAdapter]| -> Vec<String> {
            let half = register.half_made(adapters);
            half.map(|adapter| adapter.name.clone()).collect()
        };
        let bare = [first.clone(), adapter("vboxnet1", "192.168.57.1", false)];
        let mut register = Register::read(directory.path());
        assert!(half(&register, &bare).is_empty());
        register.making(cidr, vec!["vboxnet0".to_owned()]).unwrap();

        let mut register = Register::read(directory.path());
        assert!(half(&register, &bare[..1]).is_empty());
        assert_eq!(half(&register, &bare), ["vboxnet1"]);
        for (address, up, is_half) in [
            ("192.168.58.1", true, true),
            ("192.168.58.1", false, true),
            ("192.168.56.1", false, true),
            ("", false, true),
            // Somebody has set these up.
            ("192.168.57.1", true, false),
            ("192.168.60.1", false, false),
            ("192.168.60.1", true, false),
        ] {
            let came = [first.clone(), adapter("vboxnet1", address, up)];
            assert_eq!(half(&register, &came).len() == 1, is_half, "{address} {up}");
        }
        register.made("vboxnet1", cidr).unwrap();

        let mut register = Register::read(directory.path());
        assert!(half(&register, &bare).is_empty());
        let other = "192.168.60.1/24".parse().unwrap();
        assert!(register.has("vboxnet1", cidr) && !register.has("vboxnet1", other));
        assert_eq!(
            register.at("192.168.58.1/24").collect::<Vec<_>>(),
            ["vboxnet1"]
        );
        register.gone("vboxnet1").unwrap();
        assert!(!Register::read(directory.path()).has("vboxnet1", cidr));

        fs::write(directory.path().join("adapters.json"), "{").unwrap();
        assert!(!Register::read(directory.path()).has("vboxnet1", cidr));
    }

    #[test]
    fn the_name_of_one_that_is_gone_is_another_ones() {
        let directory = tempfile::tempdir().unwrap();
        let cidr: HostCidr = "192.168.58.1/24".parse().unwrap();
        let mut register = Register::read(directory.path());
        register.made("vboxnet0", cidr).unwrap();
        register.making(cidr, Vec::new()).unwrap();
        assert!(!register.has("vboxnet0", cidr));
        let again = [adapter("vboxnet0", "192.168.56.1", false)];
        assert_eq!(register.half_made(&again).count(), 1);
        register.not_made().unwrap();
        assert_eq!(register.half_made(&again).count(), 0);
    }
}
