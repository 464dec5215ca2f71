use std::fmt::{self, Display};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use rmachine_driver::{DriverConfig, DriverError, FlagError, FlagValues};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::flags;
use crate::host::DockerHost;
use crate::isolation::Isolation;
use crate::recipe::{Recipe, Release};

/// The port of sshd, and of the engine, on a machine.
pub const SSH_PORT: u16 = 22;
/// See [`SSH_PORT`].
pub const ENGINE_PORT: u16 = 2376;

/// What the record keeps, in docker-machine's words where it has some.
///
/// The driver's own settings are as the flags gave them; what `create` found or made is filled in
/// by it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// Where clients reach the machine: its fixed address, or the loopback where its ports are
    /// published; empty where the engine gives another one at each start.
    #[serde(rename = "IPAddress", deserialize_with = "blank_is_none")]
    pub ip_address: Option<Ipv4Addr>,
    pub machine_name: String,
    #[serde(rename = "SSHUser")]
    pub ssh_user: String,
    #[serde(rename = "SSHPort")]
    pub ssh_port: u16,
    #[serde(rename = "SSHKeyPath")]
    pub ssh_key_path: PathBuf,
    pub store_path: PathBuf,
    /// The port in the machine's URL.
    pub engine_port: u16,

    /// The engine below; empty until one was found.
    #[serde(deserialize_with = "blank_is_none")]
    pub docker_host: Option<DockerHost>,
    /// The user's own image; empty for the one that rmachine builds.
    #[serde(deserialize_with = "blank_is_none")]
    pub wanted_image: Option<String>,
    /// The user's own network; empty for the one that machines share.
    #[serde(deserialize_with = "blank_is_none")]
    pub wanted_network: Option<String>,
    /// In megabytes; 0 sets no limit.
    pub memory: u64,
    #[serde(rename = "CPUs", deserialize_with = "blank_is_none")]
    pub cpus: Option<Cpus>,
    #[serde(deserialize_with = "blank_is_none")]
    pub release: Option<Release>,
    #[serde(deserialize_with = "blank_is_none")]
    pub debian_mirror: Option<String>,
    /// Whether the ports are published on the loopback, by wish or by need.
    pub publish: bool,

    #[serde(deserialize_with = "blank_is_none")]
    pub container_id: Option<String>,
    #[serde(deserialize_with = "blank_is_none")]
    pub image: Option<String>,
    #[serde(deserialize_with = "blank_is_none")]
    pub network: Option<String>,
    #[serde(deserialize_with = "blank_is_none")]
    pub isolation: Option<Isolation>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ip_address: None,
            machine_name: String::new(),
            ssh_user: "docker".to_owned(),
            ssh_port: SSH_PORT,
            ssh_key_path: PathBuf::new(),
            store_path: PathBuf::new(),
            engine_port: ENGINE_PORT,
            docker_host: None,
            wanted_image: None,
            wanted_network: None,
            memory: 0,
            cpus: None,
            release: None,
            debian_mirror: None,
            publish: false,
            container_id: None,
            image: None,
            network: None,
            isolation: None,
        }
    }
}

impl Config {
    /// The settings that the flags ask for.
    pub fn from_flags(values: &FlagValues) -> Result<Self, FlagError> {
        Ok(Self {
            docker_host: parsed(values, flags::HOST)?,
            wanted_image: values.text(flags::IMAGE).map(str::to_owned),
            wanted_network: values.text(flags::NETWORK).map(str::to_owned),
            memory: values.number(flags::MEMORY)?,
            cpus: parsed(values, flags::CPUS)?,
            release: parsed(values, flags::RELEASE)?,
            debian_mirror: parsed::<Mirror>(values, flags::MIRROR)?.map(|mirror| mirror.0),
            publish: values.switch(flags::PUBLISH),
            ..Self::default()
        })
    }

    /// Reads the record.
    pub fn from_record(record: &DriverConfig) -> Result<Self, DriverError> {
        serde_json::from_value(Value::Object(record.clone())).map_err(|error| DriverError::Config {
            reason: error.to_string(),
        })
    }

    /// Writes into the record, leaving what is not ours.
    pub fn write_to(&self, record: &mut DriverConfig) {
        // A struct of strings and numbers always has a JSON form.
        if let Ok(Value::Object(fields)) = serde_json::to_value(self) {
            record.extend(fields);
        }
    }

