//! How a server comes to its store, and leaves it.

use std::net::IpAddr;
use std::time::Instant;

use rmachine_companion::server::{Consul, Etcd, STORE};
use rmachine_driver::MachineName;
use rmachine_engine::Engine;
use rmachine_machine::StoreKind;

use super::members::{Health, Members, Peer};
use crate::bounds;

/// Lets the others know a server that will come, and returns what it has to know of them. An etcd
/// takes one new server at a time, so others may be waited for.
pub(super) async fn admission(
    members: &Members,
    kind: StoreKind,
    name: &MachineName,
    address: IpAddr,
    others: &[IpAddr],
) -> Result<Vec<String>, String> {
    const NONE: &str = "it is not known where its servers are";
    if kind == StoreKind::Consul {
        return match others.is_empty() {
            true => Err(NONE.to_owned()),
            false => Ok(others.iter().map(IpAddr::to_string).collect()),
        };
    }
    let started = Instant::now();
    loop {
        let mut why = NONE.to_owned();
        for at in others {
            let peers = members.peers(*at).await;
            match peers {
                Ok(peers) if peers.iter().any(|peer| peer.is_at(address)) => {
                    let named = peers.iter().map(|peer| peer.named(name.as_str()));
                    return Ok(named.collect());
                }
                Ok(_) => match members.add(*at, &Etcd::peer_url(address)).await {
                    Ok(()) => {}
                    Err(error) => why = error,
                },
                Err(error) => why = error,
            }
        }
        if started.elapsed() >= bounds::STORE_JOIN {
            return Err(why);
        }
        tokio::time::sleep(bounds::STORE_PAUSE).await;
    }
}

/// Waits until a server is a full part of its store, and the store has a leader.
pub(super) async fn answer(
    members: &Members,
    kind: StoreKind,
    address: IpAddr,
    others: &[IpAddr],
) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let promoted = match kind {
            StoreKind::Etcd => promotion(members, address, others).await,
            StoreKind::Consul => Ok(()),
        };
        let why = match promoted {
            Ok(()) => match members.health(kind, address).await {
                Ok(Health::Good) => return Ok(()),
                Ok(Health::NoQuorum) => "it does not count for a quorum".to_owned(),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if started.elapsed() >= bounds::STORE_ANSWER {
            return Err(why);
        }
        tokio::time::sleep(bounds::STORE_PAUSE).await;
    }
}

/// Makes a server of etcd a full one, where it is none yet.
async fn promotion(members: &Members, address: IpAddr, others: &[IpAddr]) -> Result<(), String> {
    let mut done = Ok(());
    for at in others {
        let peers = match members.peers(*at).await {
            Ok(peers) => peers,
            // Another one may know, and whether the store works its own health tells.
            Err(_) => continue,
        };
        let own = peers.iter().find(|peer| peer.is_at(address));
        let Some(own) = own.filter(|own| own.is_learner) else {
            return Ok(());
        };
        done = members.promote(*at, own).await;
        if done.is_ok() {
            break;
        }
    }
    done
}

/// Lets the others forget a server.
pub(super) async fn departure(
    members: &Members,
    kind: StoreKind,
    name: &MachineName,
    address: IpAddr,
    others: &[IpAddr],
    engine: Option<&Engine>,
) -> Result<(), String> {
    if let (StoreKind::Consul, Some(engine)) = (kind, engine) {
        // It leaves while it still counts, and then ends: it must not come back.
        let there = rmachine_companion::let_end(engine, STORE).await;
        if there.map_err(|error| error.to_string())? && members.leave(address).await.is_ok() {
            return Ok(());
        }
    }
    let mut why = Ok(());
    for at in others {
        let done = match kind {
            StoreKind::Etcd => match members.peers(*at).await {
                Ok(peers) => removal(members, *at, &peers, address).await,
                Err(error) => Err(error),
            },
            StoreKind::Consul => {
                let node = Consul::node_name(name.as_str(), address);
                members.forget(*at, &node).await
            }
        };
        match done {
            Ok(()) => return Ok(()),
            Err(error) => why = Err(error),
        }
    }
    why
}

async fn removal(
    members: &Members,
    at: IpAddr,
    peers: &[Peer],
    address: IpAddr,
) -> Result<(), String> {
    match peers.iter().find(|peer| peer.is_at(address)) {
        Some(own) => members.remove(at, own).await,
        None => Ok(()),
    }
}
