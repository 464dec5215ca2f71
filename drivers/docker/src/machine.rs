use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use rmachine_driver::{DriverConfig, DriverContext, DriverError, Operation, Work};
use tokio::sync::OnceCell;

use crate::config::Config;
use crate::container::{Seen, container_name};
use crate::daemon::{Daemon, Silence};
use crate::host::DockerHost;
use crate::lock::lock;
use crate::{failure, keys};

/// How long another process may take to attach a machine to the network.
const NETWORK_LIMIT: Duration = Duration::from_secs(60);

/// One machine: a container, and what is known of it.
pub struct Machine {
    pub context: DriverContext,
    pub config: Config,
    /// The record as it was read, for the fields that are not ours.
    pub record: DriverConfig,
    sockets: Vec<DockerHost>,
    daemon: OnceCell<Daemon>,
}

impl Machine {
    pub fn new(
        context: DriverContext,
        mut config: Config,
        record: DriverConfig,
        sockets: Vec<DockerHost>,
    ) -> Self {
        config.machine_name = context.name.to_string();
        config.ssh_key_path = keys::login_key(&context.machine_dir);
        config.store_path = context.store_dir.clone();
        Self {
            context,
            config,
            record,
            sockets,
            daemon: OnceCell::new(),
        }
    }

    /// The name of its container.
    pub fn container(&self) -> String {
        container_name(&self.context)
    }

    /// The engine below: the recorded one, or the first that answers.
    pub async fn daemon(&self, operation: Operation) -> Result<&Daemon, DriverError> {
        let found = self.daemon_or_silence().await;
        found.map_err(|silence| silence.in_operation(operation))
    }

    /// The engine below, or what kept each candidate from answering.
    pub async fn daemon_or_silence(&self) -> Result<&Daemon, Silence> {
        self.daemon
            .get_or_try_init(|| Daemon::find(&self.sockets))
            .await
    }

    /// The container as it is now.
    pub async fn seen(&self, operation: Operation) -> Result<Seen, DriverError> {
        let daemon = self.daemon(operation).await?;
        let seen = daemon.container(&self.container()).await;
        match seen.map_err(|e| failure::engine(operation, "looking at the container", e))? {
            Some(seen) if seen.is_of(&self.context) => Ok(seen),
            _ => Err(self.gone()),
        }
    }

    /// The engine holds no container of this machine.
    pub fn gone(&self) -> DriverError {
        DriverError::Gone {
            kind: "container".to_owned(),
            id: self.container(),
        }
    }

    /// The lock under which addresses are chosen and the shared network comes and goes.
    pub async fn network_lock(&self, work: &Work<'_>) -> Result<File, DriverError> {
        lock(
            &self.cache().join("network.lock"),
            "attaching a machine to the network",
            NETWORK_LIMIT,
            work.report,
        )
        .await
    }

    /// What the machines of this driver share in the store.
    pub fn cache(&self) -> PathBuf {
        self.context.store_dir.join("cache").join("docker")
    }
}
