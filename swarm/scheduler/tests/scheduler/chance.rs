//! Clusters and requests by chance: few names, so that they meet.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rswarm_scheduler::{Port, PublishedPort, State};

use super::model::{Container, Image, Node, Request};

fn labels(keys: &'static [&'static str]) -> impl Strategy<Value = Vec<(String, String)>> {
    let values = vec(select(&["one", "two", "1.5", ""][..]), keys.len());
    (subsequence(keys, 0..=keys.len()), values).prop_map(|(keys, values)| {
        let pairs = keys.into_iter().zip(values);
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    })
}

fn port() -> impl Strategy<Value = Port> {
    select(&["80/tcp", "80/udp", "81/tcp", "53/udp"][..])
        .prop_map(|port| Port::parse(port).expect("valid"))
}

fn published() -> impl Strategy<Value = PublishedPort> {
    let ips = &["", "", "0.0.0.0", "::", "10.0.0.1", "10.0.0.2", "fd00::1"][..];
    (port(), select(ips)).prop_map(|(port, ip)| PublishedPort {
        port,
        ip: ip.parse().ok(),
    })
}

/// The containers' ids are set where they go.
pub fn container() -> impl Strategy<Value = Container> {
    let states = [State::Running, State::Paused, State::Exited, State::Created];
    (
        labels(&["tier", "rank"]),
        select(states.to_vec()),
        prop_oneof![Just(0), 1..600u64],
        prop_oneof![Just(0), 1..60u64],
        vec(published(), 0..3),
        vec(port(), 0..2),
    )
        .prop_map(
            |(labels, state, cpu_shares, memory, mut published, host_ports)| {
                published.sort_unstable();
                published.dedup();
                Container {
                    id: String::new(),
                    name: String::new(),
                    labels,
                    state,
                    cpu_shares,
                    memory,
                    published,
                    host_ports,
                }
            },
        )
}

fn image() -> impl Strategy<Value = Image> {
    let tags = &["nginx:1", "nginx:1.5", "reg:5000/nginx:1", "redis:1"][..];
    (
        select(&["sha256:1", "sha256:2", "sha256:3"][..]),
        subsequence(tags, 0..=2),
    )
        .prop_map(|(id, tags)| Image {
            id: id.to_owned(),
            tags: tags.into_iter().map(str::to_owned).collect(),
        })
}

pub fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let node = (
        labels(&["region", "disk"]),
        option::weighted(0.3, 0..6usize),
        1..9u64,
        50..200u64,
        select(&[0, 34, 100, 100, 100][..]),
        vec(container(), 0..6),
        vec(image(), 0..3),
    );
    vec(node, 0..6).prop_map(|nodes| {
        let nodes = nodes.into_iter().enumerate();
        nodes
            .map(
                |(nth, (mut labels, slots, cpus, memory, health, containers, images))| {
                    labels.extend(
                        slots.map(|slots| ("containerslots".to_owned(), slots.to_string())),
                    );
                    let containers = containers.into_iter().enumerate();
                    Node {
                        name: format!("node-{nth}"),
                        // Two engines in a row are clones.
                        id: format!("ID{}|10.0.0.{nth}:2376", nth / 2),
                        labels,
                        cpus,
                        memory,
                        health,
                        containers: containers
                            .map(|(place, container)| Container {
                                id: format!("{nth}{place}cccccccccc"),
                                name: format!("c{place}"),
                                ..container
                            })
                            .collect(),
                        images,
                    }
                },
            )
            .collect()
    })
}

fn expression(
    keys: &'static [&'static str],
    values: &'static [&'static str],
) -> impl Strategy<Value = String> {
    (
        select(keys),
        select(&["==", "!=", "==~", "!=~"][..]),
        select(values),
    )
        .prop_map(|(key, operator, value)| format!("{key}{operator}{value}"))
}

pub fn request() -> impl Strategy<Value = Request> {
    let affinity = expression(
        &["container", "image", "tier", "rank", "none"],
        &[
            "c0",
            "c1",
            "c*",
            "/c[12]/",
            "00cccccccccc",
            "0*",
            "nginx",
            "nginx:1.5",
            "nginx:*",
            "reg:5000/nginx",
            "sha256:2",
            "one",
            "two",
            "o?ne",
            "1.5",
            "*",
            "/^$/",
            "//",
            "x|o",
        ],
    );
    let constraint = expression(
        &["node", "node", "region", "disk", "none"],
        &[
            "node-0", "node-1", "node-*", "/[02]$/", "ID0", "ID0*", "one", "two", "1.5", "*", "//",
        ],
    );
    let whitelist = expression(
        &["node", "other"],
        &["node-0", "node-1|node-2", "node-1|node-3|x", "node-*", "x"],
    );
    (
        prop_oneof![3 => Just(0), 1 => 1..9u64],
        prop_oneof![3 => Just(0), 1 => 1..200u64],
        vec(published(), 0..2),
        vec(port(), 0..2),
        vec(
            select(&["c0", "c1:ro", "c5"][..]).prop_map(str::to_owned),
            0..2,
        ),
        vec(affinity, 0..3),
        vec(constraint, 0..3),
        vec(whitelist, 0..2),
        subsequence(&["00", "11", "20", "32"][..], 0..=2),
    )
        .prop_map(
            |(
                cpus,
                memory,
                published,
                host_ports,
                volumes_from,
                affinities,
                constraints,
                whitelists,
                replaced,
            )| {
                Request {
                    cpus,
                    memory,
                    published,
                    host_ports,
                    volumes_from,
                    affinities,
                    constraints,
                    whitelists,
                    replaces: replaced
                        .into_iter()
                        .map(|id| format!("{id}cccccccccc"))
                        .collect(),
                }
            },
        )
}
