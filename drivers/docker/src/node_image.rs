use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rmachine_driver::{DriverError, Operation, Report};
use rmachine_engine::EngineError;

use crate::bootstrap;
use crate::build_output::{Tail, step_of};
use crate::daemon::Daemon;
use crate::failure::{self, chain};
use crate::lock::lock;
use crate::recipe::{IMAGE_LABEL, Recipe};

/// How long a registry has to say anything at all before the image is made without one.
const REGISTRY_PROBE: Duration = Duration::from_secs(10);

/// How long another process may take to build the image.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The engine's own copy of the node image, built if it has none. Returns the image's name.
pub async fn ensure(
    daemon: &Daemon,
    recipe: &Recipe,
    cache: &Path,
    report: &dyn Report,
) -> Result<String, DriverError> {
    let tag = recipe.tag();
    if daemon.has_image(&tag).await.map_err(failed)? {
        return Ok(tag);
    }
    let path = cache.join("image.lock");
    let held = lock(&path, "building the node image", BUILD_LIMIT, report).await?;
    if daemon.has_image(&tag).await.map_err(failed)? {
        return Ok(tag);
    }
    match ensure_base(daemon, recipe, report).await {
        Ok(()) => {
            report.step(&format!("building the node image on {}", recipe.base()));
            build(daemon, recipe, &tag, report).await?;
        }
        Err(no_base) => {
            let why = format!("{} cannot be pulled ({})", recipe.base(), chain(&no_base));
            bootstrap::build(daemon, recipe, &tag, cache, &held, &why, report).await?;
        }
    }
    Ok(tag)
}

/// Sees to it that the engine has the base image.
async fn ensure_base(
    daemon: &Daemon,
    recipe: &Recipe,
    report: &dyn Report,
) -> Result<(), EngineError> {
    let base = recipe.base();
    if daemon.has_image(&base).await? {
        return Ok(());
    }
    report.step(&format!("pulling {base}"));
    let answered = AtomicBool::new(false);
    let pull = daemon.pull(&base, |_| answered.store(true, Ordering::Relaxed));
    tokio::pin!(pull);
    tokio::select! {
        pulled = &mut pull => return pulled,
        () = tokio::time::sleep(REGISTRY_PROBE) => {}
    }
    if answered.load(Ordering::Relaxed) {
        return pull.await;
    }
    Err(EngineError::Deadline {
        endpoint: daemon.host().to_string(),
        waiting_for: "the first answer of a registry".to_owned(),
        limit: REGISTRY_PROBE,
    })
}

async fn build(
    daemon: &Daemon,
    recipe: &Recipe,
    tag: &str,
    report: &dyn Report,
) -> Result<(), DriverError> {
    let context = recipe
        .context()
        .map_err(|error| failure::backend(Operation::Create, error.to_string()))?;
    let arguments = serde_json::json!({
        "RELEASE": recipe.release.as_str(),
        "MIRROR": recipe.mirror(),
    });
    let labels = serde_json::json!({IMAGE_LABEL: "base"});
    let mut output = Tail::default();
    let built = daemon
        .build(tag, &arguments, &labels, context, |line| {
            let text = line["stream"].as_str().unwrap_or_default();
            for line in uncoloured(text).lines() {
                if let Some(step) = step_of(line) {
                    report.step(step);
                }
                output.push(line);
            }
        })
        .await;
    built.map_err(|error| DriverError::Backend {
        operation: Operation::Create,
        message: format!("the node image could not be built; {}", output.shown()),
        hint: None,
        source: Some(Box::new(error)),
    })
}

/// The engine colours what came from standard error.
fn uncoloured(line: &str) -> String {
    line.replace("\u{1b}[91m", "").replace("\u{1b}[0m", "")
}

fn failed(error: EngineError) -> DriverError {
    failure::engine(Operation::Create, "looking for the node image", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_our_steps_in_a_builds_output() {
        assert_eq!(step_of("step: cleaning up"), Some("cleaning up"));
        let coloured = uncoloured("\u{1b}[91mstep: cleaning up\u{1b}[0m");
        assert_eq!(step_of(&coloured), Some("cleaning up"));
        assert_eq!(step_of("Step 1/9 : FROM debian"), None);
        assert_eq!(step_of("the next step: none"), None);
    }
}
