//! etcd's API of version 3, through its JSON gateway: keys and values are in base64, numbers are
//! texts.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::Change;
use crate::http::{Ask, Servers};
use crate::{DiscoveryError, Entry};

/// The longest message of a watch.
const LONGEST: usize = 4 * 1024 * 1024;

/// The members, and the store's revision when it told them.
pub(super) async fn list(
    servers: &Servers,
    dir: &str,
) -> Result<(BTreeSet<Entry>, u64), DiscoveryError> {
    let (key, end) = range(dir);
    let listing = ask("/v3/kv/range", &json!({"key": key, "range_end": end})).for_list();
    let found = servers.ask(&listing).await?.success()?.json()?;
    let members = items(&found["kvs"]).filter_map(entry_of).collect();
    Ok((members, number(&found["header"]["revision"])))
}

/// A stream of the changes of the members.
pub(in crate::store) struct Watch {
    server: String,
    body: Incoming,
    unread: BytesMut,
    /// How much of it has no end of a line.
    scanned: usize,
    dir: String,
}

impl Watch {
    /// Watches from a revision on.
    pub(super) async fn open(
        servers: &Servers,
        dir: &str,
        from: u64,
    ) -> Result<Self, DiscoveryError> {
        let (key, end) = range(dir);
        let create = json!({"create_request": {
            "key": key, "range_end": end, "start_revision": from.to_string(),
        }});
        let (server, response) = servers.open(&ask("/v3/watch", &create)).await?;
        if !response.status().is_success() {
            return Err(DiscoveryError::Refused {
                server,
                status: response.status().as_u16(),
                message: "it opens no watch".to_owned(),
            });
        }
        Ok(Self {
            server,
            body: response.into_body(),
            unread: BytesMut::new(),
            scanned: 0,
            dir: dir.to_owned(),
        })
    }

    /// The next changes; `None` when the watch has ended.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Change>>, DiscoveryError> {
        loop {
            let unscanned = self.unread.iter().skip(self.scanned);
            if let Some(end) = unscanned.copied().position(|byte| byte == b'\n') {
                let line = self.unread.split_to(self.scanned + end + 1);
                self.scanned = 0;
                let message: Value = serde_json::from_slice(&line)
                    .map_err(|error| self.malformed(error.to_string()))?;
                let result = &message["result"];
                if result["canceled"] == true || !message["error"].is_null() {
                    return Ok(None);
                }
                return Ok(Some(self.changes(result)));
            }
            self.scanned = self.unread.len();
            if self.unread.len() > LONGEST {
                return Err(self.malformed("a message of the watch is too long".to_owned()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        self.unread.extend_from_slice(&chunk);
                    }
                }
                Some(Err(source)) => {
                    return Err(DiscoveryError::Unreachable {
                        server: self.server.clone(),
                        source: Box::new(source),
                    });
                }
            }
        }
    }

    fn changes(&self, result: &Value) -> Vec<Change> {
        let change = |event: &Value| match event["type"].as_str() {
            // The value has gone with the key, whose last part is the same.
            Some("DELETE") => {
                let key = decoded(&event["kv"]["key"])?;
                let name = key.strip_prefix(&self.dir)?.trim_start_matches('/');
                name.parse().ok().map(Change::Removed)
            }
            _ => entry_of(&event["kv"]).map(Change::Added),
        };
        items(&result["events"]).filter_map(change).collect()
    }

    fn malformed(&self, detail: String) -> DiscoveryError {
        DiscoveryError::Malformed {
            server: self.server.clone(),
            detail,
        }
    }
}

/// Gives an entry's lease more time, or writes it with a new one where it is not there.
pub(super) async fn put(
    servers: &Servers,
    dir: &str,
    entry: &Entry,
    ttl: Duration,
) -> Result<(), DiscoveryError> {
    let key = format!("{dir}/{entry}");
    if let Some((_, lease)) = get(servers, &key).await?
        && keep_alive(servers, lease).await?
    {
        return Ok(());
    }
    let lease = grant(servers, ttl).await?;
    let write = json!({
        "key": encoded(&key), "value": encoded(&entry.to_string()), "lease": lease.to_string(),
    });
    call(servers, "/v3/kv/put", &write).await.map(drop)
}

/// Takes an entry away.
pub(super) async fn delete(
    servers: &Servers,
    dir: &str,
    entry: &Entry,
) -> Result<(), DiscoveryError> {
    let key = encoded(&format!("{dir}/{entry}"));
    call(servers, "/v3/kv/deleterange", &json!({"key": key}))
        .await
        .map(drop)
}

