//! What is asked of an engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response};
use rmachine_engine::{Engine, EngineBody, EngineError, full};
use rswarm_discovery::Entry;
use rswarm_scheduler::node::NodeSpec;
use serde::Deserialize;
use serde_json::Value;

use super::reason::reason;
use crate::cluster::clock;
use crate::cluster::limits::MAX_NAME;
use crate::cluster::member::ObjectKind;
use crate::cluster::view::About;

/// Why a node could not be looked at.
#[derive(Debug)]
pub(crate) struct Trouble(pub(crate) String);

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Self(reason(&error))
    }
}

impl Trouble {
    pub(crate) fn garbled(what: &str, error: &dyn std::fmt::Display) -> Self {
        Self(format!("the engine's {what} cannot be read: {error}"))
    }
}

/// Asks an engine who it is.
pub(crate) async fn introduce(
    engine: &Engine,
    entry: &Entry,
) -> Result<(About, NodeSpec), Trouble> {
    let version = engine.version().await?;
    let api = engine.api_version_of(&version)?;
    let asked = SystemTime::now();
    let info = engine.info().await?;
    let skew = clock::skew(&info, asked, SystemTime::now());
    let addr = entry.to_string();
    let spec = NodeSpec::from_info(&info, &addr).map_err(|error| Trouble(error.to_string()))?;
    for (field, value) in [("name", spec.name.as_str()), ("id", spec.bare_id())] {
        if value.len() > MAX_NAME {
            let length = value.len();
            return Err(Trouble(format!(
                "the engine's {field} has {length} bytes, but {MAX_NAME} are the most"
            )));
        }
    }
    let about = About {
        id: spec.bare_id().to_owned(),
        name: spec.name.clone(),
        addr: addr.into(),
        ip: ip(entry).await,
        cpus: spec.resources.cpus,
        memory: spec.resources.memory,
        labels: spec.labels.clone(),
        version: version.version,
        api,
        skew,
    };
    Ok((about, spec))
}

/// The address under which the host is reached; its name if it has none.
async fn ip(entry: &Entry) -> String {
    if entry.host().parse::<std::net::IpAddr>().is_ok() {
        return entry.host().to_owned();
    }
    let found = tokio::net::lookup_host((entry.host(), entry.port())).await;
    let first = found.ok().and_then(|mut found| found.next());
    first.map_or_else(|| entry.host().to_owned(), |found| found.ip().to_string())
}

/// The engine's events from now on, and those since a time in nanoseconds.
pub(crate) async fn events(
    engine: &Engine,
    about: &About,
    since: Option<i64>,
    limit: Duration,
) -> Result<Response<EngineBody>, Trouble> {
    let api = about.api.clamp(rmachine_engine::ApiVersion::NEWEST);
    let since = since.map_or_else(String::new, |nanos| {
        let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        format!("?since={seconds}.{rest:09}")
    });
    let request = Request::get(format!("/v{api}/events{since}")).body(full(Bytes::new()));
    let request = request.map_err(|error| Trouble::garbled("address", &error))?;
    let answer = engine.send(request, limit).await?;
    match answer.status().is_success() {
        true => Ok(answer),
        false => Err(Trouble(format!(
            "the engine tells no events (status {})",
            answer.status().as_u16()
        ))),
    }
}

/// All containers, or those with these ids.
pub(crate) async fn containers(
    engine: &Engine,
    ids: Option<&BTreeSet<Arc<str>>>,
) -> Result<Bytes, Trouble> {
    let path = match ids {
        None => "/containers/json?all=1".to_owned(),
        Some(ids) => {
            let ids: Vec<_> = ids.iter().map(|id| format!("%22{id}%22")).collect();
            let ids = ids.join("%2C");
            format!("/containers/json?all=1&filters=%7B%22id%22%3A%5B{ids}%5D%7D")
        }
    };
    Ok(engine.bytes(Method::GET, &path).await?)
}

/// The id of the container that was created last; `None` where there is no container.
pub(crate) async fn newest(engine: &Engine) -> Result<Option<String>, Trouble> {
    let path = "/containers/json?all=1&limit=1";
    let list = engine.bytes(Method::GET, path).await?;
    let list: Vec<Newest> = serde_json::from_slice(&list)
        .map_err(|error| Trouble::garbled("list of containers", &error))?;
    Ok(list.into_iter().next().map(|newest| newest.id))
}

#[derive(Deserialize)]
struct Newest {
    #[serde(rename = "Id")]
    id: String,
}

/// One container with all that a list leaves out; none when it has gone.
pub(crate) async fn inspect(engine: &Engine, id: &str) -> Result<Option<Value>, Trouble> {
    let path = format!("/containers/{id}/json");
    match engine.call(Method::GET, &path, None).await {
        Ok(inspect) => Ok(Some(inspect)),
        Err(EngineError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The list of a kind of objects.
pub(crate) async fn objects(engine: &Engine, kind: ObjectKind) -> Result<Bytes, Trouble> {
    let path = match kind {
        ObjectKind::Images => "/images/json?all=1",
        ObjectKind::Volumes => "/volumes",
        ObjectKind::Networks => "/networks",
    };
    Ok(engine.bytes(Method::GET, path).await?)
}
