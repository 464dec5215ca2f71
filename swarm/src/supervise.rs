//! Restarts tasks that panic.

use std::time::Duration;

use rswarm_discovery::Backoff;
use tokio::time::{Instant, sleep};

use crate::panics;

/// The pause before the first restart; it doubles with each panic that soon follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause. A task that ran for longer starts again after the first one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The pauses between the restarts of a task.
pub(crate) const RESTARTS: Backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);

/// Returns the pause after a task that ran for so long.
pub(crate) fn restart_pause(backoff: &mut Backoff, ran: Duration) -> Duration {
    if ran > LONGEST_PAUSE {
        backoff.reset();
    }
    backoff.next_delay()
}

/// Runs a task to its end, and starts it again whenever it panics.
pub(crate) async fn supervise<F: Future<Output = ()>>(name: &str, start: impl FnMut() -> F) {
    restart(name, RESTARTS, start).await;
}

async fn restart<F: Future<Output = ()>>(
    name: &str,
    mut backoff: Backoff,
    mut start: impl FnMut() -> F,
) {
    loop {
        let began = Instant::now();
        if panics::caught(start()).await.is_some() {
            return;
        }
        let pause = restart_pause(&mut backoff, began.elapsed());
        tracing::error!("{name} panicked and is started again in {pause:?}");
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn task_that_panics_is_restarted_until_it_ends() {
        let mut runs = 0;
        let task = || {
            runs += 1;
            let run = runs;
            async move { assert!(run >= 4, "planted") }
        };
        let at_once = Backoff::new(Duration::ZERO, Duration::ZERO);
        restart("the task", at_once, task).await;
        assert_eq!(runs, 4);
    }

    #[test]
    fn backoff_doubles_and_starts_over_after_a_long_run() {
        let mut backoff = RESTARTS;
        let seconds = |pause: Duration| pause.as_secs();
        let pauses =
            [0; 8].map(|ran| seconds(restart_pause(&mut backoff, Duration::from_secs(ran))));
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(seconds(restart_pause(&mut backoff, LONGEST_PAUSE * 2)), 1);
    }
}
