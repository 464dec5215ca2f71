//! Who the primary is, as far as this manager knows.

use futures_util::StreamExt as _;
use rswarm_discovery::{Election, Standing};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

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
                let trouble = "the lock in the store could not be renewed in time".to_owned();
                tell(&role, replica(None, Some(trouble)));
                continue;
            }
        };
        until = None;
        tell(
            &role,
            match standing {
                Standing::Primary { until: end } => {
                    until = Some(end);
                    Role::Primary
                }
                Standing::Replica { primary } => {
                    // What is left of an earlier life of this manager leads nobody.
                    replica(primary.filter(|primary| *primary != candidate), None)
                }
                Standing::Unknown(error) => replica(None, Some(error.to_string())),
            },
        );
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
