use std::fmt::Display;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rmachine_driver::{DriverConfig, DriverError, FlagError, FlagValues, NamedFile};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::flags;
use crate::subnet::HostCidr;

/// The port of the engine on a machine.
pub const ENGINE_PORT: u16 = 2376;

/// What the record keeps: docker-machine's fields under its names, and some of ours behind them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// The machine's host-only address; empty while only the running machine knows it.
    #[serde(
        rename = "IPAddress",
        deserialize_with = "blank_is_none",
        serialize_with = "none_is_blank"
    )]
    pub ip_address: Option<Ipv4Addr>,
    pub machine_name: String,
    #[serde(rename = "SSHUser")]
    pub ssh_user: String,
    /// This computer's port that leads to the machine's sshd; 0 while there is none.
    #[serde(rename = "SSHPort")]
    pub ssh_port: u16,
    #[serde(rename = "SSHKeyPath")]
    pub ssh_key_path: PathBuf,
    pub store_path: PathBuf,

    /// docker-machine keeps these two empty and wants them there.
    #[serde(rename = "VBoxManager")]
    pub vbox_manager: Map<String, Value>,
    pub host_interfaces: Map<String, Value>,
    #[serde(rename = "CPU")]
    pub cpu: i64,
    /// In megabytes.
    pub memory: u32,
    /// In megabytes.
    pub disk_size: u32,
    pub nat_nic_type: String,
    #[serde(rename = "Boot2DockerURL")]
    pub boot2docker_url: String,
    #[serde(rename = "Boot2DockerImportVM")]
    pub boot2docker_import_vm: String,
    #[serde(rename = "HostDNSResolver")]
    pub host_dns_resolver: bool,
    #[serde(
        rename = "HostOnlyCIDR",
        deserialize_with = "blank_is_none",
        serialize_with = "none_is_blank"
    )]
    pub host_only_cidr: Option<HostCidr>,
    pub host_only_nic_type: String,
    pub host_only_promisc_mode: String,
    #[serde(rename = "UIType")]
    pub ui_type: String,
    #[serde(rename = "HostOnlyNoDHCP")]
    pub host_only_no_dhcp: bool,
    pub no_share: bool,
    #[serde(rename = "DNSProxy")]
    pub dns_proxy: bool,
    #[serde(rename = "NoVTXCheck")]
    pub no_vtx_check: bool,
    pub share_folder: String,

    /// The VM's identity; empty where docker-machine made it, which goes by the name.
    #[serde(
        rename = "VMID",
        deserialize_with = "blank_is_none",
        serialize_with = "none_is_blank"
    )]
    pub vm_id: Option<VmId>,
    /// The address that was asked for; empty for one that we choose.
    #[serde(deserialize_with = "blank_is_none", serialize_with = "none_is_blank")]
    pub host_only_address: Option<WantedAddress>,
    /// Whether the address is kept for the machine by VirtualBox's DHCP server.
    pub address_kept: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ip_address: None,
            machine_name: String::new(),
            ssh_user: "docker".to_owned(),
            ssh_port: 0,
            ssh_key_path: PathBuf::new(),
            store_path: PathBuf::new(),
            vbox_manager: Map::new(),
            host_interfaces: Map::new(),
            cpu: 1,
            memory: 1024,
            disk_size: 20000,
            nat_nic_type: "82540EM".to_owned(),
            boot2docker_url: String::new(),
            boot2docker_import_vm: String::new(),
            host_dns_resolver: false,
            host_only_cidr: None,
            host_only_nic_type: "82540EM".to_owned(),
            host_only_promisc_mode: "deny".to_owned(),
            ui_type: "headless".to_owned(),
            host_only_no_dhcp: false,
            no_share: false,
            dns_proxy: true,
            no_vtx_check: false,
            share_folder: String::new(),
            vm_id: None,
            host_only_address: None,
            address_kept: false,
        }
    }
}

/// The kinds of network cards that VirtualBox has, under the names that it takes.
const CARDS: &[&str] = &[
    "Am79C970A",
    "Am79C973",
    "Am79C960",
    "82540EM",
    "82543GC",
    "82545EM",
    "virtio",
];
const PROMISCUITY: &[&str] = &["deny", "allow-vms", "allow-all"];
const FRONTENDS: &[&str] = &["headless", "gui", "sdl", "separate"];

