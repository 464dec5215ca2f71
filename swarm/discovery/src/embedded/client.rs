use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use http::Method;
use serde::Deserialize;

use super::PATH;
use crate::http::{Answer, Ask, Servers};
use crate::store::watching::{self, Change, Members};
use crate::{Discovery, DiscoveryError, Entry, StoreOptions, Update, poll};

/// How long a wait for another version lasts before it is begun anew.
const WAIT: Duration = Duration::from_secs(30);

/// The membership that a manager keeps, asked for from elsewhere.
#[derive(Clone)]
pub(crate) struct Embedded {
    managers: Servers,
    heartbeat: Duration,
    limit: Duration,
}

#[derive(Deserialize)]
struct Listed {
    version: String,
    members: Vec<String>,
}

impl Embedded {
    pub(crate) fn new(managers: &[Entry], options: &StoreOptions) -> Result<Self, DiscoveryError> {
        if managers.is_empty() {
            return Err(DiscoveryError::Option(
                "embedded:// has to name a manager: embedded://HOST:PORT".to_owned(),
            ));
        }
        let scheme = match options.tls {
            Some(_) => "https",
            None => "http",
        };
        let urls = managers.iter();
        let urls = urls.map(|manager| format!("{scheme}://{manager}"));
        Ok(Self {
            managers: Servers::new(urls.collect(), options.tls.clone(), options.limit)?,
            heartbeat: options.heartbeat,
            limit: options.limit,
        })
    }

    async fn put(&self, entry: &Entry, ttl: Duration) -> Result<(), DiscoveryError> {
        let path = format!("{PATH}/{entry}?ttl={}", ttl.as_secs());
        let ask = Ask::new(Method::PUT, path);
        self.managers.ask(&ask).await?.success().map(drop)
    }
}

#[async_trait]
impl Discovery for Embedded {
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        Ok(self.now().await?.0)
    }

    fn watch(&self) -> BoxStream<'static, Update> {
        watching::watch(self.clone(), 2 * self.heartbeat)
    }

    fn register(
        &self,
        entry: Entry,
        heartbeat: Duration,
        ttl: Duration,
    ) -> BoxStream<'static, Result<(), DiscoveryError>> {
        let manager = self.clone();
        poll::rounds(heartbeat, move || {
            let (manager, entry) = (manager.clone(), entry.clone());
            async move { manager.put(&entry, ttl).await }
        })
    }

    async fn deregister(&self, entry: &Entry) -> Result<(), DiscoveryError> {
        let ask = Ask::new(Method::DELETE, format!("{PATH}/{entry}"));
        self.managers.ask(&ask).await?.success().map(drop)
    }
}

#[async_trait]
impl Members for Embedded {
    /// The version of the last answer.
    type Place = String;

    async fn now(&self) -> Result<(BTreeSet<Entry>, String), DiscoveryError> {
        listed(
            self.managers
                .ask(&Ask::new(Method::GET, PATH).for_list())
                .await?,
        )
    }

    async fn next(&self, version: &mut String) -> Result<Option<Vec<Change>>, DiscoveryError> {
        let path = format!("{PATH}?version={version}&wait={}", WAIT.as_secs());
        let ask = Ask::new(Method::GET, path).for_list();
        let answer = self.managers.ask_within(&ask, WAIT + self.limit).await?;
        let (members, newest) = listed(answer)?;
        *version = newest;
        Ok(Some(vec![Change::All(members)]))
    }

    async fn failed(&self) {}
}

fn listed(answer: Answer) -> Result<(BTreeSet<Entry>, String), DiscoveryError> {
    let answer = answer.success()?;
    let malformed = |detail: String| DiscoveryError::Malformed {
        server: answer.server.clone(),
        detail,
    };
    let listed: Listed =
        serde_json::from_slice(&answer.body).map_err(|error| malformed(error.to_string()))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !listed.version.chars().all(plain) {
        return Err(malformed("a version with odd characters".to_owned()));
    }
    let members: Result<BTreeSet<Entry>, _> =
        listed.members.iter().map(|entry| entry.parse()).collect();
    let members = members.map_err(|error| malformed(error.to_string()))?;
    Ok((members, listed.version))
}
