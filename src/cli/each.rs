use futures_util::future::join_all;
use rmachine_driver::MachineName;
use rmachine_lifecycle::LifecycleError;

use super::App;
use super::interrupt::unless_interrupted;
use super::names::SomeNames;
use crate::error::{CommandError, Status};
use crate::ui::Line;

/// Works on several machines at the same time, with a line of progress for each, and shows the
/// errors at the end. What the work returns is the last text of the machine's line.
///
/// # Errors
/// When Ctrl-C ended the work.
pub async fn each(
    app: &App,
    names: &[MachineName],
    work: impl AsyncFn(&MachineName, &Line<'_>) -> Result<String, LifecycleError>,
) -> Result<Status, CommandError> {
    let worked = worked_on(app, names, work).await?;
    Ok(app.ui.errors(&worked.errors))
}

/// As [`each`], for work that has words of its own for what went wrong.
///
/// # Errors
/// As [`each`].
pub async fn each_told(
    app: &App,
    names: &[MachineName],
    work: impl AsyncFn(&MachineName, &Line<'_>) -> Result<String, CommandError>,
) -> Result<Status, CommandError> {
    let worked = worked_on_told(app, names, work).await?;
    Ok(app.ui.errors(&worked.errors))
}

/// How work on several machines went.
#[derive(Default)]
pub struct Worked {
    /// The machines on which it was done.
    pub done: Vec<MachineName>,
    /// What went wrong on the others.
    pub errors: Vec<CommandError>,
}

/// As [`each`], for who goes on with how it went, and shows the errors then.
///
/// # Errors
/// As [`each`].
pub async fn worked_on(
    app: &App,
    names: &[MachineName],
    work: impl AsyncFn(&MachineName, &Line<'_>) -> Result<String, LifecycleError>,
) -> Result<Worked, CommandError> {
    let told = async |name: &MachineName, line: &Line<'_>| {
        let done = work(name, line).await;
        done.map_err(|error| CommandError::of_lifecycle(error, name.as_str()))
    };
    worked_on_told(app, names, told).await
}

async fn worked_on_told(
    app: &App,
    names: &[MachineName],
    work: impl AsyncFn(&MachineName, &Line<'_>) -> Result<String, CommandError>,
) -> Result<Worked, CommandError> {
    let one = async |name: &MachineName| {
        let line = app.ui.line(name.as_str());
        match work(name, &line).await {
            Ok(text) => {
                line.done(&text);
                Ok(name.clone())
            }
            Err(error) => {
                let error = error.of_machine(name.as_str());
                line.failed(&error);
                Err(error)
            }
        }
    };
    let mut worked = Worked::default();
    for ended in unless_interrupted(join_all(names.iter().map(one))).await? {
        match ended {
            Ok(name) => worked.done.push(name),
            Err(error) => worked.errors.push(error),
        }
    }
    Ok(worked)
}

/// The machines that were named: all of them are there, or none is worked on.
///
/// # Errors
/// When one cannot be read.
pub fn existing(names: SomeNames, app: &App) -> Result<Vec<MachineName>, CommandError> {
    let machines = names.machines(app)?;
    Ok(machines
        .iter()
        .map(|machine| machine.name().clone())
        .collect())
}