/// The most memory and disk, in megabytes, that VirtualBox and its disk format take.
const MOST: u32 = 2_000_000;

impl Config {
    /// The settings that the flags ask for.
    pub fn from_flags(values: &FlagValues) -> Result<Self, FlagError> {
        let text = |flag| values.text(flag).unwrap_or_default().to_owned();
        let share_folder = text(flags::SHARE_FOLDER);
        if !share_folder.is_empty() && crate::share::split(&share_folder).is_none() {
            return Err(invalid(
                flags::SHARE_FOLDER,
                &share_folder,
                "a directory and the name it gets, as dir:name, without blanks in the name",
            ));
        }
        let import = text(flags::IMPORT_VM);
        if import.starts_with('-') {
            return Err(invalid(flags::IMPORT_VM, &import, "the name of a VM"));
        }
        Ok(Self {
            memory: within(values, flags::MEMORY, 4, MOST)?,
            cpu: processors(values)?,
            disk_size: within(values, flags::DISK_SIZE, 16, MOST)?,
            boot2docker_url: image(values)?,
            boot2docker_import_vm: import,
            host_dns_resolver: values.switch(flags::HOST_DNS_RESOLVER),
            nat_nic_type: one_of(values, flags::NAT_NICTYPE, CARDS)?,
            host_only_cidr: parsed(values, flags::HOSTONLY_CIDR)?,
            host_only_address: parsed(values, flags::HOSTONLY_ADDRESS)?,
            host_only_nic_type: one_of(values, flags::HOSTONLY_NICTYPE, CARDS)?,
            host_only_promisc_mode: one_of(values, flags::HOSTONLY_NICPROMISC, PROMISCUITY)?,
            host_only_no_dhcp: values.switch(flags::HOSTONLY_NO_DHCP),
            ui_type: one_of(values, flags::UI_TYPE, FRONTENDS)?,
            no_share: values.switch(flags::NO_SHARE),
            dns_proxy: !values.switch(flags::NO_DNS_PROXY),
            no_vtx_check: values.switch(flags::NO_VTX_CHECK),
            share_folder,
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

    /// Where its ISO image comes from; `None` for the one that machines boot unless told otherwise.
    pub fn image(&self) -> Option<&str> {
        Some(self.boot2docker_url.as_str()).filter(|url| !url.is_empty())
    }

    /// The files of this computer that the settings name: the login key, an ISO that is a file,
    /// and the shared directory.
    pub fn named_files(&self) -> Vec<NamedFile> {
        let url = self.boot2docker_url.as_str();
        let iso = match Url::parse(url) {
            Ok(parsed) if parsed.scheme() == "file" => {
                Some(parsed.to_file_path().unwrap_or_else(|()| url.into()))
            }
            Ok(_) => None,
            Err(_) => url.contains(['/', '\\']).then(|| url.into()),
        };
        let share = crate::share::split(&self.share_folder).map(|(directory, _)| directory);
        let named = [
            ("Driver.SSHKeyPath", Some(self.ssh_key_path.clone())),
            ("Driver.Boot2DockerURL", iso),
            ("Driver.ShareFolder", share.map(PathBuf::from)),
        ];
        named
            .into_iter()
            .filter_map(|(field, path)| Some(NamedFile { field, path: path? }))
            .collect()
    }

    /// Whether the machine is to keep its address. One that docker-machine made is left as it is.
    pub fn wants_kept_address(&self) -> bool {
        self.vm_id.is_some() && !self.host_only_no_dhcp && !self.asks_for_dhcp()
    }

    /// Whether an address that may change was asked for.
    pub fn asks_for_dhcp(&self) -> bool {
        self.host_only_address == Some(WantedAddress::Dhcp)
    }
}

/// What was asked of the machine's host-only address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WantedAddress {
    /// Any, and another one when the DHCP server likes.
    Dhcp,
    /// This one.
    Is(Ipv4Addr),
}

impl FromStr for WantedAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "dhcp" {
            return Ok(Self::Dhcp);
        }
        text.parse().map(Self::Is).map_err(|_| InvalidAddress)
    }
}

