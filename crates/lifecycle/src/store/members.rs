//! What servers of a store say of each other, over their own HTTP APIs.

use std::net::{IpAddr, SocketAddr};

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, Method, Response};
use rmachine_companion::part::Certificates;
use rmachine_companion::server::{Consul, Etcd};
use rmachine_machine::StoreKind;
use serde_json::{Value, json};

use crate::bounds;

/// Largest answer that is read, in bytes: a list of members has a few kilobytes.
const MAX_ANSWER: usize = 4 << 20;

/// A client of servers, and why a question to one went without an answer.
pub(super) struct Members {
    http: Client,
}

/// A server of etcd, as another one knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Peer {
    id: String,
    /// Empty for one that has not started yet.
    name: String,
    url: String,
    /// It copies the data and does not count for the quorum yet.
    pub(super) is_learner: bool,
}

/// How a server stands in its store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Health {
    /// It reads and writes.
    Good,
    /// It answers, and does not count for the quorum, or there is none.
    NoQuorum,
}

impl Members {
    /// A client that asks machines directly, whatever proxies the environment names.
    pub(super) fn new(certificates: &Certificates) -> Result<Self, String> {
        let Certificates {
            ca,
            certificate,
            key,
        } = certificates;
        let build = || {
            Client::builder()
                .no_proxy()
                .redirect(Policy::none())
                .tls_certs_only([Certificate::from_pem(ca.as_bytes())?])
                .identity(Identity::from_pem(
                    format!("{certificate}\n{key}").as_bytes(),
                )?)
                .timeout(bounds::STORE_CALL)
                .build()
        };
        Ok(Self {
            http: build().map_err(|error| told(&error))?,
        })
    }

    /// How the server at an address stands.
    pub(super) async fn health(&self, kind: StoreKind, at: IpAddr) -> Result<Health, String> {
        let good = match kind {
            StoreKind::Etcd => {
                let answer = self.ask(Method::GET, etcd(at, "/health"), None).await;
                match answer {
                    Ok(health) => health["health"] == "true",
                    // Its status, where it is not well, is an error's.
                    Err(error) if error.starts_with("503") => false,
                    Err(error) => return Err(error),
                }
            }
            StoreKind::Consul => {
                let path = consul(at, "/v1/operator/raft/configuration");
                votes(&self.ask(Method::GET, path, None).await?, at)
            }
        };
        Ok(match good {
            true => Health::Good,
            false => Health::NoQuorum,
        })
    }

    /// The servers of an etcd, by the one at an address.
    pub(super) async fn peers(&self, at: IpAddr) -> Result<Vec<Peer>, String> {
        let path = etcd(at, "/v3/cluster/member/list");
        let answer = self.ask(Method::POST, path, Some(json!({}))).await?;
        Ok(Peer::listed(&answer))
    }

    /// Lets an etcd know a server that will come: it copies the data first, so that the others have
    /// their quorum without it.
    pub(super) async fn add(&self, at: IpAddr, url: &str) -> Result<(), String> {
        let path = etcd(at, "/v3/cluster/member/add");
        let body = json!({"peerURLs": [url], "isLearner": true});
        self.ask(Method::POST, path, Some(body)).await?;
        Ok(())
    }

    /// Makes a server of an etcd that has copied the data a full one.
    pub(super) async fn promote(&self, at: IpAddr, peer: &Peer) -> Result<(), String> {
        let path = etcd(at, "/v3/cluster/member/promote");
        self.ask(Method::POST, path, Some(json!({"ID": peer.id})))
            .await?;
        Ok(())
    }

    /// Lets an etcd forget a server.
    pub(super) async fn remove(&self, at: IpAddr, peer: &Peer) -> Result<(), String> {
        let path = etcd(at, "/v3/cluster/member/remove");
        self.ask(Method::POST, path, Some(json!({"ID": peer.id})))
            .await?;
        Ok(())
    }

    /// Lets the server of a Consul leave, and end.
    pub(super) async fn leave(&self, at: IpAddr) -> Result<(), String> {
        let path = consul(at, "/v1/agent/leave");
        self.ask(Method::PUT, path, None).await?;
        Ok(())
    }

    /// Lets the Consul of the server at an address forget another one, which is down.
    pub(super) async fn forget(&self, at: IpAddr, node: &str) -> Result<(), String> {
        let path = consul(at, &format!("/v1/agent/force-leave/{node}"));
        self.ask(Method::PUT, path, None).await?;
        Ok(())
    }

