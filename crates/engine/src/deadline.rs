use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::{EngineEndpoint, EngineError};

/// When a call has to be done with all that it waits for.
pub(crate) struct Deadline<'a> {
    endpoint: &'a EngineEndpoint,
    limit: Duration,
    until: Instant,
}

/// The deadline of a limit that is longer than the clock can express, in practice never reached.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The point in time that is `limit` from now.
fn deadline_after(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + FAR)
}

impl<'a> Deadline<'a> {
    /// That long from now.
    pub(crate) fn after(limit: Duration, endpoint: &'a EngineEndpoint) -> Self {
        Self {
            endpoint,
            limit,
            until: deadline_after(limit),
        }
    }

    /// That long from now, or when the call has to be done, if that is sooner.
    pub(crate) fn sooner(&self, limit: Duration) -> Self {
        let sooner = Self::after(limit, self.endpoint);
        match sooner.until < self.until {
            true => sooner,
            false => Self { ..*self },
        }
    }

    /// Waits for one part of the call.
    pub(crate) async fn bound<T>(
        &self,
        waiting_for: &str,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout_at(self.until, work).await {
            Ok(done) => done,
            Err(_) => Err(EngineError::Deadline {
                endpoint: self.endpoint.to_string(),
                waiting_for: waiting_for.to_owned(),
                limit: self.limit,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_of_any_limit_is_in_the_future() {
        for limit in [
            Duration::ZERO,
            FAR,
            Duration::from_secs(u64::MAX),
            Duration::MAX,
        ] {
            assert!(deadline_after(limit) >= Instant::now() - Duration::from_secs(60));
        }
    }
}
