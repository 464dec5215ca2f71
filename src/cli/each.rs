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
    let told = async |name: &MachineName, line: &Line<'_>| {
        let done = work(name, line).await;
        done.map_err(|error| CommandError::of_lifecycle(error, name.as_str()))
    };
    each_told(app, names, told).await
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
    let one = async |name: &MachineName| {
        let line = app.ui.line(name.as_str());
        match work(name, &line).await {
            Ok(text) => {
                line.done(&text);
                None
            }
            Err(error) => {
                let error = error.of_machine(name.as_str());
                line.failed(&error);
                Some(error)
            }
        }
    };
    let errors = unless_interrupted(join_all(names.iter().map(one))).await?;
    let errors: Vec<CommandError> = errors.into_iter().flatten().collect();
    Ok(app.ui.errors(&errors))
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
