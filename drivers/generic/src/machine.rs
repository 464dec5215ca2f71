use std::io;
use std::time::Duration;

use async_trait::async_trait;
use rmachine_driver::{
    Capabilities, CheckFailure, Driver, DriverConfig, DriverContext, DriverError, HostAddress,
    MachineState, NoSecrets, Operation, SshEndpoint, Work,
};
use rmachine_ssh::{
    ConnectOptions, ResolvedEndpoint, SshError, check_password_file, connect, inspect_identity,
    pin, resolve,
};
use tokio::net::TcpStream;

use crate::settings::Settings;
use crate::{NAME, key, reboot};

/// docker-machine's login name.
const DEFAULT_USER: &str = "root";

const DEFAULT_PORT: u16 = 22;

/// How long a host may take to answer when its state is asked for.
const STATE_LIMIT: Duration = Duration::from_secs(5);

/// How long a name may take to be looked up.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Machine {
    context: DriverContext,
    settings: Settings,
    /// The record's driver part as it was read.
    record: DriverConfig,
    options: ConnectOptions,
}

impl Machine {
    pub(crate) fn new(
        context: DriverContext,
        settings: Settings,
        record: DriverConfig,
        options: ConnectOptions,
    ) -> Self {
        Self {
            context,
            settings,
            record,
            options,
        }
    }

    fn endpoint(&self) -> SshEndpoint {
        self.settings.endpoint(&self.context)
    }

    async fn resolved(&self) -> Result<ResolvedEndpoint, SshError> {
        resolve(&self.endpoint(), &self.options.environment).await
    }

    /// What stands in the way of reaching the host, as far as it can be told from here.
    async fn obstacles(&self) -> Vec<CheckFailure> {
        let mut found = Vec::new();
        let host = &self.settings.ssh_host;
        if let Some(key) = &self.endpoint().identity
            && let Err(error) = inspect_identity(key)
        {
            let remedy = match &error {
                SshError::KeyTooOpen { path, .. } => format!("chmod 600 '{}'", path.display()),
                _ => "give the file of a private key with --generic-ssh-key".to_owned(),
            };
            found.push(failure("SSH key", &error, remedy));
        }
        if let Some(file) = &self.settings.sudo_password_file
            && let Err(error) = check_password_file(file)
        {
            let remedy = format!(
                "put the password into the first line of '{0}' and run: chmod 600 '{0}'",
                file.display()
            );
            found.push(failure("sudo password file", &error, remedy));
        }
        match self.resolved().await {
            Err(error) => {
                let remedy = format!("look at what ssh says to: ssh -G {host}");
                found.push(failure("ssh_config", &error, remedy));
            }
            // The host before it looks the name up.
            Ok(resolved) if resolved.through_proxy() => {}
            Ok(resolved) => {
                if let Err(error) = look_up(&resolved).await {
                    let finding = format!("{} has no address: {error}", resolved.host_name);
                    let remedy = "check the spelling and the DNS, or give an IP address";
                    found.push(failure("address", &finding, remedy.to_owned()));
                }
            }
        }
        found
    }

    /// Whether sshd answers.
    async fn answers(&self) -> Result<bool, DriverError> {
        if self.settings.through_proxy {
            let options = ConnectOptions {
                limit: STATE_LIMIT,
                interactive: false,
                ..self.options.clone()
            };
            return match connect(&self.endpoint(), &options, &NoSecrets).await {
                Ok(_) => Ok(true),
                // Whoever turns us away is up.
                Err(SshError::AuthRefused { .. } | SshError::PassphraseNeeded { .. }) => Ok(true),
                Err(error) if error.is_transient() => Ok(false),
                Err(error) => Err(self.unreadable(Box::new(error))),
            };
        }
        let address = self.settings.address().to_string();
        let port = self.settings.ssh_port.unwrap_or(DEFAULT_PORT);
        let dialled = TcpStream::connect((address.as_str(), port));
        match tokio::time::timeout(STATE_LIMIT, dialled).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) if names_no_host(&error) => Err(self.unreadable(Box::new(error))),
            Ok(Err(_)) | Err(_) => Ok(false),
        }
    }

    fn unreadable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> DriverError {
        DriverError::Backend {
            operation: Operation::Inspect,
            message: format!("{} cannot be asked", self.settings.ssh_host),
            hint: None,
            source: Some(source),
        }
    }
}

