//! What `ls` finds out about a machine.

use std::time::{Duration, Instant};

use rmachine_driver::{DriverError, MachineState};
use rmachine_engine::EngineError;
use rmachine_machine::{Journal, MachineFile, Record};
use rmachine_pki::CertificateInfo;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::{timeout, timeout_at};

use crate::cli::client::{Client, swarm_url};
use crate::cli::{App, Machine};
use crate::error::CommandError;

/// A certificate with fewer days left is worth a warning.
const NEAR_EXPIRY_DAYS: i64 = 30;

/// How long an adopted host's engine may take before sshd is asked too.
const HEAD_START: Duration = Duration::from_secs(1);

/// One line of `ls`.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub active_host: bool,
    pub active_swarm: bool,
    pub driver: String,
    pub state: MachineState,
    pub url: String,
    pub swarm: String,
    pub docker_version: String,
    pub errors: Vec<String>,
    pub swarm_options: Value,
    pub engine_options: Value,
    pub response_time: Duration,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            name: String::new(),
            active_host: false,
            active_swarm: false,
            driver: String::new(),
            state: MachineState::None,
            url: String::new(),
            swarm: String::new(),
            docker_version: UNKNOWN.to_owned(),
            errors: Vec::new(),
            swarm_options: Value::Null,
            engine_options: Value::Null,
            response_time: Duration::ZERO,
        }
    }
}

const UNKNOWN: &str = "Unknown";

impl Row {
    /// The row of a machine whose record cannot be read.
    pub fn unreadable(name: &str, error: &CommandError) -> Self {
        Self {
            name: name.to_owned(),
            driver: "not found".to_owned(),
            state: MachineState::Error,
            errors: vec![error.in_one_line()],
            ..Self::default()
        }
    }

