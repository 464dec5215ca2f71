use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rmachine_driver::{MachineName, MachineState, Report, Secrets, Snapshot, SnapshotName, Work};
use rmachine_ssh::{Privilege, Run, Ssh};

use crate::host::Booting;
use crate::{LifecycleError, Machines, bounds, note};

impl Machines {
    /// The snapshots of a machine, the oldest first.
    ///
    /// # Errors
    /// The driver's.
    pub async fn snapshots(&self, name: &MachineName) -> Result<Vec<Snapshot>, LifecycleError> {
        let record = self.store.load(name)?;
        Ok(self.driver(&record)?.snapshots().await?)
    }

    /// Takes a snapshot of a machine, running or not.
    ///
    /// # Errors
    /// The driver's; [`LifecycleError::HalfMade`].
    pub async fn take_snapshot(
        &self,
        name: &MachineName,
        snapshot: &SnapshotName,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        let guard = self.edit_made(name)?;
        let mut driver = self.driver_of(&guard)?;
        let work = Work {
            report,
            resources: &guard,
            secrets,
        };
        Ok(driver.take_snapshot(snapshot, &work).await?)
    }

    /// Puts a machine back to a snapshot. One that then runs is brought up to date, as
    /// [`Machines::provision`] does, for what has changed since: certificates, options, its place
    /// in a cluster. Returns its state.
    ///
    /// # Errors
    /// The driver's; those of [`Machines::provision`].
    pub async fn restore_snapshot(
        &self,
        name: &MachineName,
        snapshot: &str,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<MachineState, LifecycleError> {
        let guard = self.edit_made(name)?;
        let mut driver = self.driver_of(&guard)?;
        let work = Work {
            report,
            resources: &guard,
            secrets,
        };
        let restored = driver.restore_snapshot(snapshot, &work).await;
        note::after_work(&guard, driver.as_ref(), restored)?;
        let state = driver.state().await?;
        if state == MachineState::Running && driver.capabilities().provisioned {
            let mut host = self.host(driver.as_ref(), Booting::Yes, &work).await?;
            set_clock(host.ssh.as_ref(), report).await;
            let driver = driver.as_ref();
            let provisioned = self.provision_host(&guard, driver, &mut host, &work).await;
            host.ssh.close().await;
            if provisioned?.plan.changes_settings() {
                report.warn("its engine was set up anew: it had other settings then");
            }
        }
        Ok(state)
    }

    /// Removes a snapshot of a machine, which stays as it is.
    ///
    /// # Errors
    /// The driver's.
    pub async fn remove_snapshot(
        &self,
        name: &MachineName,
        snapshot: &str,
        report: &dyn Report,
        secrets: &dyn Secrets,
    ) -> Result<(), LifecycleError> {
        let guard = self.edit(name)?;
        let mut driver = self.driver_of(&guard)?;
        let work = Work {
            report,
            resources: &guard,
            secrets,
        };
        Ok(driver.remove_snapshot(snapshot, &work).await?)
    }
}

/// A system that goes on from its memory believes that it is still then; certificates that were
/// made since would not be valid yet.
async fn set_clock(ssh: &dyn Ssh, report: &dyn Report) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let script = clock_script(now.unwrap_or_default());
    let run = Run {
        step: "setting the clock",
        script: &script,
        privilege: Privilege::Root,
        limit: bounds::CONNECT,
    };
    let why = match ssh.run(&run).await {
        Ok(output) if output.success() => return,
        Ok(output) => output.error_text(),
        Err(error) => error.to_string(),
    };
    report.warn(&format!("its clock could not be set: {why}"));
}

/// Sets the clock to this time since 1970, unless it is right to a few seconds.
fn clock_script(now: Duration) -> String {
    format!(
        "ours={}\noff=$((ours - $(date -u +%s)))\n\
         [ \"${{off#-}}\" -lt 5 ] || date -u -s \"@$ours\" >/dev/null\n",
        now.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_clock_that_is_right_is_left_alone() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        for (time, sets) in [
            (now, false),
            (now + Duration::from_secs(600), true),
            (now - Duration::from_secs(600), true),
        ] {
            // What would set the clock only tells of it.
            let script = format!(
                "date() {{ case $2 in -s) echo set >&2 ;; *) command date \"$@\" ;; esac; }}\n{}",
                clock_script(time)
            );
            let ran = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert!(ran.status.success());
            let told = String::from_utf8(ran.stderr).unwrap();
            assert_eq!(told == "set\n", sets, "{told}");
        }
    }
}
