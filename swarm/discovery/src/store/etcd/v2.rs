//! etcd's API of version 2, `/v2/keys`.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::Change;
use crate::http::{Answer, Ask, Servers, shown};
use crate::{DiscoveryError, Entry};

/// How long a wait for the next change lasts before it is begun anew.
const WAIT: Duration = Duration::from_secs(300);

/// What etcd says in `errorCode`.
const KEY_NOT_FOUND: u64 = 100;
const COMPARE_FAILED: u64 = 101;
const KEY_EXISTS: u64 = 105;
const INDEX_CLEARED: u64 = 401;

const FORM: &str = "application/x-www-form-urlencoded";

/// The members, and the store's index when it told them.
pub(super) async fn list(
    servers: &Servers,
    dir: &str,
) -> Result<(BTreeSet<Entry>, u64), DiscoveryError> {
    let ask = Ask::new(
        Method::GET,
        format!("/v2/keys/{dir}?recursive=true&quorum=true"),
    )
    .for_list();
    let answer = servers.ask(&ask).await?;
    let json = answer.json()?;
    match code(&answer, &json)? {
        None => {
            let nodes = json["node"]["nodes"].as_array();
            let nodes = nodes.into_iter().flatten();
            let members = nodes.filter_map(|node| entry(&node["value"])).collect();
            Ok((members, index(&answer)?))
        }
        Some(KEY_NOT_FOUND) => {
            let index = json["index"].as_u64();
            let index = index.ok_or_else(|| malformed(&answer, "there is no index"))?;
            Ok((BTreeSet::new(), index))
        }
        Some(_) => Err(refused(&answer, &json)),
    }
}

