//! The last look before a container moves: its node does not answer on a new connection, and enough
//! of the other nodes do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::Mutex;

use crate::cluster::Cluster;

/// How long an engine may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the result of a probe is used: a node may have lost many containers.
const PROBE_AGE: Duration = Duration::from_secs(5);

/// How many nodes are probed at a time.
const PROBES: usize = 32;

/// Why a container must not move now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotLost {
    /// The node answers again.
    #[error("its node answers again")]
    NodeAnswers,
    /// The manager may be the one that is cut off.
    #[error("less than half of the nodes answer this manager")]
    NoContact,
}

/// Probes of nodes. Results are shared by all containers that are to move.
#[derive(Clone)]
pub struct Connectivity {
    cluster: Cluster,
    probes: Arc<Mutex<Probes>>,
}

#[derive(Default)]
struct Probes {
    /// When nodes last failed to answer, by address.
    failed: BTreeMap<Arc<str>, Instant>,
    /// When enough nodes answered last.
    contact: Option<Instant>,
}

impl Connectivity {
    /// Probes nodes of a cluster.
    pub fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            probes: Arc::default(),
        }
    }

    /// Confirms that a node is lost and that the manager is not.
    ///
    /// # Errors
    /// [`NotLost`].
    pub async fn confirm_lost(&self, addr: &Arc<str>) -> Result<(), NotLost> {
        let mut probes = self.probes.lock().await;
        let is_recent = |at: &Instant| at.elapsed() < PROBE_AGE;
        probes.failed.retain(|_, at| is_recent(at));
        if !probes.failed.contains_key(addr) {
            if self.cluster.engine_answers(addr, PROBE_TIMEOUT).await {
                return Err(NotLost::NodeAnswers);
            }
            probes.failed.insert(Arc::clone(addr), Instant::now());
        }
        if !probes.contact.as_ref().is_some_and(is_recent) {
            if !self.is_in_contact().await {
                return Err(NotLost::NoContact);
            }
            probes.contact = Some(Instant::now());
        }
        Ok(())
    }

    /// Whether at least half of the known nodes answer now.
    async fn is_in_contact(&self) -> bool {
        let (mut contact, _) = self.cluster.observe_contact();
        let nodes = self.cluster.healthy().into_iter();
        let answers = nodes.map(|node| async move {
            let pong = tokio::time::timeout(PROBE_TIMEOUT, node.engine.ping()).await;
            pong.is_ok_and(|pong| pong.is_ok())
        });
        let mut answers = stream::iter(answers).buffer_unordered(PROBES);
        contact.reached = 0;
        while let Some(does_answer) = answers.next().await {
            contact.reached += usize::from(does_answer);
            if contact.is_sufficient() {
                return true;
            }
        }
        contact.is_sufficient()
    }
}
