use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use rmachine_cluster::{Health, Orchestrator, Roles, Signs};
use rmachine_driver::{MachineName, MachineState};
use rmachine_engine::Engine;
use rmachine_machine::MachineFile;
use rmachine_pki::CertificateInfo;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::super::client::Client;
use super::super::{App, Machine};
use super::Known;
use crate::error::{CommandError, ErrorKind};

/// How long one question may take.
const CALL: Duration = Duration::from_secs(5);

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(300);

/// Asks all machines of a cluster, at the same time, how they are.
pub async fn examine(app: &App, known: &Known) -> Health {
    let heard = known.members.iter().map(async |(name, roles)| {
        let mut signs = Signs::default();
        if let Err(error) = listen(app, known.orchestrator, name, *roles, &mut signs).await {
            signs.trouble = Some(error.in_one_line());
        }
        (name.clone(), *roles, signs)
    });
    let heard = join_all(heard).await;
    Health::of(
        known.orchestrator,
        heard,
        OffsetDateTime::from(app.process.now()),
    )
}

/// Asks until the cluster is healthy or the time is over, and returns what was heard last.
pub async fn examine_until(app: &App, known: &Known, deadline: Instant) -> Health {
    loop {
        let health = examine(app, known).await;
        if health.is_healthy() || Instant::now() >= deadline {
            return health;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says what is not healthy, a cause for each machine; nothing of a healthy cluster.
pub fn ailing(known: &Known, health: &Health) -> Option<CommandError> {
    if health.is_healthy() {
        return None;
    }
    let ailing = health.ailing();
    let causes: Vec<String> = ailing
        .map(|member| {
            let ailment = member.ailment.as_deref().unwrap_or_default();
            format!("{}: {ailment}", member.name)
        })
        .collect();
    let (ill, all) = (causes.len(), health.members.len());
    let kind = match ill < all {
        true => ErrorKind::Partial,
        false => ErrorKind::Failed,
    };
    let message = match all {
        0 => format!("the cluster {} has no machines", known.name),
        _ => format!(
            "of the cluster {} {ill} of {all} machines are not healthy",
            known.name
        ),
    };
    let mut told = CommandError::new(kind, message);
    told.causes = causes;
    Some(told)
}

/// Waits until every engine answers and is a healthy node.
///
/// # Errors
/// [`ErrorKind::TimedOut`], with what is wrong with each machine that is not.
pub async fn wait_until_healthy(
    app: &App,
    known: &Known,
    limit: Duration,
) -> Result<(), CommandError> {
    let health = examine_until(app, known, Instant::now() + limit).await;
    match ailing(known, &health) {
        None => Ok(()),
        Some(told) => Err(timed_out(told, limit)),
    }
}

/// The same, at the end of a wait.
pub fn timed_out(told: CommandError, limit: Duration) -> CommandError {
    CommandError {
        kind: ErrorKind::TimedOut,
        message: format!("waited {} s, and {}", limit.as_secs(), told.message),
        ..told
    }
}

/// Hears what a machine has to say; what it has said before it went silent is kept.
async fn listen(
    app: &App,
    orchestrator: Orchestrator,
    name: &MachineName,
    roles: Roles,
    signs: &mut Signs,
) -> Result<(), CommandError> {
    let machine = app.machine(name)?;
    for file in [
        MachineFile::ServerCertificate,
        MachineFile::ManagerCertificate,
        MachineFile::AgentCertificate,
    ] {
        let pem = app.store.read_file(name, file)?;
        let certificate = pem.and_then(|pem| CertificateInfo::read(&pem).ok());
        let until = certificate.map(|certificate| certificate.not_after);
        // The one that expires first counts.
        signs.certificate_until = [signs.certificate_until, until].into_iter().flatten().min();
    }
    let journal = &machine.record.own.journal;
    if let Some(next) = journal.next() {
        let why = journal.last_error().map(|failure| &failure.message);
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let half_made = format!("half-made, not {next} yet{why}");
        return Err(CommandError::failed(half_made));
    }
    let state = app
        .machines
        .state_of(&machine.record, machine.driver.as_ref());
    signs.state = match timeout(CALL, state).await {
        Ok(state) => Some(state.map_err(CommandError::from)?),
        Err(_) => None,
    };
    // What has no power state of its own may answer.
    if let Some(state) = signs.state
        && !matches!(state, MachineState::Running | MachineState::None)
    {
        return Err(CommandError::failed(format!("it is {state}")));
    }
    let client = Client::of(app, &machine).await?;
    signs.url = Some(client.url.clone());
    let engine = client.engine(CALL)?;
    let told = |error| CommandError::of_engine(error, name.as_str());
    let info = engine.info().await.map_err(told)?;
    signs.engine = info["ServerVersion"].as_str().map(str::to_owned);
    signs.node = info["Swarm"]["NodeID"].as_str().map(str::to_owned);
    if roles.manager {
        let view = view(app, orchestrator, &machine, &engine).await;
        signs.view = Some(view.map_err(|error| error.in_one_line()));
    }
    Ok(())
}

/// What a manager says of the cluster.
async fn view(
    app: &App,
    orchestrator: Orchestrator,
    machine: &Machine,
    engine: &Engine,
) -> Result<serde_json::Value, CommandError> {
    let told = |error| CommandError::of_engine(error, machine.name().as_str());
    match orchestrator {
        Orchestrator::Classic => {
            let manager = Client::of_swarm(app, machine).await?.engine(CALL)?;
            manager.info().await.map_err(told)
        }
        Orchestrator::SwarmMode | Orchestrator::None => {
            engine.call(Method::GET, "/nodes", None).await.map_err(told)
        }
    }
}
