//! The none driver: an engine known by its URL only.
//!
//! It has no host to power, reach or provision; it keeps a URL under a name, so that `env`, `ls`
//! and clusters can use an engine that something else looks after. Start reading at [`UrlOnly`].

use async_trait::async_trait;
use rmachine_driver::{
    Capabilities, Driver, DriverConfig, DriverContext, DriverError, DriverFlag, DriverKind,
    FlagError, FlagKind, FlagValues, HostAddress, MachineState, NamedFile, Operation, SshEndpoint,
    Work,
};
use serde_json::Value;
use url::Url;

const NAME: &str = "none";

/// Where engines listen for TLS when a URL names no port.
const ENGINE_PORT: u16 = 2376;

const FLAGS: &[DriverFlag] = &[DriverFlag {
    name: "url",
    env: None,
    kind: FlagKind::Text(""),
    help: "URL of the engine (required), such as tcp://10.0.0.5:2376",
}];

/// The kind of driver named `none`.
#[derive(Clone, Copy, Debug, Default)]
pub struct UrlOnly;

impl DriverKind for UrlOnly {
    fn name(&self) -> &'static str {
        NAME
    }

    fn flags(&self) -> &'static [DriverFlag] {
        FLAGS
    }

    fn configure(
        &self,
        context: DriverContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Driver>, DriverError> {
        let text = flags.required("url")?;
        let place = Place::parse(text).map_err(|reason| FlagError::Invalid {
            flag: "url",
            value: text.to_owned(),
            reason,
        })?;
        let mut config = DriverConfig::new();
        config.insert("MachineName".into(), context.name.as_str().into());
        config.insert("StorePath".into(), text_of(&context.store_dir).into());
        config.insert("IPAddress".into(), place.address.to_string().into());
        config.insert("URL".into(), text.into());
        Ok(Box::new(Machine {
            url: text.to_owned(),
            place,
            config,
        }))
    }

    fn load(
        &self,
        _context: DriverContext,
        config: DriverConfig,
    ) -> Result<Box<dyn Driver>, DriverError> {
        let unreadable = |reason: String| DriverError::Config {
            reason: format!("URL: {reason}"),
        };
        let url = match config.get("URL") {
            Some(Value::String(url)) => url.clone(),
            Some(_) => return Err(unreadable("it is not text".to_owned())),
            None => return Err(unreadable("it is missing".to_owned())),
        };
        let place = Place::parse(&url).map_err(unreadable)?;
        Ok(Box::new(Machine { url, place, config }))
    }
}

/// Where a URL leads.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Place {
    address: HostAddress,
    port: u16,
}

impl Place {
    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)
            .map_err(|error| format!("{error}; an engine's URL is like tcp://10.0.0.5:2376"))?;
        match url.scheme() {
            "tcp" | "http" | "https" => {
                let host = url.host_str().unwrap_or_default();
                let address = host.parse().map_err(|error| format!("{error}"))?;
                Ok(Self {
                    address,
                    port: url.port_or_known_default().unwrap_or(ENGINE_PORT),
                })
            }
            // A socket is a file of this host.
            "unix" if url.path().len() > 1 => Ok(Self {
                address: HostAddress::Name("localhost".to_owned()),
                port: ENGINE_PORT,
            }),
            other => Err(format!(
                "{other:?} URLs lead to no engine; tcp, http, https and unix ones do"
            )),
        }
    }
}

