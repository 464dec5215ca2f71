use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rmachine_cluster::{Cluster, Member, Orchestrator};
use rmachine_lifecycle::{Standing, standing};
use serde_json::Value;

use super::super::App;
use super::super::client::Client;
use crate::error::{CommandError, ErrorKind};

/// How long one question may take.
const CALL: Duration = Duration::from_secs(5);

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(300);

/// Waits until every engine answers and is a healthy node: by what the manager of a classic cluster
/// says, and by the engine itself in swarm mode.
///
/// # Errors
/// [`ErrorKind::TimedOut`], with what was last seen of each machine.
pub async fn wait_until_healthy(
    app: &App,
    cluster: &Cluster,
    limit: Duration,
) -> Result<(), CommandError> {
    let deadline = Instant::now() + limit;
    loop {
        let ailing = ailing(app, cluster).await;
        if ailing.is_empty() {
            app.ui.note(&format!("cluster {}: healthy", cluster.name));
            return Ok(());
        }
        if Instant::now() >= deadline {
            let mut told = CommandError::new(
                ErrorKind::TimedOut,
                format!(
                    "waited {} s for every node of {} to be healthy",
                    limit.as_secs(),
                    cluster.name
                ),
            );
            told.causes = ailing;
            return Err(told);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is wrong with each machine; nothing of one that is healthy.
async fn ailing(app: &App, cluster: &Cluster) -> Vec<String> {
    let info = match (cluster.orchestrator, cluster.first_manager()) {
        (Orchestrator::Classic, Some(manager)) => match info(app, manager).await {
            Ok(info) => Some(info),
            Err(error) => {
                return vec![format!(
                    "the manager {}: {}",
                    manager.name(),
                    error.in_one_line()
                )];
            }
        },
        _ => None,
    };
    let looks = cluster.members.iter().map(async |member| {
        let ailment = ailment(app, cluster.orchestrator, member, info.as_ref())
            .await
            .err()?;
        Some(format!("{}: {ailment}", member.name()))
    });
    join_all(looks).await.into_iter().flatten().collect()
}

/// What the manager says of the cluster.
async fn info(app: &App, manager: &Member) -> Result<Value, CommandError> {
    let name = manager.name();
    let machine = app.machine(name)?;
    let engine = Client::of_swarm(app, &machine).await?.engine(CALL)?;
    let info = engine.info().await;
    info.map_err(|error| CommandError::of_engine(error, name.as_str()))
}

async fn ailment(
    app: &App,
    mode: Orchestrator,
    member: &Member,
    info: Option<&Value>,
) -> Result<(), String> {
    let told = |error: CommandError| error.in_one_line();
    let machine = app.machine(member.name()).map_err(told)?;
    let client = Client::of(app, &machine).await.map_err(told)?;
    let engine = client.engine(CALL).map_err(told)?;
    let own = engine.info().await.map_err(|error| error.to_string())?;
    if mode == Orchestrator::SwarmMode {
        return match own["Swarm"]["LocalNodeState"].as_str() {
            Some("active") => Ok(()),
            state => Err(format!("swarm mode is {}", state.unwrap_or("not there"))),
        };
    }
    let Some(info) = info.filter(|_| member.roles.worker) else {
        return Ok(());
    };
    let place = client.url.split_once("://").map(|(_, place)| place);
    match standing(info, place.unwrap_or(&client.url)) {
        Standing::Healthy => Ok(()),
        Standing::Unknown => Err("the manager does not know the node".to_owned()),
        Standing::Other { status, error } => Err(match error {
            Some(error) => format!("{status}: {error}"),
            None => status,
        }),
    }
}