/// Creates the leader key with a new lease, or renews the lease `own` if the key has it. Returns the
/// lease; `Err` with the holder's address if the key is another's. `granted` is called with a new
/// lease before the key is written.
pub(super) async fn acquire(
    servers: &Servers,
    key: &str,
    candidate: &str,
    ttl: Duration,
    own: Option<u64>,
    granted: impl FnOnce(u64) -> Option<super::Hold>,
) -> Result<Result<u64, Option<String>>, DiscoveryError> {
    if let Some((by, lease)) = get(servers, key).await? {
        return match own.filter(|own| *own == lease) {
            Some(own) if keep_alive(servers, own).await? => Ok(Ok(own)),
            Some(_) => Ok(Err(None)),
            None => Ok(Err(Some(by))),
        };
    }
    let lease = grant(servers, ttl).await?;
    granted(lease);
    let name = encoded(key);
    let transaction = json!({
        "compare": [{"key": name, "target": "CREATE", "create_revision": "0"}],
        "success": [{"request_put": {
            "key": name, "value": encoded(candidate), "lease": lease.to_string(),
        }}],
    });
    let done = call(servers, "/v3/kv/txn", &transaction).await?;
    if done["succeeded"] == true {
        return Ok(Ok(lease));
    }
    revoke(servers, lease).await?;
    let holder = get(servers, key).await?;
    Ok(Err(holder.map(|(by, _)| by)))
}

/// Renews a lease if the key has it.
pub(super) async fn renew(
    servers: &Servers,
    key: &str,
    lease: u64,
) -> Result<bool, DiscoveryError> {
    Ok(is_held(servers, key, lease).await? && keep_alive(servers, lease).await?)
}

/// True if the key has this lease.
pub(super) async fn is_held(
    servers: &Servers,
    key: &str,
    own: u64,
) -> Result<bool, DiscoveryError> {
    let current = get(servers, key).await?;
    Ok(current.is_some_and(|(_, lease)| lease == own))
}

/// Waits until the key goes, or for this time.
pub(super) async fn changed(
    servers: &Servers,
    key: &str,
    limit: Duration,
) -> Result<(), DiscoveryError> {
    let waiting = async {
        let create = json!({"create_request": {"key": encoded(key)}});
        let (server, response) = servers.open(&ask("/v3/watch", &create)).await?;
        let mut watch = Watch {
            server,
            body: response.into_body(),
            unread: BytesMut::new(),
            scanned: 0,
            dir: key.to_owned(),
        };
        // The first message says that the watch is there. A key's change of any kind is looked at.
        watch.next().await?;
        watch.next().await
    };
    match tokio::time::timeout(limit, waiting).await {
        Ok(Ok(_)) | Err(_) => Ok(()),
        Ok(Err(error)) => Err(error),
    }
}

/// A key's value and lease.
async fn get(servers: &Servers, key: &str) -> Result<Option<(String, u64)>, DiscoveryError> {
    let found = call(servers, "/v3/kv/range", &json!({"key": encoded(key)})).await?;
    Ok(items(&found["kvs"])
        .next()
        .and_then(|kv| Some((decoded(&kv["value"])?, number(&kv["lease"])))))
}

async fn grant(servers: &Servers, ttl: Duration) -> Result<u64, DiscoveryError> {
    let ttl = json!({"TTL": ttl.as_secs().max(1).to_string()});
    let granted = call(servers, "/v3/lease/grant", &ttl).await?;
    Ok(number(&granted["ID"]))
}

/// `false` when there is no such lease any more.
async fn keep_alive(servers: &Servers, lease: u64) -> Result<bool, DiscoveryError> {
    if lease == 0 {
        return Ok(false);
    }
    let kept = json!({"ID": lease.to_string()});
    let kept = call(servers, "/v3/lease/keepalive", &kept).await?;
    Ok(number(&kept["result"]["TTL"]) > 0)
}

/// Ends a lease, and the keys with it.
pub(super) async fn revoke(servers: &Servers, lease: u64) -> Result<(), DiscoveryError> {
    let revoke = json!({"ID": lease.to_string()});
    call(servers, "/v3/lease/revoke", &revoke).await.map(drop)
}

async fn call(servers: &Servers, path: &str, body: &Value) -> Result<Value, DiscoveryError> {
    servers.ask(&ask(path, body)).await?.success()?.json()
}

fn ask(path: &str, body: &Value) -> Ask {
    Ask::new(Method::POST, path).with("application/json", body.to_string())
}

/// The first key of a directory, and the one after its last.
fn range(dir: &str) -> (String, String) {
    (encoded(&format!("{dir}/")), encoded(&format!("{dir}0")))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// What is no entry is none of ours.
fn entry_of(kv: &Value) -> Option<Entry> {
    decoded(&kv["value"])?.parse().ok()
}

fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

fn decoded(text: &Value) -> Option<String> {
    let bytes = STANDARD.decode(text.as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// Numbers of 64 bits are texts; what is 0 may be left away.
fn number(value: &Value) -> u64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.or_else(|| value.as_u64()).unwrap_or_default()
}