impl Display for WantedAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dhcp => f.write_str("dhcp"),
            Self::Is(address) => address.fmt(f),
        }
    }
}

/// The text is no address for a machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an IPv4 address of the host-only network, or dhcp")]
pub struct InvalidAddress;

/// A VM's identity, which we choose before the VM is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VmId(String);

impl VmId {
    /// One that no other VM has.
    pub fn new() -> Self {
        let mut bytes: [u8; 16] = rand::random();
        // A random UUID, RFC 9562, section 5.4.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        Self(parts.join("-"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for VmId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for VmId {
    type Err = InvalidVmId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = |(place, c): (usize, char)| match place {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        };
        if text.len() == 36 && text.char_indices().all(shape) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidVmId)
        }
    }
}

/// The text is no identity of a VM.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the UUID of a VM")]
pub struct InvalidVmId;

fn invalid(flag: &'static str, value: &str, reason: &str) -> FlagError {
    FlagError::Invalid {
        flag,
        value: value.to_owned(),
        reason: reason.to_owned(),
    }
}

fn within(
    values: &FlagValues,
    flag: &'static str,
    least: u32,
    most: u32,
) -> Result<u32, FlagError> {
    let number: u32 = values.number(flag)?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    let reason = format!("a number of megabytes from {least} to {most}");
    Err(invalid(flag, &number.to_string(), &reason))
}

fn processors(values: &FlagValues) -> Result<i64, FlagError> {
    let number: i64 = values.number(flags::CPU_COUNT)?;
    if number == -1 || (1..=i64::from(MOST_PROCESSORS)).contains(&number) {
        return Ok(number);
    }
    let reason = format!("a number from 1 to {MOST_PROCESSORS}, or -1 for all");
    Err(invalid(flags::CPU_COUNT, &number.to_string(), &reason))
}

/// The most processors of a VM.
pub const MOST_PROCESSORS: u32 = 32;

/// Where the ISO image comes from: a URL, a file's absolute path, or a name in the cache. Empty
/// where nothing was asked for.
fn image(values: &FlagValues) -> Result<String, FlagError> {
    let url = values.text(flags::BOOT2DOCKER_URL).unwrap_or_default();
    match values.text(flags::ISO) {
        None if url.is_empty() || is_url(url) => Ok(url.to_owned()),
        None => {
            let reason =
                "an http://, https:// or file:// URL of an ISO image (--iso takes names and files)";
            Err(invalid(flags::BOOT2DOCKER_URL, url, reason))
        }
        Some(iso) if !url.is_empty() => {
            let reason = format!("--{} names another one, {url}", flags::BOOT2DOCKER_URL);
            Err(invalid(flags::ISO, iso, &reason))
        }
        Some(iso) if is_url(iso) => Ok(iso.to_owned()),
        Some(iso) if iso.contains(std::path::is_separator) => {
            let path = std::path::absolute(iso).ok();
            let path = path.as_deref().and_then(Path::to_str).map(str::to_owned);
            path.ok_or_else(|| invalid(flags::ISO, iso, "it cannot be made an absolute path"))
        }
        Some(iso) => Ok(iso.to_owned()),
    }
}

fn is_url(text: &str) -> bool {
    let known = ["http://", "https://", "file://"];
    known.iter().any(|scheme| text.starts_with(scheme))
}

fn one_of(
    values: &FlagValues,
    flag: &'static str,
    known: &[&'static str],
) -> Result<String, FlagError> {
    let given = values.required(flag)?;
    known
        .iter()
        .find(|name| name.eq_ignore_ascii_case(given))
        .map(|name| (*name).to_owned())
        .ok_or_else(|| invalid(flag, given, &format!("one of {}", known.join(", "))))
}

fn parsed<T: FromStr<Err: Display>>(
    values: &FlagValues,
    flag: &'static str,
) -> Result<Option<T>, FlagError> {
    let Some(text) = values.text(flag) else {
        return Ok(None);
    };
    let read = text.parse().map(Some);
    read.map_err(|error: T::Err| invalid(flag, text, &error.to_string()))
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

/// And reads no null in place of one.
fn none_is_blank<S: serde::Serializer, T: Display>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_str(""),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
