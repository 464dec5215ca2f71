use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::FalseyValueParser;
use rmachine_driver::DriverKind;

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
    /// The store's root.
    pub store_root: PathBuf,
}

impl App {
    /// Puts together what the commands need. Touches no file.
    ///
    /// # Errors
    /// When there is neither a home directory nor a `--storage-path`.
    pub fn new(process: Arc<Process>, globals: Globals) -> Result<Self, CommandError> {
        let store_root = match (&globals.storage_path, process.home()) {
            (Some(path), _) if !path.as_os_str().is_empty() => std::path::absolute(path)
                .map_err(|e| CommandError::failed("--storage-path is no path").caused_by(&e))?,
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
            process,
            globals,
            drivers: drivers::kinds(),
            store_root,
        })
    }
}