fn text_of(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

struct Machine {
    url: String,
    place: Place,
    config: DriverConfig,
}

fn unsupported(operation: Operation) -> Result<(), DriverError> {
    Err(DriverError::Unsupported {
        driver: NAME,
        operation,
    })
}

#[async_trait]
impl Driver for Machine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            power: false,
            restart: false,
            provisioned: false,
            adopted: true,
            address_moves: false,
            snapshots: false,
        }
    }

    fn config(&self) -> DriverConfig {
        self.config.clone()
    }

    fn named_files(&self) -> Vec<NamedFile> {
        Vec::new()
    }

    async fn check(&self, _work: &Work<'_>) -> Result<(), DriverError> {
        Ok(())
    }

    async fn create(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        Ok(())
    }

    async fn start(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        unsupported(Operation::Start)
    }

    async fn stop(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        unsupported(Operation::Stop)
    }

    async fn restart(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        unsupported(Operation::Restart)
    }

    async fn kill(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        unsupported(Operation::Kill)
    }

    async fn remove(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        Ok(())
    }

    /// Running, as docker-machine says: `active` and `ls` look no further.
    async fn state(&self) -> Result<MachineState, DriverError> {
        Ok(MachineState::Running)
    }

    async fn address(&self) -> Result<HostAddress, DriverError> {
        Ok(self.place.address.clone())
    }

    async fn url(&self) -> Result<String, DriverError> {
        Ok(self.url.clone())
    }

    fn engine_port(&self) -> u16 {
        self.place.port
    }

    async fn ssh(&self) -> Result<Option<SshEndpoint>, DriverError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rmachine_driver::{FirstContact, FlagValue};
    use serde_json::json;

    use super::*;

    fn context() -> DriverContext {
        DriverContext {
            name: "far".parse().unwrap(),
            machine_dir: PathBuf::from("/store/machines/far"),
            store_dir: PathBuf::from("/store"),
            first_contact: FirstContact::Pin,
        }
    }

    fn configure(url: &str) -> Result<Box<dyn Driver>, DriverError> {
        let mut flags = FlagValues::defaults(FLAGS);
        flags.set("url", FlagValue::Text(url.to_owned()));
        UrlOnly.configure(context(), &flags)
    }

    #[tokio::test]
    async fn a_url_says_everything() {
        let table = [
            ("tcp://10.0.0.5:2376", "10.0.0.5", 2376),
            ("tcp://10.0.0.5", "10.0.0.5", 2376),
            ("tcp://[fd00::5]:2375", "fd00::5", 2375),
            ("https://engine.example.org", "engine.example.org", 443),
            ("http://10.0.0.5:8080", "10.0.0.5", 8080),
            ("unix:///var/run/docker.sock", "localhost", 2376),
        ];
        for (url, address, port) in table {
            let driver = configure(url).unwrap();
            assert_eq!(driver.url().await.unwrap(), url);
            assert_eq!(
                driver.address().await.unwrap().to_string(),
                address,
                "{url}"
            );
            assert_eq!(driver.engine_port(), port, "{url}");
            assert_eq!(driver.state().await.unwrap(), MachineState::Running);
            assert_eq!(driver.ssh().await.unwrap(), None);
        }
    }

    #[test]
    fn what_leads_to_no_engine_is_refused() {
        for url in [
            "10.0.0.5:2376",
            "10.0.0.5",
            "ssh://host",
            "tcp://",
            "unix://",
            "tcp://a b",
        ] {
            let Err(error) = configure(url) else {
                panic!("{url} was taken");
            };
            assert!(
                matches!(error, DriverError::Flag(FlagError::Invalid { .. })),
                "{error:?}"
            );
        }
        let Err(missing) = configure("") else {
            panic!("no URL was taken");
        };
        assert_eq!(missing.to_string(), "--url is required");
    }

    #[test]
    fn a_record_of_docker_machine_keeps_all_its_fields() {
        let record = json!({
            "IPAddress": "10.0.0.5:2376", "MachineName": "far", "SSHUser": "", "SSHPort": 0,
            "SwarmMaster": false, "URL": "tcp://10.0.0.5:2376", "Later": {"kept": [1, null]},
        });
        let config = record.as_object().unwrap().clone();
        let driver = UrlOnly.load(context(), config.clone()).unwrap();
        assert_eq!(driver.config(), config);
        for broken in [json!({}), json!({"URL": 5}), json!({"URL": "nonsense"})] {
            let config = broken.as_object().unwrap().clone();
            let Err(error) = UrlOnly.load(context(), config) else {
                panic!("{broken} was taken");
            };
            assert!(matches!(error, DriverError::Config { .. }), "{error:?}");
        }
    }
}