    /// `*` for the machine that `DOCKER_HOST` names, `-` for others.
    pub fn active(&self) -> &'static str {
        match (self.active_host, self.active_swarm) {
            (true, _) => "*",
            (false, true) => "* (swarm)",
            (false, false) => "-",
        }
    }

    /// Asks the machine: its state, its URL, its engine's version. Whatever is not known when the
    /// time is over stays unknown.
    pub async fn ask(app: &App, record: Record, limit: Duration) -> Self {
        let started = Instant::now();
        let mut row = Self {
            name: record.name().to_string(),
            driver: record.driver_name().to_owned(),
            swarm_options: serde_json::to_value(&record.swarm).unwrap_or_default(),
            engine_options: serde_json::to_value(&record.engine).unwrap_or_default(),
            ..Self::default()
        };
        row.errors.extend(half_made(&row.name, &record.own.journal));
        match app.driver(&record) {
            Ok(driver) => {
                let machine = Machine { record, driver };
                row.ask_machine(app, &machine, limit).await;
                row.errors.extend(expiring(app, &machine.record));
            }
            Err(error) => {
                row.state = MachineState::Error;
                row.errors.push(error.in_one_line());
            }
        }
        row.response_time = started.elapsed();
        row
    }

    async fn ask_machine(&mut self, app: &App, machine: &Machine, limit: Duration) {
        let end = tokio::time::Instant::now() + limit;
        if self.engine_proves_it_runs(app, machine, end).await {
            return;
        }
        self.state = match timeout(limit, machine.driver.state()).await {
            Ok(Ok(state)) => state,
            Ok(Err(error)) => {
                self.errors.push(CommandError::from(error).in_one_line());
                MachineState::Error
            }
            Err(_) => MachineState::Timeout,
        };
        // Only what runs can answer; what has no power state of its own may.
        if !matches!(self.state, MachineState::Running | MachineState::None) {
            return;
        }
        match timeout_at(end, machine.driver.url()).await {
            Ok(Ok(url)) => self.url = url,
            Ok(Err(DriverError::NotRunning)) => return,
            Ok(Err(error)) => return self.errors.push(CommandError::from(error).in_one_line()),
            Err(_) => return self.errors.push("its URL was not known in time".to_owned()),
        }
        self.compare_with_docker_host(app, machine);
        // A half-made machine has no engine to ask yet, and its row says so already.
        if machine.record.own.journal.is_ready()
            && let Err(error) = self.ask_engine(app, machine, end).await
        {
            self.errors.push(error.in_one_line());
        }
    }

    /// An adopted host has no power state but that it answers. Its engine has to be asked anyway;
    /// where that answers soon, sshd is spared a connection, which is dearer than the question.
    async fn engine_proves_it_runs(
        &mut self,
        app: &App,
        machine: &Machine,
        end: tokio::time::Instant,
    ) -> bool {
        let capabilities = machine.driver.capabilities();
        let ready = machine.record.own.journal.is_ready();
        if !(capabilities.adopted && capabilities.provisioned && ready) {
            return false;
        }
        let Ok(url) = machine.driver.url().await else {
            return false;
        };
        self.url = url;
        let asked = timeout(HEAD_START, self.ask_engine(app, machine, end)).await;
        if !matches!(asked, Ok(Ok(()))) {
            self.url.clear();
            return false;
        }
        self.state = MachineState::Running;
        self.compare_with_docker_host(app, machine);
        true
    }

    async fn ask_engine(
        &mut self,
        app: &App,
        machine: &Machine,
        end: tokio::time::Instant,
    ) -> Result<(), CommandError> {
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        let engine = Client::at(app, machine, self.url.clone()).engine(left)?;
        match timeout_at(end, engine.version()).await {
            Ok(Ok(version)) => {
                self.docker_version = format!("v{}", version.version);
                Ok(())
            }
            Ok(Err(EngineError::Deadline { .. })) | Err(_) => {
                self.state = MachineState::Timeout;
                Err(CommandError::failed("the engine did not answer in time"))
            }
            Ok(Err(error)) => Err(CommandError::of_engine(error, &self.name)),
        }
    }

    fn compare_with_docker_host(&mut self, app: &App, machine: &Machine) {
        let Some(docker_host) = app.process.var("DOCKER_HOST") else {
            return;
        };
        // Machines whose power nobody knows (an URL and no more) can be the active one too.
        let up = matches!(self.state, MachineState::Running | MachineState::None);
        let swarm = &machine.record.swarm;
        let cluster = swarm_url(&self.url, &swarm.host).filter(|_| swarm.master);
        self.active_host = up && self.url == docker_host;
        self.active_swarm = up && cluster.as_deref() == Some(docker_host);
    }
}

/// What to say of a machine that `create` did not bring to its end.
fn half_made(name: &str, journal: &Journal) -> Option<String> {
    let next = journal.next()?;
    let why = match (journal.last_error(), journal.begun()) {
        (Some(failure), _) => format!(": {}", failure.message),
        (None, Some(_)) => ", at work or cut off".to_owned(),
        (None, None) => String::new(),
    };
    Some(format!(
        "half-made, not {next} yet{why} (rmachine create {name} goes on)"
    ))
}

/// What to say of a certificate that ends soon.
fn expiring(app: &App, record: &Record) -> Option<String> {
    let name = record.name();
    let now = OffsetDateTime::from(app.process.now());
    [
        MachineFile::ServerCertificate,
        MachineFile::ManagerCertificate,
        MachineFile::AgentCertificate,
        MachineFile::ClientCertificate,
        MachineFile::CaCertificate,
    ]
    .into_iter()
    .find_map(|file| {
        let pem = app.store.read_file(name, file).ok()??;
        let days = CertificateInfo::read(&pem).ok()?.days_left(now);
        let which = file.file_name();
        match days {
            days if days < 0 => Some(format!(
                "{which} has expired (rmachine regenerate-certs {name})"
            )),
            days if days < NEAR_EXPIRY_DAYS => Some(format!(
                "{which} expires in {days} days (rmachine regenerate-certs {name})"
            )),
            _ => None,
        }
    })
}
