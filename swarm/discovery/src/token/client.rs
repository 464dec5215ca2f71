use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use http::Method;

use crate::http::{Ask, Servers, shown};
use crate::{Discovery, DiscoveryError, Entry, StoreOptions, Update, poll};

/// One cluster of a token service.
pub(crate) struct TokenDiscovery {
    cluster: Cluster,
    heartbeat: Duration,
}

#[derive(Clone)]
struct Cluster {
    service: Servers,
    path: String,
}

impl TokenDiscovery {
    pub(crate) fn new(
        service: Option<String>,
        token: &str,
        options: &StoreOptions,
    ) -> Result<Self, DiscoveryError> {
        let sound = !token.is_empty() && token.chars().all(|c| c.is_ascii_alphanumeric());
        if !sound {
            return Err(DiscoveryError::Option(format!("{token:?} is no token")));
        }
        Ok(Self {
            cluster: Cluster {
                service: servers(service, options)?,
                path: format!("/v1/clusters/{token}"),
            },
            heartbeat: options.heartbeat,
        })
    }

    /// A new cluster's token.
    pub(crate) async fn create(options: &StoreOptions) -> Result<String, DiscoveryError> {
        let service = servers(None, options)?;
        let ask = Ask::new(Method::POST, "/v1/clusters");
        let answer = service.ask(&ask).await?.success()?;
        let token = String::from_utf8_lossy(&answer.body).trim().to_owned();
        let is_token = !token.is_empty() && token.chars().all(|c| c.is_ascii_alphanumeric());
        if is_token {
            return Ok(token);
        }
        Err(DiscoveryError::Malformed {
            detail: format!("\"{}\" is no token", shown(&token)),
            server: answer.server,
        })
    }
}

fn servers(service: Option<String>, options: &StoreOptions) -> Result<Servers, DiscoveryError> {
    let url = service.or_else(|| options.discovery_url.clone());
    let url = url.ok_or_else(|| {
        DiscoveryError::Option(
            "the public discovery service is gone; --discovery-url or SWARM_DISCOVERY_URL names \
             another, and `rswarm discovery` is one"
                .to_owned(),
        )
    })?;
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        let message = format!("{url:?} is no http:// or https:// URL");
        return Err(DiscoveryError::Option(message));
    }
    let url = url.trim_end_matches('/').to_owned();
    Servers::new(vec![url], options.tls.clone(), options.limit)
}

impl Cluster {
    async fn members(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        let ask = Ask::new(Method::GET, self.path.clone()).for_list();
        let answer = self.service.ask(&ask).await?.success()?;
        let malformed = |detail: String| DiscoveryError::Malformed {
            server: answer.server.clone(),
            detail,
        };
        let entries: Option<Vec<String>> =
            serde_json::from_value(answer.json()?).map_err(|error| malformed(error.to_string()))?;
        let entries = entries.unwrap_or_default();
        let entries = entries.iter().map(|entry| entry.parse::<Entry>());
        let entries: Result<BTreeSet<Entry>, _> = entries.collect();
        entries.map_err(|error| malformed(error.to_string()))
    }

    async fn register(&self, entry: &Entry, ttl: Duration) -> Result<(), DiscoveryError> {
        let path = format!("{}?ttl={}", self.path, ttl.as_secs());
        let ask = Ask::new(Method::POST, path).with("application/json", entry.to_string());
        self.service.ask(&ask).await?.success().map(drop)
    }
}

#[async_trait]
impl Discovery for TokenDiscovery {
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        self.cluster.members().await
    }

    fn watch(&self) -> BoxStream<'static, Update> {
        let cluster = self.cluster.clone();
        poll::changes(self.heartbeat, 2 * self.heartbeat, move || {
            let cluster = cluster.clone();
            async move { cluster.members().await }
        })
    }

    fn register(
        &self,
        entry: Entry,
        heartbeat: Duration,
        ttl: Duration,
    ) -> BoxStream<'static, Result<(), DiscoveryError>> {
        let cluster = self.cluster.clone();
        poll::rounds(heartbeat, move || {
            let (cluster, entry) = (cluster.clone(), entry.clone());
            async move { cluster.register(&entry, ttl).await }
        })
    }

    /// The service knows no way to take one entry away but to let its time pass; one second is
    /// the least that it takes.
    async fn deregister(&self, entry: &Entry) -> Result<(), DiscoveryError> {
        self.cluster.register(entry, Duration::from_secs(1)).await
    }
}
