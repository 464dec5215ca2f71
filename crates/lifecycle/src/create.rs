use rmachine_driver::{Driver, FirstContact, MachineName, Report, Secrets, Work};
use rmachine_machine::{MachineGuard, Phase, Record, StoreError, SwarmMode, SwarmOptions};
use rmachine_provision::Plan;

use crate::credentials::reject_url_credentials;
use crate::host::{Booting, Host};
use crate::swarm::{Keeper, keeper};
use crate::wanted::key_type;
use crate::{LifecycleError, MachineSpec, Machines, Orchestrator, bounds, note, options};

/// What becomes of a machine that could not be made to its end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFailure {
    /// It stays, and `create` goes on with it.
    #[default]
    Keep,
    /// It is taken away again, and an adopted host gets its old configuration back.
    RollBack,
}

/// A machine whose engine has answered.
#[derive(Debug)]
pub struct Created {
    /// The engine's URL.
    pub url: String,
    /// The phase at which an earlier, unfinished `create` was taken up.
    pub resumed_at: Option<Phase>,
}

impl Machines {
    /// Makes a machine, or goes on making one that was not made to its end.
    ///
    /// A machine for which nothing was made yet leaves nothing behind when it fails.
    ///
    /// # Errors
    /// [`LifecycleError::Store`] with [`StoreError::Exists`] for a machine that is ready;
    /// [`LifecycleError::OtherOptions`] for one that is half-made, with options that differ;
    /// [`LifecycleError::Check`] when nothing was touched; others name what failed.
    pub async fn create(
        &self,
        spec: &MachineSpec,
        on_failure: OnFailure,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Created, LifecycleError> {
        let (guard, half_made) = self.take_in_hand(spec, Changes::Kept)?;
        if let Some(found) = half_made.filter(options::something_is_made) {
            options::tell_left_out(
                &found,
                &options::given(self.kind(&spec.driver)?, spec),
                report,
            );
        }
        let made = self.bring_up(&guard, spec, report, secrets).await;
        match made {
            Ok(created) => Ok(created),
            Err(failure) => {
                self.after_failure(guard, failure, on_failure, report, secrets)
                    .await
            }
        }
    }

    /// What [`Machines::create`] would change on a host that is there already. Nothing is changed,
    /// neither on the host nor on this computer. `None` for machines whose host has to be made
    /// first.
    ///
    /// # Errors
    /// As [`Machines::create`].
    pub async fn create_planned(
        &self,
        spec: &MachineSpec,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Option<Plan>, LifecycleError> {
        let (guard, _) = self.take_in_hand(spec, Changes::Discarded)?;
        let work = Work {
            report,
            resources: &guard,
            secrets,
        };
        let driver = self.driver_for(&guard, spec)?;
        let Some((host, plan)) = self.check(&guard, driver.as_ref(), &work).await? else {
            return Ok(None);
        };
        host.ssh.close().await;
        Ok(Some(plan))
    }

    /// Reserves the name in the store, or takes up the half-made machine that has it, with its
    /// record as it was found.
    fn take_in_hand(
        &self,
        spec: &MachineSpec,
        changes: Changes,
    ) -> Result<(MachineGuard, Option<Record>), LifecycleError> {
        let context = self.store.driver_context(&spec.name, FirstContact::Pin);
        let kind = self.kind(&spec.driver)?;
        let configured = kind.configure(context, &spec.flags)?;
        let config = configured.config();
        let given = options::given(kind, spec);
        let mut record = Record::new(
            self.store.layout(),
            &self.certificates(),
            spec.name.clone(),
            spec.driver.clone(),
            config.clone(),
        );
        record.own.flags = Some(given.clone());
        request(&mut record, spec);
        request_cluster(&mut record, self.membership(spec)?);
        self.check_stores(spec)?;
        record.own.store = self.store_server(&spec.name, spec.store.as_ref())?;
        reject_url_credentials(&record)?;
        let requested = record.clone();
        let approve = || match changes {
            Changes::Kept => self.approve_requested(spec, configured.as_ref(), &requested),
            Changes::Discarded => Ok(()),
        };
        let opened = match changes {
            Changes::Kept => self.store.create(record, bounds::MACHINE_LOCK),
            Changes::Discarded if self.store.contains(&spec.name) => Err(StoreError::Exists {
                name: spec.name.clone(),
            }),
            Changes::Discarded => Ok(self.store.preview(record)),
        };
        match opened {
            Ok(guard) => match approve() {
                Ok(()) => Ok((guard, None)),
                Err(error) => {
                    guard.remove()?;
                    Err(error)
                }
            },
            Err(StoreError::Exists { name }) => {
                let guard = match changes {
                    Changes::Kept => self.edit(&name)?,
                    Changes::Discarded => self.store.preview(self.store.load(&name)?),
                };
                if guard.journal().is_ready() {
                    return Err(StoreError::Exists { name }.into());
                }
                let found = guard.record();
                let owner = found.driver_name().to_owned();
                if owner != spec.driver {
                    return Err(LifecycleError::OtherDriver {
                        name,
                        driver: owner,
                    });
                }
                let begun = options::something_is_made(&found);
                if begun {
                    options::must_be_those_of_then(&found, &given)?;
                }
                let membership = self.membership(spec)?;
                self.check_stores(spec)?;
                let store = self.store_server(&name, spec.store.as_ref())?;
                approve()?;
                guard.update(|record| {
                    if !begun {
                        record.driver = config;
                        record.own.flags = Some(given);
                    }
                    request(record, spec);
                    request_cluster(record, membership);
                    record.own.store = store;
                })?;
                Ok((guard, Some(found)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The machine's part in a cluster, as its record keeps it.
    fn membership(&self, spec: &MachineSpec) -> Result<Option<Membership>, LifecycleError> {
        let Some(request) = &spec.swarm else {
            return Ok(None);
        };
        let options = &request.options;
        Ok(Some(match request.orchestrator {
            Orchestrator::Classic => {
                let Keeper { discovery, master } =
                    keeper(request, &self.embedded_masters(&spec.name)?)?;
                Membership::Classic {
                    options: SwarmOptions {
                        discovery,
                        ..options.clone()
                    },
                    join: master,
                }
            }
            Orchestrator::SwarmMode => {
                let begins = options.master && request.join.is_none();
                let join = match begins {
                    true => None,
                    false => Some(self.swarm_to_join(&spec.name, request.join.as_ref())?),
                };
                Membership::SwarmMode(SwarmMode {
                    manager: options.master,
                    join,
                    address: options.address.clone(),
                })
            }
        }))
    }

    /// The driver of the machine in hand: as its record says once something was made, as the
    /// flags say before that.
    fn driver_for(
        &self,
        guard: &MachineGuard,
        spec: &MachineSpec,
    ) -> Result<Box<dyn Driver>, LifecycleError> {
        if options::something_is_made(&guard.record()) {
            return self.driver_of(guard);
        }
        let kind = self.kind(&spec.driver)?;
        Ok(kind.configure(guard.driver_context(), &spec.flags)?)
    }

    async fn bring_up(
        &self,
        guard: &MachineGuard,
        spec: &MachineSpec,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Created, LifecycleError> {
        let work = Work {
            report,
            resources: guard,
            secrets,
        };
        let resumed_at = guard.journal().reached().and(guard.journal().next());
        let mut driver = self.driver_for(guard, spec)?;

        let mut checked = None;
        if !guard.journal().is_done(Phase::Checked) {
            guard.begin(Phase::Checked)?;
            report.step("checking before anything is touched");
            checked = self.check(guard, driver.as_ref(), &work).await?;
            guard.done(Phase::Checked)?;
        }
        if !guard.journal().is_done(Phase::Created) {
            guard.begin(Phase::Created)?;
            let created = driver.create(&work).await;
            note::after_work(guard, driver.as_ref(), created)?;
            guard.done(Phase::Created)?;
        } else if driver.capabilities().power {
            // It may have been switched off since, with this computer for one.
            let started = driver.start(&work).await;
            note::after_work(guard, driver.as_ref(), started)?;
        }
        if driver.capabilities().provisioned {
            self.set_up(guard, driver.as_ref(), checked, &work).await?;
        } else if spec.swarm.is_some() || spec.store.is_some() {
            return Err(LifecycleError::NotProvisioned {
                driver: driver.name().to_owned(),
            });
        } else {
            let shared = self.shared_certificates(guard, key_type(&guard.record())?)?;
            shared.give_to(guard)?;
            guard.done(Phase::Ready)?;
        }
        Ok(Created {
            url: driver.url().await?,
            resumed_at,
        })
    }

    /// Looks for every reason against making the machine. For a host that is there already, that
    /// is the plan itself: the connection and the plan are handed on to the work.
    async fn check<'a>(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        work: &Work<'a>,
    ) -> Result<Option<(Host<'a>, Plan)>, LifecycleError> {
        driver.check(work).await?;
        let capabilities = driver.capabilities();
        if !(capabilities.adopted && capabilities.provisioned) {
            return Ok(None);
        }
        let host = self
            .host(driver, Booting::No, work)
            .await
            .map_err(before_anything_was_touched)?;
        let plan = self.plan(guard, driver, &host).await?;
        Ok(Some((host, plan)))
    }

    /// Provisions the host and waits for its engine.
    async fn set_up(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        checked: Option<(Host<'_>, Plan)>,
        work: &Work<'_>,
    ) -> Result<(), LifecycleError> {
        let (mut host, plan) = match checked {
            Some((host, plan)) => (host, plan),
            None => {
                let host = self.host(driver, booting(driver), work).await?;
                let plan = self.plan(guard, driver, &host).await?;
                (host, plan)
            }
        };
        guard.done(Phase::Reachable)?;
        let applied = self.apply_plan(guard, driver, &mut host, plan, work).await;
        let finished = match applied {
            Ok((_, turn)) => self.finish(guard, driver, &host, turn, work).await,
            Err(error) => Err(error),
        };
        host.ssh.close().await;
        finished
    }

    /// Notes the failure, and takes away what has to go.
    async fn after_failure(
        &self,
        guard: MachineGuard,
        failure: LifecycleError,
        on_failure: OnFailure,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<Created, LifecycleError> {
        let journal = guard.journal();
        let nothing_made = !journal.is_done(Phase::Checked) && guard.record().own.owned.is_empty();
        if nothing_made {
            guard.remove()?;
            return Err(failure);
        }
        note::failed(&guard, &failure, report);
        match on_failure {
            OnFailure::Keep => Err(failure),
            OnFailure::RollBack => {
                report.step("taking away what was made");
                match self.take_away(guard, true, report, secrets).await {
                    Ok(()) => Err(failure),
                    Err(source) => Err(LifecycleError::RollbackFailed {
                        failure: Box::new(failure),
                        source: Box::new(source),
                    }),
                }
            }
        }
    }
}

/// What becomes of changes to the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Changes {
    /// They are written.
    Kept,
    /// They stay in memory: a dry run.
    Discarded,
}

/// A machine's part in a cluster.
enum Membership {
    Classic {
        options: SwarmOptions,
        join: Option<MachineName>,
    },
    SwarmMode(SwarmMode),
}

/// Writes what was asked of the machine in a cluster into the record.
fn request_cluster(record: &mut Record, membership: Option<Membership>) {
    record.swarm = SwarmOptions::default();
    record.own.swarm_join = None;
    record.own.swarm_mode = None;
    match membership {
        None => {}
        Some(Membership::Classic { options, join }) => {
            record.swarm = options;
            record.own.swarm_join = join;
        }
        Some(Membership::SwarmMode(mode)) => record.own.swarm_mode = Some(mode),
    }
}

/// Writes what was asked for into the record.
fn request(record: &mut Record, spec: &MachineSpec) {
    record.engine = spec.engine.options.clone();
    record.auth.server_cert_sans = spec.engine.tls_sans.clone();
    record.own.tls_key_type = Some(spec.engine.tls_key.to_string());
    record.own.engine_install = Some(spec.engine.install.to_string());
}

/// A host that its driver made has just been powered on; an adopted one is there.
fn booting(driver: &dyn Driver) -> Booting {
    match driver.capabilities().adopted {
        true => Booting::No,
        false => Booting::Yes,
    }
}

fn before_anything_was_touched(error: LifecycleError) -> LifecycleError {
    match error {
        check @ LifecycleError::Check(_) => check,
        other => LifecycleError::Untouched(Box::new(other)),
    }
}
