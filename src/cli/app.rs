use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::FalseyValueParser;
use rmachine_driver::{Driver, DriverKind, MachineName};
use rmachine_lifecycle::{Machines, Settings};
use rmachine_machine::{CertificateOverrides, Record, Store};
use rmachine_ssh::{Backend, ConnectOptions, Environment};

use crate::error::CommandError;
use crate::ui::{ProgressMode, Ui};
use crate::{Process, drivers};

/// The flags that every command takes.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Tell on standard error what is being done
    #[arg(short = 'D', long, env = "MACHINE_DEBUG", value_parser = FalseyValueParser::new(),
          global = true, hide_env_values = true)]
    pub debug: bool,

    /// Where machines and certificates are kept [default: ~/.docker/machine]
    #[arg(
        short,
        long,
        env = "MACHINE_STORAGE_PATH",
        value_name = "DIR",
        global = true,
        hide_env_values = true
    )]
    pub storage_path: Option<PathBuf>,

    /// The CA's certificate [default: certs/ca.pem in the store]
    #[arg(
        long,
        env = "MACHINE_TLS_CA_CERT",
        value_name = "FILE",
        global = true,
        hide_env_values = true,
        hide_short_help = true
    )]
    pub tls_ca_cert: Option<PathBuf>,

    /// The CA's private key [default: certs/ca-key.pem in the store]
    #[arg(
        long,
        env = "MACHINE_TLS_CA_KEY",
        value_name = "FILE",
        global = true,
        hide_env_values = true,
        hide_short_help = true
    )]
    pub tls_ca_key: Option<PathBuf>,

    /// The client's certificate [default: certs/cert.pem in the store]
    #[arg(
        long,
        env = "MACHINE_TLS_CLIENT_CERT",
        value_name = "FILE",
        global = true,
        hide_env_values = true,
        hide_short_help = true
    )]
    pub tls_client_cert: Option<PathBuf>,

    /// The client's private key [default: certs/key.pem in the store]
    #[arg(
        long,
        env = "MACHINE_TLS_CLIENT_KEY",
        value_name = "FILE",
        global = true,
        hide_env_values = true,
        hide_short_help = true
    )]
    pub tls_client_key: Option<PathBuf>,

    /// Use the built-in SSH client in place of the ssh program
    #[arg(long, env = "MACHINE_NATIVE_SSH", value_parser = FalseyValueParser::new(),
          global = true, hide_env_values = true, hide_short_help = true)]
    pub native_ssh: bool,

    /// How progress is shown on standard error
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value_t,
        global = true,
        hide_short_help = true
    )]
    pub progress: ProgressMode,
}

/// What every command works with.
pub struct App {
    /// The process: arguments, environment, clock.
    pub process: Arc<Process>,
    /// The flags that every command takes.
    pub globals: Globals,
    /// The way out to the person; also where passwords come from.
    pub ui: Ui,
    /// The drivers that are built in.
    pub drivers: Vec<Box<dyn DriverKind>>,
    /// Machines and certificates.
    pub store: Store,
}

/// A machine that is looked at: its record, and its driver made from it.
pub struct Machine {
    /// What the store holds.
    pub record: Record,
    /// What answers for the machine itself.
    pub driver: Box<dyn Driver>,
}

impl Machine {
    /// The machine's name.
    pub fn name(&self) -> &MachineName {
        self.record.name()
    }
}

impl App {
    /// Puts together what the commands need. Touches no file.
    ///
    /// # Errors
    /// When there is neither a home directory nor a `--storage-path`.
    pub fn new(process: Arc<Process>, globals: Globals) -> Result<Self, CommandError> {
        let root = match (&globals.storage_path, process.home()) {
            (Some(path), _) if !path.as_os_str().is_empty() => path.clone(),
            (_, Some(home)) => home.join(".docker").join("machine"),
            (_, None) => {
                return Err(
                    CommandError::failed("there is no home directory to keep machines in")
                        .hint("export MACHINE_STORAGE_PATH=/var/lib/rmachine"),
                );
            }
        };
        Ok(Self {
            ui: Ui::new(process.clone(), globals.progress),
            drivers: drivers::kinds(process.home().cloned()),
            process,
            globals,
            store: Store::open(root)?,
        })
    }

    /// The program's name, as it was typed.
    pub fn program(&self) -> String {
        let name = self.process.args().first();
        name.map_or_else(
            || "rmachine".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// The machines of the store, for the commands that change them.
    pub fn machines(&self) -> Machines {
        let user = self.process.var("USER").or(self.process.var("USERNAME"));
        let backend = self.globals.native_ssh.then_some(Backend::Native);
        let settings = Settings {
            organization: user.unwrap_or("unknown").to_owned(),
            ssh: self.ssh_options(backend),
            certificates: CertificateOverrides {
                ca_certificate: self.globals.tls_ca_cert.clone(),
                ca_key: self.globals.tls_ca_key.clone(),
                client_certificate: self.globals.tls_client_cert.clone(),
                client_key: self.globals.tls_client_key.clone(),
            },
        };
        Machines::new(
            self.store.clone(),
            drivers::kinds(self.process.home().cloned()),
            settings,
        )
    }

    /// Reads a machine from the store.
    ///
    /// # Errors
    /// When there is none, or when its record or its driver cannot be read.
    pub fn machine(&self, name: &MachineName) -> Result<Machine, CommandError> {
        let record = self.store.load(name)?;
        let driver = self.driver(&record)?;
        Ok(Machine { record, driver })
    }

    /// Makes the driver of a record.
    ///
    /// # Errors
    /// When no such driver is built in, or when it cannot read the record.
    pub fn driver(&self, record: &Record) -> Result<Box<dyn Driver>, CommandError> {
        let wanted = record.driver_name();
        let kind = self.drivers.iter().find(|kind| kind.name() == wanted);
        let kind = kind.ok_or_else(|| self.unknown_driver(wanted))?;
        let context = self.store.driver_context(record.name());
        Ok(kind.load(context, record.driver.clone())?)
    }

    /// What of the surroundings matters to ssh.
    pub fn ssh_environment(&self) -> Environment {
        let var = |name: &str| self.process.environment().get(OsStr::new(name)).cloned();
        let usual = Environment::default();
        Environment {
            search_path: var("PATH"),
            home: self.process.home().cloned(),
            agent_socket: var("SSH_AUTH_SOCK").map(PathBuf::from),
            temp_dir: var("TMPDIR").map_or(usual.temp_dir, PathBuf::from),
            ..usual
        }
    }

    /// How hosts are connected to.
    pub fn ssh_options(&self, backend: Option<Backend>) -> ConnectOptions {
        ConnectOptions {
            backend,
            interactive: self.process.stdio_is_terminal(),
            environment: self.ssh_environment(),
            ..ConnectOptions::default()
        }
    }

    /// The error of a driver's name that no driver has.
    pub fn unknown_driver(&self, wanted: &str) -> CommandError {
        let known: Vec<&str> = self.drivers.iter().map(|kind| kind.name()).collect();
        CommandError::failed(format!(
            "no driver is called {wanted:?}; there are {}",
            known.join(", ")
        ))
    }
}
