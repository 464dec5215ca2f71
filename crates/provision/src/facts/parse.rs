use std::collections::BTreeMap;

use super::{
    EngineFacts, EngineVersion, Facts, FileFacts, Init, Interface, Listener, Masked, OsRelease,
    PackageManager, ServiceFacts, Socket, TlsFile, Unfinished,
};
use crate::ProvisionError;

const FIRST_LINE: &str = "rmachine-facts 1";
const LAST_LINE: &str = "end";
const RUNTIME_UNITS: &str = "/run/systemd/";

impl Facts {
    /// Reads what [`facts_script`](super::facts_script) printed.
    ///
    /// # Errors
    /// [`ProvisionError::FactsUnreadable`] when the output is cut off or is no such output,
    /// [`ProvisionError::Busy`] when another run did not end in time,
    /// [`ProvisionError::Unanswered`] when the host was too slow to tell something.
    pub fn parse(stdout: &[u8]) -> Result<Self, ProvisionError> {
        let text = String::from_utf8_lossy(stdout);
        let raw = Raw::read(&text)?;
        if let Some(lock) = raw.first("busy") {
            return Err(ProvisionError::Busy {
                lock: lock.to_owned(),
            });
        }
        if let Some(question) = raw.first("unanswered") {
            return Err(ProvisionError::Unanswered {
                question: question.to_owned(),
            });
        }
        raw.facts()
    }
}

/// The output as it stands: facts by key in their order, and files.
struct Raw<'a> {
    facts: Vec<(&'a str, &'a str)>,
    files: BTreeMap<String, FileFacts>,
    before: BTreeMap<String, Option<FileFacts>>,
}

/// A file whose lines are being read.
struct Open {
    before: bool,
    path: String,
    file: FileFacts,
}