    /// One question, and the JSON of the answer; `null` where there is none. An answer that is an
    /// error begins with its status.
    async fn ask(&self, method: Method, url: String, body: Option<Value>) -> Result<Value, String> {
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| told(&error))?;
        let status = answer.status();
        let text = read(answer).await?;
        let json = serde_json::from_str::<Value>(&text);
        if !status.is_success() {
            let json = json.unwrap_or_default();
            let message = json["message"].as_str().unwrap_or(text.trim());
            return Err(format!("{} {message}", status.as_u16()));
        }
        Ok(json.unwrap_or_default())
    }
}

impl Peer {
    fn listed(answer: &Value) -> Vec<Self> {
        let members = answer["members"].as_array();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let peer = |member: &Value| Self {
            id: text(&member["ID"]),
            name: text(&member["name"]),
            url: text(&member["peerURLs"][0]),
            is_learner: member["isLearner"] == true,
        };
        members.into_iter().flatten().map(peer).collect()
    }

    /// Whether it is the server at this address.
    pub(super) fn is_at(&self, address: IpAddr) -> bool {
        self.url == Etcd::peer_url(address)
    }

    /// As a server's command line names it; `own` is the one that has no name yet.
    pub(super) fn named(&self, own: &str) -> String {
        let name = match self.name.as_str() {
            "" => own,
            name => name,
        };
        format!("{name}={}", self.url)
    }
}

/// Whether the server at an address is a full one, by Consul's own list, which takes a leader.
fn votes(configuration: &Value, at: IpAddr) -> bool {
    let own = SocketAddr::new(at, Consul::PEERS).to_string();
    let servers = configuration["Servers"].as_array();
    let mut servers = servers.into_iter().flatten();
    servers.any(|server| server["Address"] == *own && server["Voter"] == true)
}

fn etcd(at: IpAddr, path: &str) -> String {
    format!("https://{}{path}", SocketAddr::new(at, Etcd::CLIENTS))
}

fn consul(at: IpAddr, path: &str) -> String {
    format!("https://{}{path}", SocketAddr::new(at, Consul::CLIENTS))
}

/// Reads an answer's body, up to [`MAX_ANSWER`].
async fn read(mut answer: Response) -> Result<String, String> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| told(&error))? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(format!("the answer is larger than {MAX_ANSWER} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// An error with what is behind it.
fn told(error: &reqwest::Error) -> String {
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_server_of_consul_is_no_full_one_at_once() {
        // What Consul 1.8 says.
        let configuration = json!({
            "Servers": [
                {"ID": "4fa5", "Node": "s1", "Address": "10.0.0.1:8300", "Leader": true,
                 "ProtocolVersion": "3", "Voter": true},
                {"ID": "9e21", "Node": "s2", "Address": "10.0.0.2:8300", "Leader": false,
                 "ProtocolVersion": "3", "Voter": false},
            ],
            "Index": 0,
        });
        for (at, expected) in [("10.0.0.1", true), ("10.0.0.2", false), ("10.0.0.3", false)] {
            assert_eq!(votes(&configuration, at.parse().unwrap()), expected, "{at}");
        }
    }

    #[test]
    fn reads_the_servers_of_an_etcd() {
        // What etcd 3.4 says: what is false is not there, and numbers are texts.
        let peers = Peer::listed(&json!({
            "header": {"cluster_id": "1", "member_id": "2", "raft_term": "2"},
            "members": [
                {"ID": "2", "name": "s1", "peerURLs": ["https://10.0.0.1:2380"],
                 "clientURLs": ["https://10.0.0.1:2379"]},
                {"ID": "3", "peerURLs": ["https://10.0.0.2:2380"], "isLearner": true},
            ],
        }));
        assert_eq!(peers.len(), 2);
        assert!(peers[0].is_at("10.0.0.1".parse().unwrap()) && !peers[0].is_learner);
        assert!(peers[1].is_at("10.0.0.2".parse().unwrap()) && peers[1].is_learner);
        let named: Vec<_> = peers.iter().map(|peer| peer.named("s2")).collect();
        assert_eq!(
            named,
            ["s1=https://10.0.0.1:2380", "s2=https://10.0.0.2:2380"]
        );
    }
}
