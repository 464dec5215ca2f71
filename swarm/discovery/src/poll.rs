//! Polling of backends without a watch, and periodic re-registration.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::store::membership::Membership;
use crate::{DiscoveryError, Entry, Update};

/// The pause after the first failure. Each further one doubles it, up to the ordinary pause.
const RETRY: Duration = Duration::from_secs(1);

/// When to do the same again.
struct Rhythm {
    pause: Duration,
    begun: bool,
    /// Delay after a failure; `None` after a success.
    retry: Option<Duration>,
    backoff: Backoff,
}

impl Rhythm {
    fn new(pause: Duration) -> Self {
        Self {
            pause,
            begun: false,
            retry: None,
            backoff: Backoff::new(RETRY, pause),
        }
    }

    async fn next(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            tokio::time::sleep(self.retry.unwrap_or(self.pause)).await;
        }
    }

    fn went<T>(&mut self, went: &Result<T, DiscoveryError>) {
        self.retry = match went {
            // What cannot be done at all is not done by trying sooner.
            Ok(_) | Err(DiscoveryError::Unsupported) => {
                self.backoff.reset();
                None
            }
            Err(_) => Some(self.backoff.next_delay()),
        };
    }
}

/// What an ask, repeated after every pause, changes. What lost its members while it did not answer
/// gets the grace to be filled again.
pub(crate) fn changes<A, F>(pause: Duration, grace: Duration, ask: A) -> BoxStream<'static, Update>
where
    A: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<BTreeSet<Entry>, DiscoveryError>> + Send,
{
    let begin = (Rhythm::new(pause), Membership::new(grace), ask);
    stream::unfold(begin, |(mut rhythm, mut membership, ask)| async move {
        loop {
            rhythm.next().await;
            let outage = rhythm.retry.is_some();
            let asked = ask().await;
            rhythm.went(&asked);
            let update = match asked {
                Ok(members) => {
                    let now = Instant::now();
                    if outage {
                        membership.back(now);
                    }
                    membership.replace(members);
                    membership.news(now).map(Update::Members)
                }
                // An outage is told once, however often it is met.
                Err(error) => (!outage).then_some(Update::Trouble(error)),
            };
            if let Some(update) = update {
                return Some((update, (rhythm, membership, ask)));
            }
        }
    })
    .boxed()
}

/// Repeats a registration at every heartbeat, sooner when it failed, and tells how each went.
pub(crate) fn rounds<A, F>(
    heartbeat: Duration,
    again: A,
) -> BoxStream<'static, Result<(), DiscoveryError>>
where
    A: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), DiscoveryError>> + Send,
{
    let begin = (Rhythm::new(heartbeat), again);
    stream::unfold(begin, |(mut rhythm, again)| async move {
        rhythm.next().await;
        let went = again().await;
        rhythm.went(&went);
        Some((went, (rhythm, again)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn failure() -> DiscoveryError {
        DiscoveryError::Option("no".to_owned())
    }

    /// What is told when an ask is answered in this way, and then in the last way for ever.
    async fn told(grace: Duration, answers: &[Option<&[&str]>], count: usize) -> Vec<String> {
        let answers: VecDeque<_> = answers
            .iter()
            .map(|answer| answer.map(|texts| texts.iter().map(|text| text.parse().unwrap())))
            .map(|entries| entries.map(BTreeSet::from_iter))
            .collect();
        let answers = Mutex::new(answers);
        let ask = move || {
            let mut answers = answers.lock().unwrap();
            let next = match answers.len() {
                1 => answers[0].clone(),
                _ => answers.pop_front().unwrap(),
            };
            async move { next.ok_or_else(failure) }
        };
        let updates = changes(MINUTE, grace, ask).take(count);
        let shown = updates.map(|update| match update {
            Update::Members(members) => {
                let members: Vec<String> = members.iter().map(Entry::to_string).collect();
                members.join(" ")
            }
            Update::Trouble(_) => "trouble".to_owned(),
        });
        shown.collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn only_changes_and_troubles_are_told() {
        let (a, b) = (Some(&["a:1"][..]), Some(&["b:1"][..]));
        let answers = [a, a, None, None, b, None, Some(&[])];
        let all = ["a:1", "trouble", "b:1", "trouble", ""];
        assert_eq!(told(Duration::ZERO, &answers, 5).await, all);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_away_after_an_outage_gets_time_to_come_back() {
        let (ab, b) = (Some(&["a:1", "b:1"][..]), Some(&["b:1"][..]));
        let all = ["a:1 b:1", "trouble", "b:1"];
        let begun = Instant::now();
        let empty = Some(&[][..]);
        let answers = [ab, None, empty, b];
        assert_eq!(told(2 * MINUTE, &answers, 3).await, all);
        assert!(begun.elapsed() >= 3 * MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_tried_again_soon() {
        let results = Mutex::new(VecDeque::from([
            Err(failure()),
            Err(failure()),
            Err(failure()),
            Ok(()),
            Err(DiscoveryError::Unsupported),
            Ok(()),
        ]));
        let mut rounds = rounds(Duration::from_secs(3), move || {
            let result = results.lock().unwrap().pop_front().unwrap();
            async move { result }
        });
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let asked = Instant::now();
            rounds.next().await;
            pauses.push(asked.elapsed().as_millis());
        }
        assert_eq!(pauses, [0, 1000, 2000, 3000, 3000, 3000]);
    }
}