impl<'a> Raw<'a> {
    fn read(text: &'a str) -> Result<Self, ProvisionError> {
        // Only `\n` ends a line: files may hold `\r\n`, and keep it.
        let mut lines = text.split('\n').skip_while(|line| *line != FIRST_LINE);
        if lines.next().is_none() {
            return Err(unreadable("the output does not begin as it should"));
        }
        let mut raw = Self {
            facts: Vec::new(),
            files: BTreeMap::new(),
            before: BTreeMap::new(),
        };
        let mut open: Option<Open> = None;
        for line in lines {
            if let Some(text) = line.strip_prefix('|') {
                let Open { file, .. } = open
                    .as_mut()
                    .ok_or_else(|| unreadable("a line of a file belongs to no file"))?;
                file.content.push_str(text);
                file.content.push('\n');
                continue;
            }
            raw.close(open.take());
            if line == LAST_LINE {
                return Ok(raw);
            }
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "file" | "before" => open = Some(opened(key == "before", value)?),
                "absent" => {
                    raw.before.insert(value.to_owned(), None);
                }
                _ => raw.facts.push((key, value)),
            }
        }
        Err(unreadable("the output was cut off"))
    }

    fn close(&mut self, open: Option<Open>) {
        let Some(Open {
            before,
            path,
            mut file,
        }) = open
        else {
            return;
        };
        // The script's mark for the end: a dot behind the last byte, then a line end.
        let text = file.content.strip_suffix(".\n").unwrap_or(&file.content);
        file.content.truncate(text.len());
        if before {
            self.before.insert(path, Some(file));
        } else {
            self.files.insert(path, file);
        }
    }

    fn first(&self, key: &str) -> Option<&'a str> {
        self.all(key).next()
    }

    fn all<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.facts
            .iter()
            .filter(move |(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    fn needed(&self, key: &str) -> Result<&'a str, ProvisionError> {
        self.first(key)
            .ok_or_else(|| unreadable(&format!("it does not tell its {key}")))
    }

    fn number<N: std::str::FromStr>(&self, key: &str) -> Result<N, ProvisionError> {
        let text = self.needed(key)?;
        text.parse()
            .map_err(|_| unreadable(&format!("its {key} is {text:?}, not a number")))
    }

    fn facts(self) -> Result<Facts, ProvisionError> {
        let init = match self.needed("init")? {
            "systemd" => Init::Systemd,
            "openrc" => Init::Openrc,
            "sysvinit" => Init::Sysvinit,
            _ => Init::None,
        };
        Ok(Facts {
            uid: self.number("uid")?,
            os: self.os(),
            kernel: self.needed("kernel")?.to_owned(),
            arch: self.needed("arch")?.to_owned(),
            hostname: self.needed("hostname")?.to_owned(),
            init,
            package_managers: self.all("packages").filter_map(package_manager).collect(),
            fetchers: self.all("fetcher").map(str::to_owned).collect(),
            package_lock: self.first("packagelock").map(str::to_owned),
            engine: self.engine(),
            service: match init {
                Init::Systemd => self.systemd_service(),
                _ => self.script_service(),
            },
            tls: self.tls(),
            interfaces: self.interfaces(),
            listeners: self.all("listen").filter_map(listener).collect(),
            free: self.free(),
            memory: self
                .first("memory")
                .and_then(|kib| kib.parse::<u64>().ok())
                .map_or(0, |kib| kib * 1024),
            clock: self.number("clock")?,
            clock_ahead: None,
            cgroup: self.number("cgroup")?,
            unfinished: self.all("unfinished").filter_map(unfinished).collect(),
            files: self.files,
            before: self.before,
        })
    }

    fn os(&self) -> OsRelease {
        let text = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| self.files.get(*path))
            .map_or("", |file| file.content.as_str());
        OsRelease::parse(text)
    }

    fn engine(&self) -> Option<EngineFacts> {
        Some(EngineFacts {
            path: self.first("dockerd")?.to_owned(),
            version: self
                .first("dockerdversion")
                .and_then(|line| line.parse::<EngineVersion>().ok()),
        })
    }

    fn systemd_service(&self) -> Option<ServiceFacts> {
        let fragment = self.first("fragment")?;
        let service = self.unit("docker.service");
        let socket = self.unit("docker.socket");
        let mut drop_ins: Vec<String> = self.all("dropin").map(str::to_owned).collect();
        drop_ins.sort_by(|a, b| file_name(a).cmp(file_name(b)));
        let masked = match self.first("masked") {
            None => Masked::No,
            Some(path) if path.starts_with(RUNTIME_UNITS) => Masked::Runtime,
            Some(_) => Masked::Yes,
        };
        Some(ServiceFacts {
            name: "docker.service".to_owned(),
            active: service.get("ActiveState") == Some(&"active"),
            enabled: service
                .get("UnitFileState")
                .is_none_or(|state| !matches!(*state, "disabled" | "" | "masked-runtime")),
            masked,
            stale: service.get("NeedDaemonReload") == Some(&"yes")
                || service.get("LoadState") == Some(&"not-found"),
            fragment: fragment.to_owned(),
            drop_ins,
            socket: match socket.get("LoadState") {
                Some(&"masked") if masked != Masked::Runtime => Socket::Masked,
                None | Some(&"not-found") => Socket::Absent,
                Some(_) => Socket::Present,
            },
        })
    }

    /// The properties of one unit; `systemctl show` separates units by an empty line.
    fn unit(&self, id: &str) -> BTreeMap<&'a str, &'a str> {
        let properties: Vec<&str> = self.all("unit").collect();
        properties
            .split(|line| line.is_empty())
            .map(|block| {
                block
                    .iter()
                    .filter_map(|line| line.split_once('='))
                    .collect::<BTreeMap<_, _>>()
            })
            .find(|block| block.get("Id") == Some(&id))
            .unwrap_or_default()
    }

    fn script_service(&self) -> Option<ServiceFacts> {
        Some(ServiceFacts {
            name: self.first("service")?.to_owned(),
            active: self.first("serviceactive").is_some(),
            enabled: self.first("serviceenabled").is_some(),
            masked: Masked::No,
            stale: false,
            fragment: String::new(),
            drop_ins: Vec::new(),
            socket: Socket::Absent,
        })
    }

    fn tls(&self) -> BTreeMap<String, TlsFile> {
        self.all("hash")
            .filter_map(|line| {
                let mut words = line.splitn(3, ' ');
                let sha256 = words.next()?.to_owned();
                let mode = u32::from_str_radix(words.next()?, 8).ok()?;
                Some((words.next()?.to_owned(), TlsFile { mode, sha256 }))
            })
            .collect()
    }

    fn interfaces(&self) -> Vec<Interface> {
        let mut interfaces: Vec<Interface> = Vec::new();
        let mut at = |name: &str| match interfaces.iter().position(|i| i.name == name) {
            Some(index) => index,
            None => {
                interfaces.push(Interface {
                    name: name.to_owned(),
                    addresses: Vec::new(),
                });
                interfaces.len() - 1
            }
        };
        let mut addresses = Vec::new();
        for name in self.all("interface") {
            at(name);
        }
        for line in self.all("address") {
            if let Some((name, Ok(address))) = line.split_once(' ').map(|(n, a)| (n, a.parse())) {
                addresses.push((at(name), address));
            }
        }
        for (index, address) in addresses {
            if let Some(interface) = interfaces.get_mut(index) {
                interface.addresses.push(address);
            }
        }
        interfaces
    }

    fn free(&self) -> BTreeMap<String, u64> {
        self.all("free")
            .filter_map(|line| {
                let (kib, path) = line.split_once(' ')?;
                Some((path.to_owned(), kib.parse::<u64>().ok()? * 1024))
            })
            .collect()
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn opened(before: bool, value: &str) -> Result<Open, ProvisionError> {
    let (mode, path) = value
        .split_once(' ')
        .ok_or_else(|| unreadable("a file has no path"))?;
    Ok(Open {
        before,
        path: path.to_owned(),
        file: FileFacts {
            mode: parse_mode(mode)?,
            content: String::new(),
        },
    })
}

fn parse_mode(text: &str) -> Result<u32, ProvisionError> {
    u32::from_str_radix(text, 8).map_err(|_| unreadable(&format!("{text:?} is not a file mode")))
}

fn package_manager(name: &str) -> Option<PackageManager> {
    Some(match name {
        "apt" => PackageManager::Apt,
        "dnf" => PackageManager::Dnf,
        "yum" => PackageManager::Yum,
        "zypper" => PackageManager::Zypper,
        "pacman" => PackageManager::Pacman,
        "apk" => PackageManager::Apk,
        _ => return None,
    })
}

fn listener(line: &str) -> Option<Listener> {
    let (port, program) = line.split_once(' ')?;
    Some(Listener {
        port: port.parse().ok()?,
        program: (program != "?").then(|| program.to_owned()),
    })
}

fn unfinished(word: &str) -> Option<Unfinished> {
    Some(match word {
        "install" => Unfinished::Install,
        "staging" => Unfinished::Staging,
        "changing" => Unfinished::Changing,
        _ => return None,
    })
}

fn unreadable(reason: &str) -> ProvisionError {
    ProvisionError::FactsUnreadable {
        reason: reason.to_owned(),
        stderr: String::new(),
    }
}
