//! What comes back with a lost node, when another container has taken its place meanwhile.

use std::time::Duration;

use http::Method;
use rmachine_engine::EngineError;
use serde_json::json;

use crate::api::encode;
use crate::cluster::{Cluster, ContainerRef};
use crate::lease::{Lease, NotLeader};

/// How much of its id a retired container has in its name.
const SHORT_ID: usize = 12;

/// How long it may take to stop before it is killed: nobody may wait for two at once.
const STOP_SECONDS: u64 = 10;

/// How long its engine may take for each step.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// Stops these, so that they stay stopped, and gives their names to those in their places. They
/// and their volumes are kept. Says whether something is left to do.
pub async fn retire(lease: &Lease, cluster: &Cluster, superseded: &[ContainerRef]) -> bool {
    let mut is_left = false;
    for container in superseded {
        let name = retired_name(&container.name, &container.id);
        if *container.name == *name {
            continue;
        }
        let node = &container.node.about;
        match tokio::time::timeout(STEP_LIMIT, one(lease, container, &name)).await {
            Ok(Ok(())) => tracing::warn!(
                "container {} came back with {}, but was rescheduled: it is stopped, and kept as \
                 {name}",
                container.name,
                node.name
            ),
            Ok(Err(error)) => {
                is_left = true;
                tracing::warn!("container {} on {}: {error}", container.name, node.name);
            }
            Err(_) => {
                is_left = true;
                tracing::warn!(
                    "container {} on {} does not stop",
                    container.name,
                    node.name
                );
            }
        }
        cluster.refresh_container(&node.addr, &container.id).await;
    }
    is_left
}

/// Why a container could not be retired.
#[derive(Debug, thiserror::Error)]
enum RetireError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
}

async fn one(lease: &Lease, container: &ContainerRef, name: &str) -> Result<(), RetireError> {
    let engine = &container.node.engine;
    let path = format!("/containers/{}", encode(&container.id));
    let never = json!({"RestartPolicy": {"Name": "no"}});
    let update = format!("{path}/update");
    lease.confirm().await?;
    engine.call(Method::POST, &update, Some(&never)).await?;
    let stop = format!("{path}/stop?t={STOP_SECONDS}");
    lease.confirm().await?;
    engine.call(Method::POST, &stop, None).await?;
    let rename = format!("{path}/rename?name={}", encode(name));
    lease.confirm().await?;
    engine.call(Method::POST, &rename, None).await?;
    Ok(())
}

fn retired_name(name: &str, id: &str) -> String {
    let mark = format!(".replaced-{}", id.get(..SHORT_ID).unwrap_or(id));
    match name.ends_with(&mark) {
        true => name.to_owned(),
        false => format!("{name}{mark}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_container_is_known_by_its_name() {
        let retired = retired_name("web", "0123456789abcdef");
        assert_eq!(retired, "web.replaced-0123456789ab");
        assert_eq!(retired_name(&retired, "0123456789abcdef"), retired);
        assert_eq!(
            retired_name(&retired, "abcdef0123456789"),
            "web.replaced-0123456789ab.replaced-abcdef012345"
        );
    }
}