#[async_trait]
impl Driver for Machine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            power: false,
            restart: true,
            provisioned: true,
            adopted: true,
            address_moves: false,
            snapshots: false,
        }
    }

    fn config(&self) -> DriverConfig {
        let mut config = self.record.clone();
        self.settings.write(&self.context, &mut config);
        config
    }

    async fn check(&self, _work: &Work<'_>) -> Result<(), DriverError> {
        let found = self.obstacles().await;
        match found.is_empty() {
            true => Ok(()),
            false => Err(DriverError::Check(found)),
        }
    }

    async fn create(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        work.report.step("adopting the host");
        let failed = |error: SshError| DriverError::Backend {
            operation: Operation::Create,
            message: "the host cannot be adopted".to_owned(),
            hint: None,
            source: Some(Box::new(error)),
        };
        let resolved = self.resolved().await.map_err(failed)?;
        self.settings.through_proxy = resolved.through_proxy();
        // A HostName that is no host name can only be meant for a ProxyCommand.
        let address = resolved.host_name.parse().ok();
        self.settings.address = address.or_else(|| Some(self.settings.ssh_host.clone()));
        self.settings.ssh_port = Some(resolved.port);
        self.settings.ssh_user = resolved.user.or_else(|| Some(DEFAULT_USER.to_owned()));
        if let Some(given) = &self.settings.given_key {
            self.settings.kept_key = Some(key::keep(given, &self.context.machine_dir)?);
        }
        if let Some(host_key) = &self.settings.host_key {
            let endpoint = self.endpoint();
            pin(&endpoint.known_hosts, &endpoint.host_key_alias, host_key).map_err(failed)?;
        }
        Ok(())
    }

    async fn start(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        unsupported(Operation::Start)
    }

    async fn stop(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        unsupported(Operation::Stop)
    }

    async fn restart(&mut self, work: &Work<'_>) -> Result<(), DriverError> {
        work.report.step("rebooting the host");
        reboot::reboot(&self.endpoint(), &self.options, work.secrets).await
    }

    async fn kill(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        unsupported(Operation::Kill)
    }

    async fn remove(&mut self, _work: &Work<'_>) -> Result<(), DriverError> {
        Ok(())
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        Ok(match self.answers().await? {
            true => MachineState::Running,
            false => MachineState::Stopped,
        })
    }

    /// Whether an adopted host is off or about to answer, nobody can tell.
    async fn still_up(&self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn address(&self) -> Result<HostAddress, DriverError> {
        Ok(self.settings.address().clone())
    }

    async fn url(&self) -> Result<String, DriverError> {
        let host = self.settings.address().in_url();
        Ok(format!("tcp://{host}:{}", self.settings.engine_port))
    }

    fn engine_port(&self) -> u16 {
        self.settings.engine_port
    }

    async fn ssh(&self) -> Result<Option<SshEndpoint>, DriverError> {
        Ok(Some(self.endpoint()))
    }
}

fn unsupported(operation: Operation) -> Result<(), DriverError> {
    Err(DriverError::Unsupported {
        driver: NAME,
        operation,
    })
}

fn failure(subject: &str, finding: &dyn ToString, remedy: String) -> CheckFailure {
    CheckFailure {
        subject: subject.to_owned(),
        finding: finding.to_string(),
        remedy,
    }
}

async fn look_up(resolved: &ResolvedEndpoint) -> io::Result<()> {
    let lookup = tokio::net::lookup_host((resolved.host_name.as_str(), resolved.port));
    match tokio::time::timeout(LOOKUP_LIMIT, lookup).await {
        Ok(found) => match found?.next() {
            Some(_) => Ok(()),
            None => Err(io::Error::other("the answer is empty")),
        },
        Err(_) => Err(io::Error::other(format!(
            "no answer within {} s",
            LOOKUP_LIMIT.as_secs()
        ))),
    }
}

