use std::path::PathBuf;

use rmachine_driver::{
    DriverConfig, DriverContext, DriverError, HostAddress, NamedFile, SshEndpoint,
};
use rmachine_ssh::HostKey;
use serde_json::{Map, Value};

/// The one field of the record's driver part that docker-machine does not know.
const OURS: &str = "Rmachine";

/// What the driver knows of a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Settings {
    /// What was given: an address, a name, or an alias that ssh_config explains.
    pub(crate) ssh_host: HostAddress,
    /// Where clients reach the host, once ssh_config was asked.
    pub(crate) address: Option<HostAddress>,
    pub(crate) ssh_user: Option<String>,
    pub(crate) ssh_port: Option<u16>,
    /// The private key as it was given.
    pub(crate) given_key: Option<PathBuf>,
    /// Its copy in the machine's directory.
    pub(crate) kept_key: Option<PathBuf>,
    pub(crate) engine_port: u16,
    pub(crate) sudo_password_file: Option<PathBuf>,
    /// The host key that was given in advance.
    pub(crate) host_key: Option<HostKey>,
    /// Whether ssh reaches the host only through another one.
    pub(crate) through_proxy: bool,
}

impl Settings {
    /// Reads a record's driver part, docker-machine's too.
    ///
    /// # Errors
    /// [`DriverError::Config`] naming the field.
    pub(crate) fn read(config: &DriverConfig) -> Result<Self, DriverError> {
        let fields = Fields {
            map: config,
            place: "",
        };
        let address: HostAddress = fields
            .text("IPAddress")?
            .ok_or_else(|| fields.wrong("IPAddress", "it is missing"))
            .and_then(|text| fields.parsed("IPAddress", text))?;
        let empty = Map::new();
        let ours = match config.get(OURS) {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(map)) => map,
            Some(_) => return Err(fields.wrong(OURS, "it is not an object")),
        };
        let ours = Fields {
            map: ours,
            place: "Rmachine.",
        };
        let ssh_host = match ours.text("SSHHost")? {
            Some(text) => ours.parsed("SSHHost", text)?,
            None => address.clone(),
        };
        let host_key = match ours.text("HostKey")? {
            Some(text) => Some(ours.parsed("HostKey", text)?),
            None => None,
        };
        Ok(Self {
            ssh_host,
            address: Some(address),
            ssh_user: fields.text("SSHUser")?.map(str::to_owned),
            ssh_port: fields.port("SSHPort")?,
            given_key: fields.text("SSHKey")?.map(PathBuf::from),
            kept_key: fields.text("SSHKeyPath")?.map(PathBuf::from),
            engine_port: fields.port("EnginePort")?.unwrap_or(2376),
            sudo_password_file: ours.text("SudoPasswordFile")?.map(PathBuf::from),
            host_key,
            through_proxy: ours.flag("ThroughProxy")?,
        })
    }

    /// Writes the settings into a record's driver part, leaving alone what they do not cover.
    pub(crate) fn write(&self, context: &DriverContext, config: &mut DriverConfig) {
        let path = |path: &Option<PathBuf>| Value::from(path_text(path));
        let mut set = |key: &str, value: Value| {
            config.insert(key.to_owned(), value);
        };
        set("IPAddress", self.address().to_string().into());
        set("MachineName", context.name.as_str().into());
        set(
            "SSHUser",
            self.ssh_user.as_deref().unwrap_or_default().into(),
        );
        set("SSHPort", self.ssh_port.unwrap_or_default().into());
        set("SSHKeyPath", path(&self.kept_key));
        set("StorePath", context.store_dir.to_string_lossy().into());
        for (key, default) in [
            ("SwarmMaster", Value::from(false)),
            ("SwarmHost", Value::from("")),
            ("SwarmDiscovery", Value::from("")),
        ] {
            config.entry(key).or_insert(default);
        }
        config.insert("EnginePort".to_owned(), self.engine_port.into());
        config.insert("SSHKey".to_owned(), path(&self.given_key));
        self.write_ours(config);
    }

    fn write_ours(&self, config: &mut DriverConfig) {
        let mut ours = match config.remove(OURS) {
            Some(Value::Object(ours)) => ours,
            _ => Map::new(),
        };
        let text = |text: String| (!text.is_empty()).then_some(Value::from(text));
        let host_key = self.host_key.as_ref().map(ToString::to_string);
        for (key, value) in [
            ("SSHHost", text(self.ssh_host.to_string())),
            (
                "SudoPasswordFile",
                text(path_text(&self.sudo_password_file)),
            ),
            ("HostKey", text(host_key.unwrap_or_default())),
            ("ThroughProxy", self.through_proxy.then_some(true.into())),
        ] {
            match value {
                Some(value) => ours.insert(key.to_owned(), value),
                None => ours.remove(key),
            };
        }
        config.insert(OURS.to_owned(), Value::Object(ours));
    }

    /// The files that are read to reach the host. The original of a key is not read once there is
    /// a copy.
    pub(crate) fn named_files(&self) -> Vec<NamedFile> {
        let key = match &self.kept_key {
            Some(copy) => Some(("Driver.SSHKeyPath", copy)),
            None => self.given_key.as_ref().map(|key| ("Driver.SSHKey", key)),
        };
        let password = self.sudo_password_file.as_ref();
        let password = password.map(|file| ("Driver.Rmachine.SudoPasswordFile", file));
        let named = key.into_iter().chain(password);
        named
            .map(|(field, path)| NamedFile {
                field,
                path: path.clone(),
            })
            .collect()
    }

    /// Where clients reach the host.
    pub(crate) fn address(&self) -> &HostAddress {
        self.address.as_ref().unwrap_or(&self.ssh_host)
    }

    /// Where ssh reaches the host.
    pub(crate) fn endpoint(&self, context: &DriverContext) -> SshEndpoint {
        SshEndpoint {
            host: self.ssh_host.clone(),
            port: self.ssh_port,
            user: self.ssh_user.clone(),
            identity: self.kept_key.clone().or_else(|| self.given_key.clone()),
            known_hosts: context.machine_dir.join("known_hosts"),
            host_key_alias: context.name.to_string(),
            first_contact: context.first_contact,
            use_ssh_config: true,
            sudo_password_file: self.sudo_password_file.clone(),
        }
    }
}

