use rmachine_companion::server::{Consul, Etcd, STORE, STORE_VOLUME};
use rmachine_companion::{Architecture, CompanionError, Image, WholeProgram};
use rmachine_driver::{Driver, MachineName, Report};
use rmachine_engine::{Engine, VersionInfo};
use rmachine_machine::{
    EngineOptions, MachineGuard, Phase, Record, StoreKind, StoreServer, StoreSource,
};
use rmachine_provision::{Interface, ProgramPackage, tls_paths};

use super::decide::{Client, addresses, client_port};
use super::members::Members;
use super::membership::{admission, answer, departure};
use super::{Reference, Server, StoreRefusal, Stores};
use crate::host::{Host, resolved};
use crate::swarm::{last_words, reached_at};
use crate::{LifecycleError, MachineSpec, Machines, StoreRequest};

/// The option of engines that takes the URL of a store.
const CLUSTER_STORE: &str = "cluster-store=";

impl Machines {
    /// The servers of stores on all machines here.
    pub(crate) fn stores(&self) -> Result<Stores, LifecycleError> {
        let mut servers = Vec::new();
        for machine in self.store.names()? {
            // One that cannot be read is no reason against another one.
            let Ok(record) = self.store.load(&machine) else {
                continue;
            };
            if let Some(asked) = record.own.store {
                servers.push(Server {
                    machine,
                    is_ready: record.own.journal.is_done(Phase::Joined),
                    asked,
                });
            }
        }
        Ok(Stores(servers))
    }

    /// What a machine's record is to say of the server that is asked of it.
    pub(crate) fn store_server(
        &self,
        name: &MachineName,
        request: Option<&StoreRequest>,
    ) -> Result<Option<StoreServer>, LifecycleError> {
        let Some(StoreRequest { kind, join, source }) = request else {
            return Ok(None);
        };
        let stores = self.stores()?;
        let join = stores.joined(name, *kind, join.as_ref())?;
        let joined = join.as_ref().and_then(|join| stores.on(join));
        let source = match (source, joined) {
            (Some(source), _) => source.clone(),
            (None, Some(joined)) => {
                self.require_approved_program(&joined.machine, &joined.asked.source)?;
                joined.asked.source.clone()
            }
            (None, None) => match self.settings.program(kind.as_str()) {
                Some(path) => StoreSource::Program(path),
                None => return Err(StoreRefusal::NoProgram { kind: *kind }.into()),
            },
        };
        if let StoreSource::Program(path) = &source {
            WholeProgram::read(path)?;
        }
        // What came of an attempt that was cut off goes on.
        let before = stores.on(name).filter(|it| it.asked.join == join);
        let (address, peers) = before.map_or((None, Vec::new()), |before| {
            (before.asked.address, before.asked.peers.clone())
        });
        Ok(Some(StoreServer {
            kind: *kind,
            join,
            source,
            address,
            peers,
        }))
    }

    /// Whether the stores that a machine is to use are there.
    ///
    /// # Errors
    /// [`StoreRefusal`].
    pub(crate) fn check_stores(&self, spec: &MachineSpec) -> Result<(), LifecycleError> {
        let discovery = spec.swarm.as_ref().map(|swarm| &swarm.options.discovery);
        let options = spec.engine.options.arbitrary_flags.iter();
        let options = options.filter_map(|option| option.strip_prefix(CLUSTER_STORE));
        for url in options.chain(discovery.map(String::as_str)) {
            let Some(reference) = Reference::read(url)? else {
                continue;
            };
            let own = spec.store.as_ref().map(|store| (&spec.name, store.kind));
            if own == Some((reference.name(), reference.kind())) {
                continue;
            }
            self.stores()?.serves(&reference, &spec.name)?;
        }
        Ok(())
    }

    /// A discovery with the addresses of the servers that it means.
    pub(crate) fn reached_discovery(
        &self,
        url: &str,
        on: &MachineName,
    ) -> Result<String, LifecycleError> {
        self.reached(url, on, Client::Companion)
    }

    /// The options of an engine with the addresses of the servers that they mean.
    pub(crate) fn reached_options(
        &self,
        options: &EngineOptions,
        on: &MachineName,
    ) -> Result<EngineOptions, LifecycleError> {
        let mut reached = options.clone();
        for option in &mut reached.arbitrary_flags {
            if let Some(url) = option.strip_prefix(CLUSTER_STORE) {
                let url = self.reached(url, on, Client::Engine)?;
                *option = format!("{CLUSTER_STORE}{url}");
            }
        }
        if is_of_machine(options) {
            let files = [
                ("kv.cacertfile", tls_paths::STORE_CA),
                ("kv.certfile", tls_paths::STORE_CERTIFICATE),
                ("kv.keyfile", tls_paths::STORE_KEY),
            ];
            let files = files.map(|(name, path)| format!("cluster-store-opt={name}={path}"));
            reached.arbitrary_flags.extend(files);
        }
        Ok(reached)
    }

