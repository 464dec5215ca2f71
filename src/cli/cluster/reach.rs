use rmachine_cluster::{Orchestrator, Roles};
use rmachine_driver::MachineName;

use super::super::App;
use super::super::interrupt::{Interrupts, SETTLE};
use super::Known;
use crate::error::{CommandError, ErrorKind};

/// Lets a container on one node of a cluster reach one on another. What was made for it goes,
/// whatever comes of it, also when a signal ends the work. A cluster that has no two nodes is passed
/// over.
///
/// # Errors
/// When the one does not reach the other; when a signal ended the work.
pub async fn containers_reach_each_other(app: &App, known: &Known) -> Result<(), CommandError> {
    let Some([to, from]) = two_nodes(known.orchestrator, &known.members) else {
        return Ok(());
    };
    let mut interrupts = Interrupts::listen()?;
    let line = app.ui.line(known.name.as_str());
    let told = |error| CommandError::of_lifecycle(error, from.as_str());
    let reached = tokio::select! {
        reached = app.machines.containers_reach(from, to, &line) => reached.map_err(told),
        signal = interrupts.next() => {
            tokio::time::sleep(SETTLE).await;
            let message = format!("interrupted by {signal}; the cluster stays as it is");
            Err(CommandError::new(ErrorKind::Interrupted, message))
        }
    };
    let removed = app.machines.reach_no_more(from, to).await;
    let ended = reached.and(removed.map_err(told));
    match &ended {
        Ok(()) => line.done(&format!("a container on {from} has reached one on {to}")),
        Err(error) => line.failed(error),
    }
    ended
}

/// The first two machines that run containers for the cluster.
fn two_nodes(
    orchestrator: Orchestrator,
    members: &[(MachineName, Roles)],
) -> Option<[&MachineName; 2]> {
    let runs = |roles: &Roles| match orchestrator {
        Orchestrator::Classic => roles.worker,
        // Managers run containers, too.
        Orchestrator::SwarmMode => roles.worker || roles.manager,
        Orchestrator::None => false,
    };
    let mut nodes = members.iter().filter(|(_, roles)| runs(roles));
    let mut next = || nodes.next().map(|(name, _)| name);
    Some([next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_two_that_run_containers() {
        let roles = |manager, worker| Roles {
            manager,
            worker,
            store: false,
        };
        let member = |name: &str, roles| -> (MachineName, Roles) { (name.parse().unwrap(), roles) };
        let members = [
            member("m", roles(true, false)),
            member("a", roles(false, true)),
            member("b", roles(true, true)),
        ];
        let chosen = |orchestrator, members: &[(MachineName, Roles)]| {
            let nodes = two_nodes(orchestrator, members)?;
            Some(nodes.map(ToString::to_string).join(" "))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(chosen(Orchestrator::Classic, &members), text("a b"));
        assert_eq!(chosen(Orchestrator::SwarmMode, &members), text("m a"));
        assert_eq!(chosen(Orchestrator::None, &members), None);
        assert_eq!(chosen(Orchestrator::Classic, &members[..2]), None);
    }
}
