//! Watching what tells of no changes: it is asked again and again.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};

use crate::{DiscoveryError, Entry, Update};

/// What an ask, repeated after every pause, changes.
pub(crate) fn changes<A, F>(pause: Duration, ask: A) -> BoxStream<'static, Update>
where
    A: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<BTreeSet<Entry>, DiscoveryError>> + Send,
{
    struct Asked<A> {
        ask: A,
        last: Option<BTreeSet<Entry>>,
        first: bool,
    }
    let asked = Asked {
        ask,
        last: None,
        first: true,
    };
    stream::unfold(asked, move |mut asked| async move {
        loop {
            if !asked.first {
                tokio::time::sleep(pause).await;
            }
            asked.first = false;
            match (asked.ask)().await {
                Ok(members) if asked.last.as_ref() == Some(&members) => {}
                Ok(members) => {
                    asked.last = Some(members.clone());
                    return Some((Update::Members(members), asked));
                }
                Err(error) => return Some((Update::Trouble(error), asked)),
            }
        }
    })
    .boxed()
}

/// Repeats a registration at every heartbeat, and tells how each went.
pub(crate) fn rounds<A, F>(
    heartbeat: Duration,
    again: A,
) -> BoxStream<'static, Result<(), DiscoveryError>>
where
    A: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), DiscoveryError>> + Send,
{
    stream::unfold((again, true), move |(again, first)| async move {
        if !first {
            tokio::time::sleep(heartbeat).await;
        }
        let went = again().await;
        Some((went, (again, false)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_changes_and_troubles_are_told() {
        let entry = |text: &str| BTreeSet::from([text.parse::<Entry>().unwrap()]);
        let answers = Mutex::new(vec![
            Ok(entry("b:1")),
            Err(DiscoveryError::Unsupported),
            Ok(entry("a:1")),
            Ok(entry("a:1")),
        ]);
        let ask = move || {
            let next = answers.lock().unwrap().pop();
            async move { next.unwrap_or_else(|| Ok(BTreeSet::new())) }
        };
        let told = changes(Duration::from_secs(60), ask).take(4);
        let told: Vec<String> = told.map(|update| format!("{update:?}")).collect().await;
        assert!(told[0].contains("\"a\""), "{told:?}");
        assert!(told[1].starts_with("Trouble"), "{told:?}");
        assert!(told[2].contains("\"b\""), "{told:?}");
        assert_eq!(told[3], "Members({})");
    }
}