    fn reached(
        &self,
        url: &str,
        on: &MachineName,
        client: Client,
    ) -> Result<String, LifecycleError> {
        match Reference::read(url)? {
            Some(reference) => Ok(self.stores()?.resolved(&reference, on, client)?),
            None => Ok(url.to_owned()),
        }
    }

    /// Notes where a machine's server is reached, for its engine and for others.
    pub(crate) async fn note_store_address(
        &self,
        guard: &MachineGuard,
        driver: &dyn Driver,
        interfaces: &[Interface],
    ) -> Result<(), LifecycleError> {
        let record = guard.record();
        let Some(server) = &record.own.store else {
            return Ok(());
        };
        let address = reached_at(&record, driver, interfaces).await?;
        let found = resolved(&address, client_port(server.kind)).await;
        let Some(now) = found.first().copied() else {
            return Err(StoreRefusal::NoAddress {
                name: guard.name().clone(),
                address: address.to_string(),
            }
            .into());
        };
        if server.address != Some(now) {
            note(guard, |server| server.address = Some(now))?;
        }
        Ok(())
    }

    /// Lets the server run that is asked of a machine, and waits until it is a part of its store.
    pub(crate) async fn serve_store(
        &self,
        guard: &MachineGuard,
        host: &Host<'_>,
        engine: (&Engine, &VersionInfo),
        report: &dyn Report,
    ) -> Result<(), LifecycleError> {
        let record = guard.record();
        let Some(server) = &record.own.store else {
            return Ok(());
        };
        let name = guard.name();
        let address = server
            .address
            .ok_or_else(|| StoreRefusal::NotReady { name: name.clone() })?;
        let kind = server.kind;
        let (engine, version) = engine;
        self.require_approved_program(name, &server.source)?;
        let image = store_image(engine, version, host, server, report).await?;
        let others = addresses(self.others(name)?.iter());
        let certificates = self.store_identity(name)?;
        let members = Members::new(&certificates);
        let members = members.map_err(|reason| silent(name, kind, reason, Vec::new()))?;
        let peers = match &server.join {
            None => Vec::new(),
            Some(_) if !server.peers.is_empty() => server.peers.clone(),
            Some(join) => {
                report.step(&format!("joining the store of {join}"));
                let peers = admission(&members, kind, name, address, &others).await;
                peers.map_err(|reason| silent(name, kind, reason, Vec::new()))?
            }
        };
        if peers != server.peers {
            note(guard, |server| server.peers.clone_from(&peers))?;
        }
        report.step(&format!("starting {kind}"));
        let container = match kind {
            StoreKind::Etcd => Etcd {
                name: name.to_string(),
                address,
                peers,
                certificates,
            }
            .container(&image),
            StoreKind::Consul => Consul {
                machine: name.to_string(),
                address,
                peers,
                certificates,
                gossip_key: self.gossip_key()?,
            }
            .container(&image),
        };
        rmachine_companion::converge(engine, &container).await?;
        report.step(&format!("waiting for the answer of {kind}"));
        let answered = answer(&members, kind, address, &others).await;
        match answered {
            Ok(()) => Ok(()),
            Err(reason) => Err(silent(name, kind, reason, last_words(engine, STORE).await)),
        }
    }

