use std::fmt;
use std::str::FromStr;

use rmachine_driver::Secret;

use crate::EnvVar;

/// What a host is to become.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The host's name; `None` keeps the one it has.
    pub hostname: Option<String>,
    /// How the engine is to be set up.
    pub engine: EngineSettings,
    /// What the engine shows and trusts on its port.
    pub tls: TlsMaterial,
}

/// How the engine is to be set up: docker-machine's `--engine-*` flags, read.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The port of the TLS endpoint.
    pub port: u16,
    /// On which addresses it listens.
    pub bind: Bind,
    /// `--engine-opt`, in the order given.
    pub options: Vec<EngineOption>,
    /// `--engine-label` and the label that names the driver, as `key=value`.
    pub labels: Vec<String>,
    /// `--engine-env`.
    pub env: Vec<EnvVar>,
    /// `--engine-insecure-registry`.
    pub insecure_registries: Vec<String>,
    /// `--engine-registry-mirror`.
    pub registry_mirrors: Vec<String>,
    /// `--engine-storage-driver`; `None` leaves the choice to the engine.
    pub storage_driver: Option<String>,
    /// What it shows and trusts as a client of its cluster-store.
    pub store_tls: Option<TlsMaterial>,
    /// Where a missing engine comes from.
    pub install: EngineInstall,
    /// What [`EngineInstall::Script`] fetches and runs.
    pub install_url: String,
}

impl EngineSettings {
    /// Docker's own install script.
    pub const INSTALL_URL: &'static str = "https://get.docker.com";
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            port: 2376,
            bind: Bind::V4,
            options: Vec::new(),
            labels: Vec::new(),
            env: Vec::new(),
            insecure_registries: Vec::new(),
            registry_mirrors: Vec::new(),
            storage_driver: None,
            store_tls: None,
            install: EngineInstall::Auto,
            install_url: Self::INSTALL_URL.to_owned(),
        }
    }
}

/// On which addresses the engine listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bind {
    /// All IPv4 addresses.
    V4,
    /// All addresses, IPv6 and IPv4.
    V6,
}

impl Bind {
    /// The address as it stands in a URL.
    pub fn in_url(self) -> &'static str {
        match self {
            Self::V4 => "0.0.0.0",
            Self::V6 => "[::]",
        }
    }
}

/// Where a missing engine comes from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EngineInstall {
    /// The engine that is there, else the distribution's package.
    #[default]
    Auto,
    /// The distribution's package.
    Distro,
    /// The script at the install URL.
    Script,
    /// Nowhere: a host without an engine is refused.
    None,
}

impl EngineInstall {
    /// Every value, as it is typed.
    pub const NAMES: [&'static str; 4] = ["auto", "distro", "script", "none"];
}

impl fmt::Display for EngineInstall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Distro => "distro",
            Self::Script => "script",
            Self::None => "none",
        })
    }
}

impl FromStr for EngineInstall {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "distro" => Ok(Self::Distro),
            "script" => Ok(Self::Script),
            "none" => Ok(Self::None),
            _ => Err(InvalidSetting {
                text: text.to_owned(),
                expected: "auto, distro, script or none",
            }),
        }
    }
}

/// One option of dockerd: `name=value`, or a bare name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EngineOption {
    /// The option's long name, without dashes.
    pub name: String,
    /// Its value; a bare name has none.
    pub value: Option<String>,
}

impl FromStr for EngineOption {
    type Err = InvalidSetting;

    /// Reads `name=value` or `name`, with or without leading dashes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.trim_start_matches('-');
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if starts_well && name.chars().all(allowed) {
            Ok(Self {
                name: name.to_owned(),
                value,
            })
        } else {
            Err(InvalidSetting {
                text: text.to_owned(),
                expected: "an option of dockerd, as name=value or name",
            })
        }
    }
}

impl fmt::Display for EngineOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A text that cannot be read as a setting of the engine.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidSetting {
    /// What was given.
    pub text: String,
    /// What it should have been.
    pub expected: &'static str,
}

/// The PEM files of the engine's TLS endpoint.
#[derive(Clone, Debug)]
pub struct TlsMaterial {
    /// The authority whose clients are let in.
    pub ca: String,
    /// The server's certificate.
    pub certificate: String,
    /// The server's private key.
    pub key: Secret,
    /// The certificate that this one replaces, where the engine may go on with that until its next
    /// restart: it serves as well, and names or permits more than it should.
    pub replaces: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_options_as_people_type_them() {
        let read = |text: &str| text.parse::<EngineOption>().map(|o| (o.name, o.value));
        assert_eq!(
            read("log-opt=max-size=10m").unwrap(),
            ("log-opt".into(), Some("max-size=10m".into()))
        );
        assert_eq!(read("live-restore").unwrap(), ("live-restore".into(), None));
        assert_eq!(read("--bip=").unwrap(), ("bip".into(), Some(String::new())));
        for bad in ["", "=x", "a b=c", "-", "a\n=b"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reads_install_modes() {
        for name in EngineInstall::NAMES {
            assert_eq!(name.parse::<EngineInstall>().unwrap().to_string(), name);
        }
        assert!("Auto".parse::<EngineInstall>().is_err());
    }
}
