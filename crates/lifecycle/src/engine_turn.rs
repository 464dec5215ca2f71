//! Engines that share a `cluster-store` start one after another.
//!
//! As it starts, such an engine asks one other, the one that it heard of last, to be taken in, and
//! another one only when that comes or goes (`nodeJoin` of libnetwork's overlay driver). Of several
//! that start at the same time, one may ask nobody that is awake: it stays alone, and from its host
//! no overlay network leads anywhere.

use std::time::{Duration, Instant};

use rmachine_driver::Report;
use rmachine_machine::{FileLock, Locked, MachineGuard, lock_file};
use rmachine_provision::{Plan, Stage, apply};

use crate::host::Host;
use crate::store::has_cluster_store;
use crate::{LifecycleError, Machines, bounds};

impl Machines {
    /// Applies a plan; where it starts an engine with a `cluster-store`, when that engine's turn has
    /// come. Returns the turn, to be kept until the engine has answered.
    ///
    /// # Errors
    /// As [`apply`].
    pub(crate) async fn apply_in_turn(
        &self,
        guard: &MachineGuard,
        host: &Host<'_>,
        plan: &Plan,
        report: &dyn Report,
    ) -> Result<Option<FileLock>, LifecycleError> {
        let starts = plan.stage == Stage::Configure && plan.restarts();
        let turn = match starts && has_cluster_store(&guard.record().engine) {
            true => self.engine_turn(report).await?,
            false => None,
        };
        apply(host.ssh.as_ref(), plan, report).await?;
        Ok(turn)
    }

    /// Waits until no other such engine starts; in vain, and with a warning, for as long as one may
    /// take.
    async fn engine_turn(&self, report: &dyn Report) -> Result<Option<FileLock>, LifecycleError> {
        let path = self.store.layout().engine_turn_lock();
        let started = Instant::now();
        loop {
            match lock_file(&path, Duration::ZERO)? {
                Locked::Held(turn) => return Ok(Some(turn)),
                Locked::Busy(_) if started.elapsed() < bounds::ENGINE_TURN => {
                    tokio::time::sleep(bounds::ENGINE_TURN_PAUSE).await;
                }
                Locked::Busy(_) => {
                    report.warn(
                        "another engine with a cluster-store has been starting for minutes; if \
                         overlay networks do not reach this host, restart its engine",
                    );
                    return Ok(None);
                }
            }
        }
    }
}
