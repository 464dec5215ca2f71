//! Who the primary is, as far as this manager knows.

use futures_util::StreamExt as _;
use rswarm_discovery::{Election, Entry, Standing};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::lease::Lease;

/// What this manager is among the managers of its cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Role {
    /// It acts for the cluster.
    Primary,
    /// It passes on to the primary what it is asked.
    Replica {
        /// Where the primary is; nobody knows while one is elected.
        primary: Option<String>,
        /// Why nobody knows.
        trouble: Option<String>,
    },
}

impl Role {
    /// A replica that knows no primary yet.
    pub fn unknown() -> Self {
        Self::Replica {
            primary: None,
            trouble: None,
        }
    }
}

/// Campaigns for ever, and tells the role. A primary that cannot renew its lock is none from the
/// moment on at which the store may give the lock to another.
pub async fn campaign(
    election: &dyn Election,
    candidate: String,
    ttl: Duration,
    role: watch::Sender<Role>,
    lease: Lease,
) {
    let mut standings = election.campaign(candidate.clone(), ttl);
    let mut until: Option<Instant> = None;
    loop {
        let standing = tokio::select! {
            standing = standings.next() => match standing {
                Some(standing) => standing,
                None => return,
            },
            () = ended(until) => {
                until = None;
                lease.end();
                let trouble = "the lock in the store could not be renewed in time".to_owned();
                tell(&role, replica(None, Some(trouble)));
                continue;
            }
        };
        until = None;
        let now = match standing {
            Standing::Primary { until: end, lapses } => {
                until = Some(end);
                lease.extend(lapses);
                Role::Primary
            }
            Standing::Replica { primary } => {
                lease.end();
                follows(primary, &candidate)
            }
            Standing::Unknown(error) => {
                lease.end();
                replica(None, Some(error.to_string()))
            }
        };
        tell(&role, now);
    }
}

/// The role of a replica, from what the leader key holds. Anybody who can write to the store may
/// have written it.
fn follows(primary: Option<String>, candidate: &str) -> Role {
    let Some(primary) = primary else {
        return replica(None, None);
    };
    if primary == candidate {
        let trouble = format!(
            "another manager, or an earlier process of this one, leads with the same --advertise \
             address {candidate}"
        );
        return replica(None, Some(trouble));
    }
    match primary.parse::<Entry>() {
        Ok(primary) => replica(Some(primary.to_string()), None),
        Err(error) => replica(None, Some(format!("the leader key in the store: {error}"))),
    }
}

fn replica(primary: Option<String>, trouble: Option<String>) -> Role {
    Role::Replica { primary, trouble }
}

async fn ended(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn tell(role: &watch::Sender<Role>, now: Role) {
    role.send_if_modified(|before| {
        if *before == now {
            return false;
        }
        match (&now, &*before) {
            (Role::Primary, _) => tracing::info!("Leader Election: Cluster leadership acquired"),
            (Role::Replica { primary, trouble }, before) => {
                if *before == Role::Primary {
                    tracing::warn!("Leader Election: Cluster leadership lost");
                }
                if let Some(primary) = primary {
                    tracing::info!("New leader elected: {primary}");
                }
                if let Some(trouble) = trouble {
                    tracing::warn!("Leader Election: {trouble}");
                }
            }
        }
        *before = now;
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leader_key_is_followed_only_if_it_is_another_address() {
        let candidate = "10.0.0.1:3376";
        let other = replica(Some("10.0.0.2:3376".to_owned()), None);
        assert_eq!(follows(Some("10.0.0.2:3376".to_owned()), candidate), other);
        assert_eq!(follows(None, candidate), Role::unknown());
        for value in [
            candidate,
            "",
            "x",
            "unix:///run/docker.sock",
            "a/b:1",
            "\u{1b}[2J:1",
        ] {
            let role = follows(Some(value.to_owned()), candidate);
            assert!(
                matches!(&role, Role::Replica { primary: None, trouble: Some(trouble) }
                    if !trouble.contains('\u{1b}')),
                "{value:?}: {role:?}"
            );
        }
    }
}
