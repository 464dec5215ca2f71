use rmachine_driver::{Driver, MachineName, Report, Secret, Secrets, Work};
use rmachine_machine::{FileLock, MachineFile, MachineGuard, Phase, StoreSource};
use rmachine_provision::{Plan, ProvisionError, Stage, TlsMaterial, plan, read_facts};

use crate::host::{Booting, Host, resolved};
use crate::names::Names;
use crate::store::{is_of_machine, package, uses_store};
use crate::wanted::{key_type, wanted};
use crate::{LifecycleError, Machines, bounds, note};

/// What `provision` did, or would do.
#[derive(Debug)]
pub struct Provisioned {
    /// The changes to the host; an empty plan touched nothing and restarted nothing.
    pub plan: Plan,
}

impl Machines {
    /// Brings a machine's host to what its record asks for, and waits until its engine answers.
    ///
    /// # Errors
    /// [`LifecycleError::Check`] when the plan was refused and nothing was touched; others when a
    /// step failed. The host's old configuration is then in force again, or the error says that it
    /// is not.
    pub async fn provision(
        &self,
        name: &MachineName,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Provisioned, LifecycleError> {
        self.converge(name, false, report, secrets).await
    }

    /// The changes that [`Machines::provision`] would make. Nothing is changed, neither on the host
    /// nor on this computer.
    ///
    /// # Errors
    /// As [`Machines::provision`].
    pub async fn planned(
        &self,
        name: &MachineName,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Provisioned, LifecycleError> {
        let guard = self.preview_made(name)?;
        let driver = self.driver_of(&guard)?;
        let work = Work {
            report,
            resources: &guard,
            secrets,
        };
        let host = self.host(driver.as_ref(), Booting::No, &work).await?;
        let plan = self.plan(&guard, driver.as_ref(), &host).await;
        host.ssh.close().await;
        Ok(Provisioned { plan: plan? })
    }

    /// Makes a machine's certificates anew and puts them in force.
    ///
    /// # Errors
    /// As [`Machines::provision`].
    pub async fn regenerate_certificates(
        &self,
        name: &MachineName,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Provisioned, LifecycleError> {
        self.converge(name, true, report, secrets).await
    }

    async fn converge(
        &self,
        name: &MachineName,
        renew_server: bool,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Provisioned, LifecycleError> {
        let guard = self.edit_made(name)?;
        let driver = self.driver_of(&guard)?;
        let work = Work {
            report,
            resources: &guard,
            secrets,
        };
        let mut host = self.host(driver.as_ref(), Booting::No, &work).await?;
        if renew_server {
            guard.remove_file(MachineFile::ServerCertificate)?;
            guard.remove_file(MachineFile::StoreCertificate)?;
        }
        let provisioned = self
            .provision_host(&guard, driver.as_ref(), &mut host, &work)
            .await;
        host.ssh.close().await;
        if let Err(failure) = &provisioned {
            note::failed(&guard, failure, report);
        }
        provisioned
    }

    /// Plans and applies, and waits for the engine. The caller closes the connection.
    pub(crate) async fn provision_host(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        host: &mut Host<'_>,
        work: &Work<'_>,
    ) -> Result<Provisioned, LifecycleError> {
        let plan = self.plan(guard, driver, host).await?;
        let (plan, turn) = self.apply_plan(guard, driver, host, plan, work).await?;
        self.finish(guard, driver, host, turn, work).await?;
        Ok(Provisioned { plan })
    }

    /// Waits for the engine, whose turn is over then, and makes the machine a part of its cluster.
    pub(crate) async fn finish(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        host: &Host<'_>,
        turn: Option<FileLock>,
        work: &Work<'_>,
    ) -> Result<(), LifecycleError> {
        work.report.step("waiting for the engine's answer over TLS");
        let version = self.engine_answers(guard.name(), driver).await?;
        drop(turn);
        let record = guard.record();
        if record.swarm.is_swarm || record.own.store.is_some() {
            guard.begin(Phase::Joined)?;
            let url = driver.url().await?;
            let engine = self.engine_within(guard.name(), &url, bounds::COMPANION_CALL)?;
            let engine = (&engine, &version);
            // What runs beside it may use it.
            self.serve_store(guard, host, engine, work.report).await?;
            self.join_cluster(guard, driver, &host.facts.interfaces, engine, work.report)
                .await?;
        }
        if let Some(mode) = guard.record().own.swarm_mode {
            guard.begin(Phase::Joined)?;
            self.join_swarm(guard, driver, &mode, work.report).await?;
        }
        if !guard.journal().is_ready() {
            guard.done(Phase::Ready)?;
        }
        Ok(())
    }

    /// Plans what has to change on a host. Certificates that are needed are issued here, and kept
    /// unless the guard is that of a dry run; the host is not touched.
    pub(crate) async fn plan(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        host: &Host<'_>,
    ) -> Result<Plan, LifecycleError> {
        self.note_store_address(guard, driver, &host.facts.interfaces)
            .await?;
        let mut record = guard.record();
        let (uses_store, for_engine) = (uses_store(&record), is_of_machine(&record.engine));
        record.engine = self.reached_options(&record.engine, guard.name())?;
        let key = key_type(&record)?;
        let shared = self.shared_certificates(guard, key)?;
        shared.give_to(guard)?;

        let address = driver.address().await?;
        let reached = resolved(&address, driver.engine_port()).await;
        let names = Names::of(
            &record,
            address.to_string(),
            &reached,
            &host.facts.interfaces,
        );
        let for_store = match uses_store {
            true => Some(self.store_certificates(guard, &names, key)?),
            false => None,
        };
        let organization = format!("{}.{}", self.settings.organization, guard.name());
        let tls = shared.server(guard, &organization, names, key, record.swarm.master)?;
        let mut wanted = wanted(&record, driver, &reached, tls)?;
        let for_engine = for_store.filter(|_| for_engine);
        wanted.engine.store_tls = for_engine.map(|it| TlsMaterial {
            ca: it.ca,
            certificate: it.certificate,
            key: Secret::new(it.key),
        });
        if let Some(server) = &record.own.store
            && server.source == StoreSource::Package
        {
            package(server.kind, host)?;
        }
        plan(&host.facts, &wanted).map_err(|refusals| LifecycleError::Check(refusals.0))
    }

    /// Applies a plan; an empty one costs nothing. What an installation brings is not known before
    /// it, so after one the host is looked at and planned for anew. Returns the plan, and the turn of
    /// an engine that may not start beside others.
    pub(crate) async fn apply_plan(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        host: &mut Host<'_>,
        plan: Plan,
        work: &Work<'_>,
    ) -> Result<(Plan, Option<FileLock>), LifecycleError> {
        if plan.is_empty() && guard.journal().is_done(Phase::Provisioned) {
            return Ok((plan, None));
        }
        guard.begin(Phase::Provisioned)?;
        let mut turn = self.apply_in_turn(guard, host, &plan, work.report).await?;
        if plan.stage == Stage::Install {
            host.facts = read_facts(host.ssh.as_ref()).await?;
            let configured = self.plan(guard, driver, host).await?;
            if configured.stage == Stage::Install {
                return Err(ProvisionError::NoEngineAfterInstall.into());
            }
            turn = self
                .apply_in_turn(guard, host, &configured, work.report)
                .await?;
        }
        guard.done(Phase::Provisioned)?;
        Ok((plan, turn))
    }
}