/// Whether a dial failed before any host was tried: the resolver's errors carry no OS code.
fn names_no_host(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use rmachine_driver::{Silent, Unrecorded};
    use rmachine_ssh::{Environment, pinned};
    use tokio::net::TcpSocket;

    use super::*;

    const WORK: Work<'static> = Work {
        report: &Silent,
        resources: &Unrecorded,
        secrets: &NoSecrets,
    };

    fn machine(dir: &Path, host: &str) -> Machine {
        let context = DriverContext {
            name: "n1".parse().unwrap(),
            machine_dir: dir.to_owned(),
            store_dir: dir.to_owned(),
        };
        let settings = Settings {
            ssh_host: host.parse().unwrap(),
            address: None,
            ssh_user: None,
            ssh_port: None,
            given_key: None,
            kept_key: None,
            engine_port: 2376,
            sudo_password_file: None,
            host_key: None,
            through_proxy: false,
        };
        let options = ConnectOptions {
            environment: Environment {
                search_path: Some("/usr/local/bin:/usr/bin:/bin".into()),
                ssh_config: Some(dir.join("ssh_config")),
                temp_dir: dir.to_owned(),
                ..Environment::default()
            },
            ..ConnectOptions::default()
        };
        Machine::new(context, settings, DriverConfig::new(), options)
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn the_check_names_everything_it_finds() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("ssh_config"), "", 0o600);
        let good = machine(dir.path(), "127.0.0.1");
        good.check(&WORK).await.unwrap();

        let mut bad = machine(dir.path(), "nowhere.invalid");
        let (key, password) = (dir.path().join("key"), dir.path().join("password"));
        write(&key, "-----BEGIN PRIVATE KEY-----", 0o644);
        write(&password, "secret", 0o644);
        bad.settings.given_key = Some(key);
        bad.settings.sudo_password_file = Some(password);
        let Err(DriverError::Check(found)) = bad.check(&WORK).await else {
            panic!("nothing was found");
        };
        let subjects: Vec<&str> = found.iter().map(|f| f.subject.as_str()).collect();
        assert_eq!(subjects, ["SSH key", "sudo password file", "address"]);
        assert!(found[0].remedy.starts_with("chmod 600 "), "{found:?}");
        assert!(!format!("{found:?}").contains("secret"));
    }

    #[tokio::test]
    async fn what_ssh_config_says_is_resolved_once_and_kept() {
        if !Path::new("/usr/bin/ssh").exists() {
            return rmachine_test_support::skip("there is no ssh program");
        }
        let dir = tempfile::tempdir().unwrap();
        let config = "Host box\n  HostName 10.1.2.3\n  Port 2222\n  User admin\n\
                      Host far\n  HostName far.example.org\n  ProxyJump box\n";
        write(&dir.path().join("ssh_config"), config, 0o600);
        let table = [
            ("box", None, "10.1.2.3", 2222, "admin", false),
            ("box", Some("root"), "10.1.2.3", 2222, "root", false),
            ("far", None, "far.example.org", 22, "root", true),
            ("10.9.9.9", None, "10.9.9.9", 22, "root", false),
            ("fd00::9", None, "fd00::9", 22, "root", false),
        ];
        for (host, user, address, port, login, through_proxy) in table {
            let mut driver = machine(dir.path(), host);
            driver.settings.ssh_user = user.map(str::to_owned);
            for _ in 0..2 {
                driver.create(&WORK).await.unwrap();
                assert_eq!(driver.address().await.unwrap().to_string(), address);
                assert_eq!(driver.settings.through_proxy, through_proxy, "{host}");
                let endpoint = driver.ssh().await.unwrap().unwrap();
                assert_eq!(endpoint.host.to_string(), host);
                assert_eq!(endpoint.port, Some(port), "{host}");
                assert_eq!(endpoint.user.as_deref(), Some(login), "{host}");
            }
        }
        let driver = machine(dir.path(), "fd00::9");
        assert_eq!(driver.url().await.unwrap(), "tcp://[fd00::9]:2376");
    }

    #[tokio::test]
    async fn the_key_and_the_host_key_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("machine");
        fs::create_dir(&store).unwrap();
        write(&store.join("ssh_config"), "", 0o600);
        let key = dir.path().join("id_work");
        write(&key, "-----BEGIN PRIVATE KEY-----", 0o600);
        let line =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBEkr2KsO6ASkFT3SnLMPrcJP5Xyho1yf9hOEMGlqYDa";
        let mut driver = machine(&store, "127.0.0.1");
        driver.settings.given_key = Some(key.clone());
        driver.settings.host_key = Some(line.parse().unwrap());
        driver.create(&WORK).await.unwrap();

        let endpoint = driver.ssh().await.unwrap().unwrap();
        assert_eq!(endpoint.identity, Some(store.join("id_work")));
        let pins = pinned(&endpoint.known_hosts, &endpoint.host_key_alias).unwrap();
        assert_eq!(pins.len(), 1);
        let config = driver.config();
        assert_eq!(config["SSHKey"], key.to_str().unwrap());
        assert_eq!(
            config["SSHKeyPath"],
            store.join("id_work").to_str().unwrap()
        );
    }

    #[tokio::test]
    async fn the_state_is_whether_sshd_answers() {
        let dir = tempfile::tempdir().unwrap();
        // Bound, it is nobody else's; the kernel refuses who connects until it listens.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut driver = machine(dir.path(), "127.0.0.1");
        driver.settings.ssh_port = Some(socket.local_addr().unwrap().port());
        assert_eq!(driver.state().await.unwrap(), MachineState::Stopped);
        let _sshd = socket.listen(1).unwrap();
        assert_eq!(driver.state().await.unwrap(), MachineState::Running);
        let lost = machine(dir.path(), "nowhere.invalid");
        assert!(matches!(
            lost.state().await,
            Err(DriverError::Backend {
                operation: Operation::Inspect,
                ..
            })
        ));
    }
}
