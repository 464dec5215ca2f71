//! The life of a node, without anything that does it.
//!
//! ```text
//!             answers                   too many failures
//!   Pending ───────────► Healthy ────────────────────────► Unhealthy
//!      ▲ │ fails: why       ▲                                  │
//!      └─┘                  └────────────── answers ───────────┘
//!
//!   sessions that end soon after they began count as failures of their own: after too many, the
//!   node is Unhealthy until a session lasts
//!   another engine answers at the address: Pending again, with the reason
//!   gone from the discovery: Disconnected, and nothing comes after that
//! ```

use std::fmt;
use std::time::Duration;

/// The longest pause before a node that does not answer is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(12);

/// The health of a node that answers.
const WHOLE: u32 = 100;

/// What a node is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum NodeStatus {
    /// Known to the discovery, not yet part of the cluster.
    Pending,
    /// It answers.
    Healthy,
    /// It answered once.
    Unhealthy,
    /// The discovery no longer knows it.
    Disconnected,
}

/// What others must be told when a node's life goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// It has become part of the cluster.
    Connected,
    /// It is back.
    Reconnected,
    /// It is lost.
    Lost,
}

/// A node's status and how it came to it.
#[derive(Debug)]
pub(crate) struct Life {
    status: NodeStatus,
    id: Option<String>,
    failures: u32,
    /// Sessions in a row that ended soon after they began.
    short_sessions: u32,
    retry: u32,
    trouble: Option<String>,
}

impl Life {
    /// A node that is unhealthy after this many failures in a row.
    pub(crate) fn new(retry: u32) -> Self {
        Self {
            status: NodeStatus::Pending,
            id: None,
            failures: 0,
            short_sessions: 0,
            retry: retry.max(1),
            trouble: Some("(waiting for the first answer)".to_owned()),
        }
    }

    pub(crate) fn status(&self) -> NodeStatus {
        self.status
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.status == NodeStatus::Healthy
    }

    /// Why it is not as it should be.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The engine answered, and all that is asked of it is known. After too many short sessions
    /// that is not enough: see [`Life::lasted`].
    pub(crate) fn answered(&mut self, id: &str) -> Result<Option<Turn>, String> {
        let known = self.id.get_or_insert_with(|| id.to_owned());
        if known != id {
            let reason = format!(
                "Engine (ID: {known}) shows up with another ID:{id}. Please remove it from \
                 cluster, it can be added back."
            );
            self.trouble = Some(reason.clone());
            self.status = NodeStatus::Pending;
            return Err(reason);
        }
        if self.short_sessions >= self.retry {
            return Ok(None);
        }
        let before = std::mem::replace(&mut self.status, NodeStatus::Healthy);
        self.failures = 0;
        self.trouble = None;
        Ok(match before {
            NodeStatus::Pending => Some(Turn::Connected),
            NodeStatus::Unhealthy => Some(Turn::Reconnected),
            NodeStatus::Healthy | NodeStatus::Disconnected => None,
        })
    }

    /// The session with the engine has lasted long enough to rely on it.
    pub(crate) fn lasted(&mut self, id: &str) -> Result<Option<Turn>, String> {
        self.short_sessions = 0;
        self.answered(id)
    }

    /// A session ended soon after it began. The answers at its begin do not make up for that: an
    /// engine that closes each event stream at once is no use.
    pub(crate) fn ended_early(&mut self, why: String) -> Option<Turn> {
        self.failures = self.failures.max(self.short_sessions);
        self.short_sessions = self.short_sessions.saturating_add(1);
        self.failed(why)
    }

    /// Something asked of the engine went wrong in a way that speaks against the node.
    pub(crate) fn failed(&mut self, why: String) -> Option<Turn> {
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(why);
        let is_lost = self.status == NodeStatus::Healthy && self.failures >= self.retry;
        if is_lost {
            self.status = NodeStatus::Unhealthy;
        }
        is_lost.then_some(Turn::Lost)
    }

    /// The discovery no longer knows it.
    pub(crate) fn removed(&mut self) -> Option<Turn> {
        let before = std::mem::replace(&mut self.status, NodeStatus::Disconnected);
        (before == NodeStatus::Healthy).then_some(Turn::Lost)
    }

    /// The health as the scheduler counts it: each failure weighs.
    pub(crate) fn health(&self) -> u8 {
        let lost = self.failures.saturating_mul(WHOLE) / self.retry;
        let left = WHOLE.saturating_sub(lost);
        match self.status {
            NodeStatus::Healthy => u8::try_from(left).unwrap_or(0),
            _ => 0,
        }
    }

