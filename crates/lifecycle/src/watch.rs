use std::time::{Duration, Instant};

use rmachine_driver::{Driver, DriverError};

use crate::{LifecycleError, bounds};

/// Waits for something of a machine that was powered on, and no longer than its driver finds it up.
///
/// # Errors
/// Those of the wait; the driver's when the machine went down.
pub(crate) async fn while_up<T, E>(
    driver: &dyn Driver,
    wait: impl Future<Output = Result<T, E>>,
) -> Result<T, LifecycleError>
where
    LifecycleError: From<E>,
{
    watched(async || driver.still_up().await, bounds::look_pause, wait).await
}

/// Waits until `look` finds something wrong; `pause` tells from how long was waited when the next
/// look is.
async fn watched<T, E>(
    look: impl AsyncFn() -> Result<(), DriverError>,
    pause: impl Fn(Duration) -> Duration,
    wait: impl Future<Output = Result<T, E>>,
) -> Result<T, LifecycleError>
where
    LifecycleError: From<E>,
{
    let goes_down = async {
        let began = Instant::now();
        loop {
            tokio::time::sleep(pause(began.elapsed())).await;
            if let Err(error) = look().await {
                return error;
            }
        }
    };
    tokio::select! {
        biased;
        outcome = wait => Ok(outcome?),
        error = goes_down => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use rmachine_driver::MachineState;

    use super::*;

    fn at_once(_: Duration) -> Duration {
        Duration::ZERO
    }

    #[tokio::test]
    async fn a_machine_that_goes_down_is_not_waited_for() {
        let looks = Cell::new(0);
        let look = async || {
            looks.set(looks.get() + 1);
            if looks.get() < 3 {
                return Ok(());
            }
            Err(DriverError::WentDown {
                state: MachineState::Paused,
                why: Some("no room".to_owned()),
                hint: None,
            })
        };
        let never = pending::<Result<(), LifecycleError>>();
        let error = watched(look, at_once, never).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the machine was waited for, and is Paused now: no room"
        );
        assert_eq!(looks.get(), 3);
    }

    #[tokio::test]
    async fn what_is_there_is_not_looked_after() {
        let look = async || panic!("looked");
        let there = ready(Ok::<_, LifecycleError>(1));
        assert_eq!(watched(look, at_once, there).await.unwrap(), 1);
    }
}
