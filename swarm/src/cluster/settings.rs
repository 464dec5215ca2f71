use std::sync::Arc;
use std::time::Duration;

use rmachine_engine::{EngineEndpoint, EngineError};
use rmachine_pki::ManagerKey;
use rswarm_discovery::Entry;
use rswarm_scheduler::Scheduler;
use rswarm_scheduler::node::Overcommit;
use tokio::sync::watch;

use crate::tls::TlsConfigs;

/// How a cluster deals with its engines.
#[derive(Clone)]
pub struct ClusterSettings {
    /// The least time between two full looks at an engine.
    pub refresh_min: Duration,
    /// The most.
    pub refresh_max: Duration,
    /// After how many failures in a row an engine counts as unhealthy.
    pub failure_retry: u32,
    /// How much more is given away than there is.
    pub overcommit: Overcommit,
    /// Who chooses nodes.
    pub scheduler: Scheduler,
    /// How engines are spoken to.
    pub tls: EngineTls,
    /// How long one call of our own to an engine may take.
    pub call_limit: Duration,
    /// How containers of lost nodes are rescheduled.
    pub reschedule: RescheduleSettings,
}

/// How containers of lost nodes are rescheduled.
#[derive(Clone, Debug)]
pub struct RescheduleSettings {
    /// How long a node must be lost before its containers move.
    pub delay: Duration,
    /// Whether containers without a verified statement move whatever they request.
    pub allow_unverified: bool,
    /// ID of the cluster in statements, see [`cluster_id`](crate::statement::cluster_id).
    pub cluster_id: Arc<str>,
}

impl Default for RescheduleSettings {
    fn default() -> Self {
        Self {
            delay: RESCHEDULE_DELAY,
            allow_unverified: false,
            cluster_id: Arc::default(),
        }
    }
}

/// An engine is restarted in less time.
const RESCHEDULE_DELAY: Duration = Duration::from_secs(30);

/// How engines are spoken to.
#[derive(Clone)]
pub enum EngineTls {
    /// In the clear.
    Off,
    /// Over TLS; what is newest counts from the next connection on.
    On(watch::Receiver<TlsConfigs>),
}

impl EngineTls {
    /// Waits until other certificates are to be used.
    pub(crate) async fn changed(&mut self) {
        if let Self::On(config) = self
            && config.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Key that this manager signs with; `None` without a CA.
    pub(crate) fn manager_key(&self) -> Option<Arc<ManagerKey>> {
        match self {
            Self::Off => None,
            Self::On(config) => config.borrow().manager_key.clone(),
        }
    }

    /// Where the engine of an entry listens.
    pub(crate) fn endpoint(&self, entry: &Entry) -> Result<EngineEndpoint, EngineError> {
        let url = format!("tcp://{entry}");
        match self {
            Self::Off => EngineEndpoint::without_tls(&url),
            Self::On(config) => EngineEndpoint::tls(&url, Arc::clone(&config.borrow().client)),
        }
    }
}
