//! The manager: discovery tells it the nodes, the election its role, and clients what to do.
//!
//! ```text
//! discovery ──▶ cluster ◀── api ◀── listeners
//!                            ▲
//! election ──▶ role ─────────┘   (a replica passes on to the primary)
//!                 └──▶ watchdog ──▶ api   (what has lost its node is created elsewhere)
//! ```

mod replica;
mod role;
mod watchdog;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use rswarm_discovery::{Discovery, Election, MembershipService, Update};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiSettings, Standing};
use crate::cluster::{Cluster, ClusterSettings};
use crate::listen::{Listener, Peer, Served, boxed, serve};
use crate::metrics::Metrics;
use crate::tls::TlsConfigs;
use replica::Forwarder;
use role::Role;

/// How long the lead may take to be given back when the program is told to stop.
const RESIGN_LIMIT: Duration = Duration::from_secs(5);

/// What a manager is made of.
pub struct Manager {
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Where it tells its metrics, in the clear, if it does.
    pub metrics: Option<Listener>,
    /// How it speaks TLS, if it does.
    pub tls: Option<watch::Receiver<TlsConfigs>>,
    /// Who belongs to the cluster.
    pub discovery: Box<dyn Discovery>,
    /// The membership that agents are to be served, where this manager keeps it.
    pub membership: Option<MembershipService>,
    /// How one of several managers becomes the primary.
    pub replication: Option<Replication>,
    /// How it deals with engines.
    pub cluster: ClusterSettings,
    /// How it answers; its standing is the manager's business.
    pub api: ApiSettings,
}

/// One of several managers.
pub struct Replication {
    /// The election.
    pub election: Box<dyn Election>,
    /// Where others reach this one.
    pub candidate: String,
    /// How long a primary that is silent stays the primary.
    pub ttl: Duration,
}

/// Runs a manager until it is told to stop; what is under way gets time to end.
pub async fn run(manager: Manager, stop: CancellationToken) {
    let replicated = manager.replication.is_some();
    let first = match replicated {
        true => Role::unknown(),
        false => Role::Primary,
    };
    let (tell_role, role) = watch::channel(first);
    let tls = manager.cluster.tls.clone();
    let cluster = Cluster::new(manager.cluster);
    let metrics = Arc::new(Metrics::new());
    let following = follow(manager.discovery, cluster.clone(), Arc::clone(&metrics));
    let following = tokio::spawn(following);
    if let Some(listener) = manager.metrics {
        let (metrics, role, cluster) = (Arc::clone(&metrics), role.clone(), cluster.clone());
        let answer = move |request| {
            let is_primary = *role.borrow() == Role::Primary;
            std::future::ready(metrics.answer(&request, &cluster, is_primary))
        };
        tokio::spawn(serve(vec![listener], None, answer, stop.clone()));
    }

    let known = role.clone();
    let api = Api::new(
        cluster.clone(),
        ApiSettings {
            standing: Box::new(move || match known.borrow().clone() {
                Role::Primary => Standing::Primary,
                Role::Replica { primary, .. } => Standing::Replica { primary },
            }),
            ..manager.api
        },
    );
    let watching = tokio::spawn(watchdog::watch(
        api.clone(),
        cluster,
        role.clone(),
        Arc::clone(&metrics),
    ));
    let service = Service {
        api,
        forwarder: Forwarder::new(tls, role.clone()),
        membership: manager.membership.clone(),
        metrics,
        role,
    };
    if let Some(membership) = manager.membership {
        let stop = stop.clone();
        tokio::spawn(async move {
            stop.cancelled().await;
            membership.stop();
        });
    }
    let answer = move |request| service.clone().answer(request);
    let serving = serve(manager.listeners, manager.tls, answer, stop.clone());
    match manager.replication {
        None => serving.await,
        Some(replication) => {
            let election = &*replication.election;
            let campaign =
                role::campaign(election, replication.candidate, replication.ttl, tell_role);
            tokio::select! {
                () = serving => {}
                () = campaign => {}
            }
            let resigned = tokio::time::timeout(RESIGN_LIMIT, election.resign()).await;
            match resigned {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("the lead could not be given back: {error}"),
                Err(_) => {
                    tracing::warn!("the lead could not be given back within {RESIGN_LIMIT:?}")
                }
            }
        }
    }
    following.abort();
    watching.abort();
}

/// Keeps the cluster's nodes what the discovery says they are.
async fn follow(discovery: Box<dyn Discovery>, cluster: Cluster, metrics: Arc<Metrics>) {
    let mut updates = discovery.watch();
    while let Some(update) = updates.next().await {
        match update {
            Update::Members(members) => {
                tracing::info!("the discovery knows {} nodes", members.len());
                cluster.set_members(&members);
            }
            Update::Trouble(error) => {
                metrics.discovery_failed();
                tracing::warn!("Discovery error: {error}; the nodes stay as they are");
            }
        }
    }
}

/// Answers as the primary, or asks it.
#[derive(Clone)]
struct Service {
    api: Api,
    forwarder: Forwarder,
    membership: Option<MembershipService>,
    metrics: Arc<Metrics>,
    role: watch::Receiver<Role>,
}

impl Service {
    async fn answer(self, request: Request<Incoming>) -> Served {
        let (metrics, method) = (Arc::clone(&self.metrics), request.method().clone());
        let asked = Instant::now();
        let answer = self.find_answer(request).await;
        metrics.answered(&method, answer.status(), asked.elapsed());
        answer
    }

    async fn find_answer(self, request: Request<Incoming>) -> Served {
        if let Some(membership) = &self.membership
            && MembershipService::serves(request.uri().path())
        {
            return boxed(membership.handle(request).await);
        }
        if request.extensions().get() == Some(&Peer::Agent) {
            return replica::refusal(
                StatusCode::FORBIDDEN,
                "an agent's certificate is good for registering a node only",
            );
        }
        let is_primary = *self.role.borrow() == Role::Primary;
        match is_primary || replica::is_its_own(request.uri().path()) {
            true => self.api.handle(request).await,
            false => self.forwarder.pass_on(request).await,
        }
    }
}
