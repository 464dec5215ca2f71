use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rmachine_driver::Report;
use rmachine_ssh::{Privilege, Run, Ssh};

use crate::error::ProvisionError;
use crate::facts::{Facts, facts_script};
use crate::outcome::Outcome;
use crate::plan::{Plan, Stage, Step, plan};
use crate::script::{self, Ground};
use crate::wanted::Wanted;

/// Reading the facts takes moments; most of this is for a run before this one to end, and for a host
/// that is busy.
const FACTS_LIMIT: Duration = Duration::from_secs(120);
/// Two restarts of an engine, and what lies around them.
const APPLY_LIMIT: Duration = Duration::from_secs(480);
/// Packages over a slow line.
const INSTALL_LIMIT: Duration = Duration::from_secs(2400);

/// What was done to a host.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Applied {
    /// The steps, as a person reads them; none when there was nothing to do.
    pub steps: Vec<String>,
    /// Whether the engine was restarted.
    pub restarted: bool,
}

/// Makes a host what is wanted: reads its facts, plans and applies, and does so again after an
/// installation, since only then it shows what the installation brought.
///
/// # Errors
/// As [`read_facts`], [`plan`] and [`apply`].
pub async fn converge(
    ssh: &dyn Ssh,
    wanted: &Wanted,
    report: &dyn Report,
) -> Result<Applied, ProvisionError> {
    let mut done = Applied::default();
    loop {
        report.step("looking at the host");
        let facts = read_facts(ssh).await?;
        let plan = plan(&facts, wanted)?;
        let installed = done.steps.len();
        let applied = apply(ssh, &plan, report).await?;
        done.steps.extend(applied.steps);
        done.restarted |= applied.restarted;
        if plan.stage == Stage::Configure {
            return Ok(done);
        }
        if installed > 0 {
            return Err(ProvisionError::NoEngineAfterInstall);
        }
    }
}

/// Reads the facts of a host.
///
/// # Errors
/// [`ProvisionError::FactsUnreadable`], [`ProvisionError::Unanswered`], [`ProvisionError::Busy`] or
/// [`ProvisionError::Ssh`].
pub async fn read_facts(ssh: &dyn Ssh) -> Result<Facts, ProvisionError> {
    let before = now();
    let output = ssh
        .run(&Run {
            step: "reading the facts of the host",
            script: facts_script(),
            privilege: Privilege::Root,
            limit: FACTS_LIMIT,
        })
        .await?;
    let after = now();
    let mut facts = Facts::parse(&output.stdout).map_err(|error| match error {
        ProvisionError::FactsUnreadable { reason, .. } => ProvisionError::FactsUnreadable {
            reason,
            stderr: output.error_text(),
        },
        other => other,
    })?;
    // The host looked at its clock at some time in between.
    facts.clock_ahead = Some(if facts.clock < before {
        facts.clock - before
    } else {
        (facts.clock - after).max(0)
    });
    Ok(facts)
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

/// Does what a plan says, in one run of one script; nothing at all for an empty plan.
///
/// # Errors
/// Typed by what went wrong; see [`ProvisionError`]. When the engine does not come up, what was
/// there before has been put back.
pub async fn apply(
    ssh: &dyn Ssh,
    plan: &Plan,
    report: &dyn Report,
) -> Result<Applied, ProvisionError> {
    for warning in &plan.warnings {
        report.warn(warning);
    }
    if plan.is_empty() {
        return Ok(Applied::default());
    }
    let ground = Ground::default();
    let (step, script, limit) = match plan.stage {
        Stage::Install => (
            "installing the engine",
            script::install(plan, &ground)?,
            INSTALL_LIMIT,
        ),
        Stage::Configure => (
            "configuring the engine",
            script::apply(plan, &ground)?,
            APPLY_LIMIT,
        ),
    };
    report.step(step);
    let output = ssh
        .run(&Run {
            step,
            script: &script,
            privilege: Privilege::Root,
            limit,
        })
        .await?;
    Outcome::read(&output.stdout).result(&output)?;
    Ok(Applied {
        steps: plan.steps.iter().map(Step::to_string).collect(),
        restarted: plan.restarts(),
    })
}