    /// Takes a machine's server out of its store, so that the others have their quorum without it,
    /// and its data away. An engine that is not there is passed over.
    pub(crate) async fn leave_store(
        &self,
        guard: &MachineGuard,
        engine: Option<&Engine>,
        report: &dyn Report,
    ) -> Result<(), LifecycleError> {
        let record = guard.record();
        let Some(server) = &record.own.store else {
            return Ok(());
        };
        let (name, kind) = (guard.name(), server.kind);
        let others = addresses(self.others(name)?.iter().filter(|other| other.is_ready));
        if let Some(address) = server.address.filter(|_| !others.is_empty()) {
            report.step("leaving the store");
            let left = match Members::new(&self.store_identity(name)?) {
                Ok(members) => departure(&members, kind, name, address, &others, engine).await,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = left {
                report.warn(&format!("it could not leave its store in order: {reason}"));
            }
        }
        if let Some(engine) = engine {
            rmachine_companion::remove(engine, STORE).await?;
            rmachine_companion::remove_volume(engine, STORE_VOLUME).await?;
        }
        Ok(())
    }

    /// The other servers of a machine's store.
    fn others(&self, name: &MachineName) -> Result<Vec<Server>, LifecycleError> {
        let stores = self.stores()?;
        let servers = stores.of(name).into_iter();
        Ok(servers
            .filter(|other| other.machine != *name)
            .cloned()
            .collect())
    }
}

/// Whether an engine is to share a `cluster-store` with others.
pub(crate) fn has_cluster_store(options: &EngineOptions) -> bool {
    cluster_stores(options).next().is_some()
}

/// Whether an engine is to use the store of a machine.
pub(crate) fn is_of_machine(options: &EngineOptions) -> bool {
    cluster_stores(options).any(|url| matches!(Reference::read(url), Ok(Some(_))))
}

fn cluster_stores(options: &EngineOptions) -> impl Iterator<Item = &str> {
    let options = options.arbitrary_flags.iter();
    options.filter_map(|option| option.strip_prefix(CLUSTER_STORE))
}

fn note(guard: &MachineGuard, change: impl FnOnce(&mut StoreServer)) -> Result<(), LifecycleError> {
    guard.update(|record: &mut Record| {
        if let Some(server) = &mut record.own.store {
            change(server);
        }
    })?;
    Ok(())
}

/// Sees to it that the engine has what the server runs, and names it.
async fn store_image(
    engine: &Engine,
    version: &VersionInfo,
    host: &Host<'_>,
    server: &StoreServer,
    report: &dyn Report,
) -> Result<String, LifecycleError> {
    let kind = server.kind;
    let path = match &server.source {
        StoreSource::Program(path) => path,
        StoreSource::Image(image) => {
            if !rmachine_companion::has_any(engine, image).await? {
                report.step(&format!("pulling {image}"));
                rmachine_companion::pull(engine, image).await?;
            }
            return Ok(image.clone());
        }
        StoreSource::Package => {
            let tag = format!("rmachine-{kind}:package");
            if !rmachine_companion::has_any(engine, &tag).await? {
                let archive = package(kind, host)?
                    .fetch(host.ssh.as_ref(), report)
                    .await?;
                let program = WholeProgram::unpack(&archive, kind.as_str())?;
                send(engine, &program, kind, &tag, report).await?;
            }
            return Ok(tag);
        }
    };
    let tag = format!("rmachine-{kind}:sent");
    let program = match WholeProgram::read(path) {
        Ok(program) => program,
        // What was sent before goes on without the program it came from.
        Err(error) => match rmachine_companion::has_any(engine, &tag).await? {
            true => {
                report.warn(&format!("{error}; {kind} stays as it was sent before"));
                return Ok(tag);
            }
            false => return Err(error.into()),
        },
    };
    let architecture = Architecture::of_machine(&version.arch)
        .ok_or_else(|| CompanionError::Architecture(version.arch.clone()))?;
    if program.architecture() != architecture {
        return Err(CompanionError::OtherArchitecture {
            path: path.clone(),
            is_for: program.architecture(),
            architecture,
        }
        .into());
    }
    send(engine, &program, kind, &tag, report).await?;
    Ok(tag)
}

/// Where a server's program comes from, when it is of the host's distribution.
pub(crate) fn package(kind: StoreKind, host: &Host<'_>) -> Result<ProgramPackage, LifecycleError> {
    let package = ProgramPackage::of(kind.as_str(), &host.facts);
    package.map_err(|failure| LifecycleError::Check(vec![failure]))
}

async fn send(
    engine: &Engine,
    program: &WholeProgram,
    kind: StoreKind,
    tag: &str,
    report: &dyn Report,
) -> Result<(), LifecycleError> {
    let image = Image::of_program(program, kind.as_str());
    let image = image.map_err(|source| CompanionError::Archive {
        what: "a store's image",
        source,
    })?;
    if !rmachine_companion::has(engine, &image, tag).await? {
        let megabytes = image.size() as f64 / 1e6;
        report.step(&format!("sending {kind}, {megabytes:.1} MB"));
        rmachine_companion::send(engine, &image, tag).await?;
    }
    Ok(())
}

fn silent(name: &MachineName, kind: StoreKind, reason: String, log: Vec<String>) -> LifecycleError {
    LifecycleError::StoreSilent {
        name: name.clone(),
        kind,
        reason,
        log,
    }
}