    /// How the node image is made, unless the user brought one.
    pub fn recipe(&self) -> Recipe {
        Recipe {
            release: self.release.clone().unwrap_or_default(),
            mirror: self.debian_mirror.clone(),
        }
    }
}

/// A share of the processors: `2` or `1.5`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cpus(String);

impl Cpus {
    /// In billionths of a processor, as engines count.
    pub fn nano(&self) -> i64 {
        nano(&self.0).unwrap_or(0)
    }
}

fn nano(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    let whole: i64 = whole.parse().ok().filter(|n| *n <= 100_000)?;
    let part: i64 = format!("{part:0<9}").parse().ok()?;
    Some(whole * 1_000_000_000 + part).filter(|n| *n > 0)
}

impl FromStr for Cpus {
    type Err = InvalidCpus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match nano(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(InvalidCpus),
        }
    }
}

impl TryFrom<String> for Cpus {
    type Error = InvalidCpus;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Cpus> for String {
    fn from(cpus: Cpus) -> Self {
        cpus.0
    }
}

impl Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is no number of processors.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a number of processors above 0, such as 2 or 1.5")]
pub struct InvalidCpus;

/// The address of a package archive, safe in a `sources.list`.
struct Mirror(String);

impl FromStr for Mirror {
    type Err = InvalidMirror;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_ascii_graphic() && !"'\"\\[]".contains(c);
        let known = text.starts_with("http://") || text.starts_with("https://");
        if known && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidMirror)
        }
    }
}

/// The text is no address of an archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the http:// or https:// address of a Debian archive")]
struct InvalidMirror;

fn parsed<T: FromStr<Err: Display>>(
    values: &FlagValues,
    flag: &'static str,
) -> Result<Option<T>, FlagError> {
    let Some(text) = values.text(flag) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|error: T::Err| FlagError::Invalid {
            flag,
            value: text.to_owned(),
            reason: error.to_string(),
        })
}

/// docker-machine writes absent texts as empty ones.
fn blank_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.filter(|text| !text.is_empty())
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .transpose()
}

#[cfg(test)]
mod tests {
    use rmachine_driver::FlagValue;
    use serde_json::json;

    use super::*;

    fn record(value: Value) -> DriverConfig {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_record_survives_being_read_and_written() {
        let given = record(json!({
            "IPAddress": "10.213.0.2", "MachineName": "n1", "SSHUser": "docker", "SSHPort": 22,
            "Memory": 512, "CPUs": "1.5", "DockerHost": "unix:///var/run/docker.sock",
            "Isolation": "capabilities", "SwarmMaster": false, "Theirs": {"a": [1]},
        }));
        let config = Config::from_record(&given).unwrap();
        assert_eq!(config.ip_address, Some(Ipv4Addr::new(10, 213, 0, 2)));
        assert_eq!(config.isolation, Some(Isolation::Capabilities));
        let mut written = given.clone();
        config.write_to(&mut written);
        for (key, value) in &given {
            assert_eq!(&written[key], value, "{key}");
        }
        assert_eq!(Config::from_record(&written).unwrap(), config);
    }

    #[test]
    fn empty_and_missing_texts_are_absent() {
        let config = Config::from_record(&record(json!({"IPAddress": "", "Release": null})));
        assert_eq!(config.unwrap(), Config::default());
    }

    #[test]
    fn a_field_that_cannot_be_read_is_explained() {
        let error = Config::from_record(&record(json!({"CPUs": "many"}))).unwrap_err();
        assert!(
            error.to_string().contains("a number of processors"),
            "{error}"
        );
    }

    #[test]
    fn flags_are_checked() {
        let given = |flag: &str, value: &str| {
            let mut values = FlagValues::defaults(flags::FLAGS);
            values.set(flag, FlagValue::Text(value.to_owned()));
            Config::from_flags(&values)
        };
        assert_eq!(
            given(flags::CPUS, "0.5").unwrap().cpus.unwrap().nano(),
            500_000_000
        );
        for (flag, bad) in [
            (flags::CPUS, "0"),
            (flags::CPUS, "-1"),
            (flags::CPUS, "1.0000000001"),
            (flags::RELEASE, "Debian 12"),
            (flags::HOST, "ssh://a"),
            (flags::MIRROR, "http://m/d main\ndeb http://evil"),
        ] {
            assert!(given(flag, bad).is_err(), "--{flag} {bad:?}");
        }
        let plain = Config::from_flags(&FlagValues::defaults(flags::FLAGS)).unwrap();
        assert_eq!(plain.recipe().base(), "debian:bookworm-slim");
    }
}
