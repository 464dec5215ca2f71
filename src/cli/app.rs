use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::FalseyValueParser;
use nix::unistd::{User, getuid};
use rmachine_companion::Search;
use rmachine_driver::{Driver, MachineName};
use rmachine_lifecycle::{Machines, Settings};
use rmachine_machine::{ApprovedPaths, CertificateOverrides, Record, Store};
use rmachine_ssh::{Backend, ConnectOptions, Environment};

use crate::Process;
use crate::drivers::{self, ISO_MIRROR, Surroundings};
use crate::error::CommandError;
use crate::ui::{ProgressMode, Ui};

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
    /// The machines, to be worked on.
    pub machines: Machines,
    /// How hosts are connected to.
    pub ssh: ConnectOptions,
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
        let store = Store::open(root)?;
        let user = process.var("USER").or(process.var("USERNAME"));
        let ssh = ConnectOptions {
            backend: globals.native_ssh.then_some(Backend::Native),
            interactive: process.stdio_is_terminal(),
            environment: ssh_environment(&process),
            ..ConnectOptions::default()
        };
        let surroundings = Surroundings {
            home: process.home().cloned(),
            ssh: ssh.clone(),
            isos: store.layout().cache_dir(),
            iso_mirror: process.var(ISO_MIRROR).map(str::to_owned),
            virtualbox: drivers::virtualbox(&process),
        };
        let settings = Settings {
            organization: user.unwrap_or("unknown").to_owned(),
            ssh: ssh.clone(),
            certificates: CertificateOverrides {
                ca_certificate: globals.tls_ca_cert.clone(),
                ca_key: globals.tls_ca_key.clone(),
                client_certificate: globals.tls_client_cert.clone(),
                client_key: globals.tls_client_key.clone(),
            },
            companion: companion(&process),
            programs: programs(&process),
            approved_paths: ApprovedPaths::at(approved_paths(&process)),
        };
        Ok(Self {
            ui: Ui::new(process.clone(), globals.progress),
            machines: Machines::new(store.clone(), drivers::kinds(surroundings), settings),
            process,
            globals,
            ssh,
            store,
        })
    }

    /// How the next command begins: the program's name as it was typed, and the store where no
    /// variable names it.
    pub fn program(&self) -> String {
        let name = self.process.args().first();
        let name = name.map_or("rmachine".into(), |name| name.to_string_lossy());
        let asked = self.globals.storage_path.as_deref();
        let known = self.process.var("MACHINE_STORAGE_PATH").map(Path::new);
        match asked.filter(|path| Some(*path) != known) {
            None => name.into_owned(),
            Some(path) => {
                let path = path.to_string_lossy();
                let path = shlex::try_quote(&path).unwrap_or(Cow::Borrowed(&path));
                format!("{name} --storage-path {path}")
            }
        }
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
        let driver = self.machines.driver(record);
        driver.map_err(|error| CommandError::of_lifecycle(error, record.name().as_str()))
    }
}

/// What of the surroundings matters to ssh.
fn ssh_environment(process: &Process) -> Environment {
    let var = |name: &str| process.environment().get(OsStr::new(name)).cloned();
    Environment {
        search_path: var("PATH"),
        home: process.home().cloned(),
        agent_socket: var("SSH_AUTH_SOCK").map(PathBuf::from),
        ssh_config: process.home().and_then(|home| config_of_another_home(home)),
        temp_dir: var("TMPDIR").map_or_else(|| Environment::default().temp_dir, PathBuf::from),
    }
}

/// The ssh_config below a home directory that is not the login's own: ssh itself looks only there,
/// whatever `HOME` says.
fn config_of_another_home(home: &Path) -> Option<PathBuf> {
    let login = User::from_uid(getuid()).ok().flatten()?;
    let config = home.join(".ssh").join("config");
    (login.dir != home && config.is_file()).then_some(config)
}

/// Where programs are looked for; what is named by no whole path is another thing everywhere.
fn programs(process: &Process) -> Vec<PathBuf> {
    let path = process.var("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(path);
    dirs.filter(|dir| dir.is_absolute()).collect()
}

/// The list of paths outside the store that records may name: a file of the user, never of a store.
fn approved_paths(process: &Process) -> Option<PathBuf> {
    let state = process.var("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.filter(|dir| dir.is_absolute());
    let state = state.or_else(|| Some(process.home()?.join(".local").join("state")));
    Some(state?.join("rmachine").join("approved-paths.json"))
}

/// Where rswarm's program is looked for: where `RMACHINE_COMPANION` says, else beside this program.
fn companion(process: &Process) -> Search {
    let given = process.var("RMACHINE_COMPANION").map(PathBuf::from);
    Search::new(given, &process.executable().unwrap_or_default())
}