/// A path as the record holds it; empty where there is none.
fn path_text(path: &Option<PathBuf>) -> String {
    path.as_ref()
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Fields of a JSON object, with messages that name them.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    place: &'static str,
}

impl<'a> Fields<'a> {
    /// A text that is there and not empty.
    fn text(&self, key: &str) -> Result<Option<&'a str>, DriverError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(key, "it is not text")),
        }
    }

    /// A port that is there and not 0.
    fn port(&self, key: &str) -> Result<Option<u16>, DriverError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().and_then(|port| u16::try_from(port).ok()) {
                Some(port) => Ok(Some(port).filter(|port| *port != 0)),
                None => Err(self.wrong(key, "it is not a port")),
            },
        }
    }

    fn flag(&self, key: &str) -> Result<bool, DriverError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(key, "it is neither true nor false")),
        }
    }

    fn parsed<T>(&self, key: &str, text: &str) -> Result<T, DriverError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        text.parse()
            .map_err(|error: T::Err| self.wrong(key, &error.to_string()))
    }

    fn wrong(&self, key: &str, what: &str) -> DriverError {
        DriverError::Config {
            reason: format!("{}{key}: {what}", self.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use rmachine_driver::FirstContact;
    use serde_json::json;

    use super::*;

    fn context() -> DriverContext {
        DriverContext {
            name: "n1".parse().unwrap(),
            machine_dir: "/store/machines/n1".into(),
            store_dir: "/store".into(),
            first_contact: FirstContact::Pin,
        }
    }

    fn record(json: Value) -> DriverConfig {
        json.as_object().unwrap().clone()
    }

    fn of_docker_machine() -> DriverConfig {
        record(json!({
            "IPAddress": "10.0.0.7", "MachineName": "n1", "SSHUser": "root", "SSHPort": 22,
            "SSHKeyPath": "/store/machines/n1/id_rsa", "StorePath": "/store",
            "SwarmMaster": false, "SwarmHost": "", "SwarmDiscovery": "",
            "EnginePort": 2376, "SSHKey": "/home/me/.ssh/id_rsa",
        }))
    }

    #[test]
    fn docker_machines_record_is_read_and_stays_as_it_was() {
        let mut config = of_docker_machine();
        config.insert("Later".to_owned(), json!({"kept": [1, null]}));
        let settings = Settings::read(&config).unwrap();
        assert_eq!(settings.address().to_string(), "10.0.0.7");
        assert_eq!(settings.ssh_user.as_deref(), Some("root"));
        let endpoint = settings.endpoint(&context());
        assert_eq!(endpoint.identity, Some("/store/machines/n1/id_rsa".into()));
        assert_eq!(endpoint.port, Some(22));

        let mut written = config.clone();
        settings.write(&context(), &mut written);
        written.remove(OURS).unwrap();
        assert_eq!(Value::from(written), Value::from(config));
    }

    #[test]
    fn original_of_a_copied_key_is_not_read() {
        let mut config = of_docker_machine();
        let files = |config: &DriverConfig| Settings::read(config).unwrap().named_files();
        let named = |field, path: &str| NamedFile {
            field,
            path: path.into(),
        };
        let copy = named("Driver.SSHKeyPath", "/store/machines/n1/id_rsa");
        assert_eq!(files(&config), [copy]);
        config.insert("SSHKeyPath".to_owned(), json!(""));
        config.insert("Rmachine".to_owned(), json!({"SudoPasswordFile": "/pw"}));
        let expected = [
            named("Driver.SSHKey", "/home/me/.ssh/id_rsa"),
            named("Driver.Rmachine.SudoPasswordFile", "/pw"),
        ];
        assert_eq!(files(&config), expected);
    }

    #[test]
    fn everything_survives_a_round_trip() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBEkr2KsO6ASkFT3SnLMPrcJP5Xyho1yf9hOEMGlqYDa";
        let settings = Settings {
            ssh_host: "alias".parse().unwrap(),
            address: Some("fd00::7".parse().unwrap()),
            ssh_user: None,
            ssh_port: None,
            given_key: None,
            kept_key: None,
            engine_port: 12376,
            sudo_password_file: Some("/home/me/.sudo".into()),
            host_key: Some(key.parse().unwrap()),
            through_proxy: true,
        };
        let mut config = record(json!({"Rmachine": {"Later": 1}, "Other": true}));
        settings.write(&context(), &mut config);
        assert_eq!(Settings::read(&config).unwrap(), settings);
        assert_eq!(config["Rmachine"]["Later"], 1);
        assert_eq!(config["Other"], true);
        assert_eq!(settings.endpoint(&context()).host.to_string(), "alias");
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named() {
        for (key, value) in [
            ("IPAddress", json!(null)),
            ("IPAddress", json!("a b")),
            ("IPAddress", json!(7)),
            ("SSHPort", json!(65536)),
            ("SSHPort", json!("22")),
            ("EnginePort", json!(-1)),
            ("SSHUser", json!([])),
            ("Rmachine", json!([])),
            ("Rmachine", json!({"HostKey": "x"})),
            ("Rmachine", json!({"ThroughProxy": 1})),
        ] {
            let mut config = of_docker_machine();
            config.insert(key.to_owned(), value.clone());
            let error = Settings::read(&config).unwrap_err();
            assert!(error.to_string().contains(key), "{key} {value}: {error}");
        }
    }
}