/// Waits for the next change after an index, which moves on.
pub(super) async fn next(
    servers: &Servers,
    dir: &str,
    after: &mut u64,
) -> Result<Option<Vec<Change>>, DiscoveryError> {
    let from = *after + 1;
    let path = format!("/v2/keys/{dir}?wait=true&recursive=true&waitIndex={from}");
    let ask = Ask::new(Method::GET, path);
    let answer = match servers.ask_within(&ask, WAIT).await {
        Ok(answer) => answer,
        // Nothing has happened, or nobody is there: who lists anew finds out.
        Err(DiscoveryError::Deadline { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    // etcd ends a wait with an empty answer when it shuts down.
    if answer.body.is_empty() {
        return Ok(None);
    }
    let json = answer.json()?;
    match code(&answer, &json)? {
        None => {}
        Some(INDEX_CLEARED) => return Ok(None),
        Some(_) => return Err(refused(&answer, &json)),
    }
    let changed = json["node"]["modifiedIndex"].as_u64();
    *after = changed.ok_or_else(|| malformed(&answer, "there is no modifiedIndex"))?;
    if json["node"]["dir"] == true {
        return Ok(None);
    }
    let change = match json["action"].as_str() {
        Some("delete" | "expire" | "compareAndDelete") => {
            entry(&json["prevNode"]["value"]).map(Change::Removed)
        }
        Some(_) => entry(&json["node"]["value"]).map(Change::Added),
        None => return Err(malformed(&answer, "there is no action")),
    };
    Ok(Some(change.into_iter().collect()))
}

/// Gives an entry more time, which wakes nobody, or writes it where it is not there.
pub(super) async fn put(
    servers: &Servers,
    dir: &str,
    entry: &Entry,
    ttl: Duration,
) -> Result<(), DiscoveryError> {
    let path = format!("/v2/keys/{dir}/{entry}");
    let ttl = ttl.as_secs().max(1);
    let refresh = format!("ttl={ttl}&refresh=true&prevExist=true");
    let refresh = Ask::new(Method::PUT, path.clone()).with(FORM, refresh);
    let answer = servers.ask(&refresh).await?;
    let json = answer.json()?;
    match code(&answer, &json)? {
        None => return Ok(()),
        Some(KEY_NOT_FOUND) => {}
        Some(_) => return Err(refused(&answer, &json)),
    }
    let write = Ask::new(Method::PUT, path).with(FORM, format!("ttl={ttl}&value={entry}"));
    done(servers.ask(&write).await?)
}

/// Takes an entry away.
pub(super) async fn delete(
    servers: &Servers,
    dir: &str,
    entry: &Entry,
) -> Result<(), DiscoveryError> {
    let ask = Ask::new(Method::DELETE, format!("/v2/keys/{dir}/{entry}"));
    let answer = servers.ask(&ask).await?;
    let json = answer.json()?;
    match code(&answer, &json)? {
        None | Some(KEY_NOT_FOUND) => Ok(()),
        Some(_) => Err(refused(&answer, &json)),
    }
}

/// Creates the leader key, or renews the one that was created at the index `own`. Returns the index
/// at which it was created; `Err` with the holder's address if it is another's.
pub(super) async fn acquire(
    servers: &Servers,
    key: &str,
    candidate: &str,
    ttl: Duration,
    own: Option<u64>,
) -> Result<Result<u64, Option<String>>, DiscoveryError> {
    let form = format!("ttl={}&value={candidate}", ttl.as_secs().max(1));
    let path = format!("/v2/keys/{key}?prevExist=false");
    let answer = servers
        .ask(&Ask::new(Method::PUT, path).with(FORM, form))
        .await?;
    let json = answer.json()?;
    match code(&answer, &json)? {
        None => return Ok(Ok(LeaderKey::of(&answer, &json["node"])?.created)),
        Some(KEY_EXISTS) => {}
        Some(_) => return Err(refused(&answer, &json)),
    }
    if let Some(own) = own
        && renew(servers, key, candidate, ttl, own).await?
    {
        return Ok(Ok(own));
    }
    let holder = leader_key(servers, key).await?;
    Ok(Err(holder.and_then(|holder| holder.value)))
}

/// Extends the key's time if it was created at this index.
pub(super) async fn renew(
    servers: &Servers,
    key: &str,
    candidate: &str,
    ttl: Duration,
    own: u64,
) -> Result<bool, DiscoveryError> {
    let Some(current) = leader_key(servers, key)
        .await?
        .filter(|key| key.created == own)
    else {
        return Ok(false);
    };
    let ttl = ttl.as_secs().max(1);
    let path = format!("/v2/keys/{key}?prevIndex={}", current.modified);
    let ask = Ask::new(Method::PUT, path).with(FORM, format!("ttl={ttl}&value={candidate}"));
    let answer = servers.ask(&ask).await?;
    let json = answer.json()?;
    match code(&answer, &json)? {
        None => Ok(true),
        Some(KEY_NOT_FOUND | COMPARE_FAILED) => Ok(false),
        Some(_) => Err(refused(&answer, &json)),
    }
}

/// True if the key is the one that was created at this index.
pub(super) async fn is_held(
    servers: &Servers,
    key: &str,
    own: u64,
) -> Result<bool, DiscoveryError> {
    let current = leader_key(servers, key).await?;
    Ok(current.is_some_and(|current| current.created == own))
}

struct LeaderKey {
    value: Option<String>,
    created: u64,
    modified: u64,
}

impl LeaderKey {
    fn of(answer: &Answer, node: &Value) -> Result<Self, DiscoveryError> {
        let index = |name: &str| {
            let index = node.get(name).and_then(Value::as_u64);
            index.ok_or_else(|| malformed(answer, &format!("there is no {name}")))
        };
        Ok(Self {
            value: node.get("value").and_then(Value::as_str).map(str::to_owned),
            created: index("createdIndex")?,
            modified: index("modifiedIndex")?,
        })
    }
}

async fn leader_key(servers: &Servers, key: &str) -> Result<Option<LeaderKey>, DiscoveryError> {
    let ask = Ask::new(Method::GET, format!("/v2/keys/{key}?quorum=true"));
    let answer = servers.ask(&ask).await?;
    let json = answer.json()?;
    match code(&answer, &json)? {
        None => LeaderKey::of(&answer, &json["node"]).map(Some),
        Some(KEY_NOT_FOUND) => Ok(None),
        Some(_) => Err(refused(&answer, &json)),
    }
}

/// Waits until the key goes, or for this time.
pub(super) async fn changed(
    servers: &Servers,
    key: &str,
    limit: Duration,
) -> Result<(), DiscoveryError> {
    let begun = tokio::time::Instant::now();
    let ask = Ask::new(Method::GET, format!("/v2/keys/{key}?wait=true"));
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        let answer = match servers.ask_within(&ask, left).await {
            Ok(answer) => answer,
            Err(DiscoveryError::Deadline { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        if answer.body.is_empty() {
            return Ok(());
        }
        let action = answer.json()?["action"].as_str().map(str::to_owned);
        // Its holder writes it anew now and then.
        if action.is_none_or(|action| action != "compareAndSwap" && action != "update") {
            return Ok(());
        }
    }
}

/// Deletes the key if it was created at this index.
pub(super) async fn release(servers: &Servers, key: &str, own: u64) -> Result<(), DiscoveryError> {
    let Some(current) = leader_key(servers, key)
        .await?
        .filter(|key| key.created == own)
    else {
        return Ok(());
    };
    let path = format!("/v2/keys/{key}?prevIndex={}", current.modified);
    let answer = servers.ask(&Ask::new(Method::DELETE, path)).await?;
    let json = answer.json()?;
    match code(&answer, &json)? {
        None | Some(KEY_NOT_FOUND | COMPARE_FAILED) => Ok(()),
        Some(_) => Err(refused(&answer, &json)),
    }
}

fn done(answer: Answer) -> Result<(), DiscoveryError> {
    let json = answer.json()?;
    match code(&answer, &json)? {
        None => Ok(()),
        Some(_) => Err(refused(&answer, &json)),
    }
}

/// etcd's own code of an error; none of a success.
fn code(answer: &Answer, json: &Value) -> Result<Option<u64>, DiscoveryError> {
    if (200..=299).contains(&answer.status) {
        return Ok(None);
    }
    let code = json["errorCode"].as_u64();
    code.map(Some).ok_or_else(|| refused(answer, json))
}

fn refused(answer: &Answer, json: &Value) -> DiscoveryError {
    let message = json["message"].as_str().unwrap_or_default();
    let cause = json["cause"].as_str().unwrap_or_default();
    DiscoveryError::Refused {
        server: answer.server.clone(),
        status: answer.status,
        message: shown(&format!("{message} {cause}")),
    }
}

fn index(answer: &Answer) -> Result<u64, DiscoveryError> {
    let index = answer.headers.get("x-etcd-index");
    let index = index.and_then(|index| index.to_str().ok()?.parse().ok());
    index.ok_or_else(|| malformed(answer, "there is no X-Etcd-Index"))
}

fn malformed(answer: &Answer, detail: &str) -> DiscoveryError {
    DiscoveryError::Malformed {
        server: answer.server.clone(),
        detail: detail.to_owned(),
    }
}

/// What is no entry is none of ours.
fn entry(value: &Value) -> Option<Entry> {
    value.as_str()?.parse().ok()
}