    /// How long to wait before the engine is asked again; `random(n)` gives a number below `n`.
    pub(crate) fn pause(&self, random: impl FnOnce(u64) -> u64) -> Duration {
        let steps = self.failures.min(10);
        let longest = Duration::from_millis(200 << steps).min(LONGEST_PAUSE);
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(longest / 2 + random(longest / 2 + 1))
    }
}

impl NodeStatus {
    /// The word for it in `docker info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Healthy => "Healthy",
            Self::Unhealthy => "Unhealthy",
            Self::Disconnected => "Disconnected",
        }
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Step {
        Answers(&'static str),
        Lasts,
        Fails,
        EndsEarly,
        Goes,
    }

    #[test]
    fn a_life_goes_on_as_drawn() {
        use NodeStatus::{Disconnected, Healthy, Pending, Unhealthy};
        use Step::{Answers, Fails, Goes};
        run(&[
            (Fails, Pending, None, 0),
            (Fails, Pending, None, 0),
            (Fails, Pending, None, 0),
            (Fails, Pending, None, 0),
            (Answers("a"), Healthy, Some(Turn::Connected), 100),
            (Fails, Healthy, None, 67),
            (Answers("a"), Healthy, None, 100),
            (Fails, Healthy, None, 67),
            (Fails, Healthy, None, 34),
            (Fails, Unhealthy, Some(Turn::Lost), 0),
            (Fails, Unhealthy, None, 0),
            (Answers("a"), Healthy, Some(Turn::Reconnected), 100),
            (Answers("b"), Pending, None, 0),
            (Answers("b"), Pending, None, 0),
            (Answers("a"), Healthy, Some(Turn::Connected), 100),
            (Goes, Disconnected, Some(Turn::Lost), 0),
            (Goes, Disconnected, None, 0),
        ]);
    }

    fn run(steps: &[(Step, NodeStatus, Option<Turn>, u8)]) {
        let mut life = Life::new(3);
        for (number, (step, status, turn, health)) in steps.iter().enumerate() {
            let told = match step {
                Step::Answers(id) => life.answered(id).unwrap_or(None),
                Step::Lasts => life.lasted("a").unwrap_or(None),
                Step::Fails => life.failed("x".to_owned()),
                Step::EndsEarly => life.ended_early("x".to_owned()),
                Step::Goes => life.removed(),
            };
            assert_eq!(
                (life.status(), told, life.health()),
                (*status, *turn, *health),
                "{number}"
            );
        }
    }

    #[test]
    fn short_sessions_make_node_unhealthy_until_one_lasts() {
        use NodeStatus::{Healthy, Unhealthy};
        use Step::{Answers, EndsEarly, Fails, Lasts};
        run(&[
            (Answers("a"), Healthy, Some(Turn::Connected), 100),
            (EndsEarly, Healthy, None, 67),
            (Answers("a"), Healthy, None, 100),
            (EndsEarly, Healthy, None, 34),
            (Answers("a"), Healthy, None, 100),
            (EndsEarly, Unhealthy, Some(Turn::Lost), 0),
            (Answers("a"), Unhealthy, None, 0),
            (EndsEarly, Unhealthy, None, 0),
            (Answers("a"), Unhealthy, None, 0),
            (Lasts, Healthy, Some(Turn::Reconnected), 100),
            (EndsEarly, Healthy, None, 67),
            (Answers("a"), Healthy, None, 100),
            (Lasts, Healthy, None, 100),
            // A restart: the session was a long one.
            (Fails, Healthy, None, 67),
            (Answers("a"), Healthy, None, 100),
            (EndsEarly, Healthy, None, 67),
            (Fails, Healthy, None, 34),
            (Fails, Unhealthy, Some(Turn::Lost), 0),
            (Answers("a"), Healthy, Some(Turn::Reconnected), 100),
        ]);
    }

    #[test]
    fn pauses_grow_with_short_sessions() {
        let mut life = Life::new(3);
        for _ in 0..10 {
            life.answered("a").unwrap();
            life.ended_early(String::new());
        }
        assert!(life.pause(|_| 0) >= LONGEST_PAUSE / 2);
    }

    #[test]
    fn pauses_grow_to_a_few_seconds() {
        let mut life = Life::new(3);
        let mut last = Duration::ZERO;
        for _ in 0..100 {
            life.failed(String::new());
            let (least, most) = (life.pause(|_| 0), life.pause(|below| below - 1));
            assert!(least <= most && last <= most && most <= LONGEST_PAUSE);
            last = most;
        }
        assert!(life.pause(|_| 0) >= LONGEST_PAUSE / 2);
    }
}
