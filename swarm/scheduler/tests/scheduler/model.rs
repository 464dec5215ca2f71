//! The scheduler once more, as plainly as can be: lists that are walked for every question, and
//! filters that narrow a list of nodes one after the other, as the original did.

use std::net::IpAddr;

use regex::Regex;
use rswarm_scheduler::{Filter, Port, PublishedPort, State, Strategy};

#[derive(Clone, Debug, Default)]
pub struct Node {
    pub name: String,
    pub id: String,
    pub labels: Vec<(String, String)>,
    pub cpus: u64,
    pub memory: u64,
    pub health: u8,
    pub containers: Vec<Container>,
    pub images: Vec<Image>,
}

#[derive(Clone, Debug)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub state: State,
    pub cpu_shares: u64,
    pub memory: u64,
    pub published: Vec<PublishedPort>,
    pub host_ports: Vec<Port>,
}

#[derive(Clone, Debug)]
pub struct Image {
    pub id: String,
    pub tags: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Request {
    pub cpus: u64,
    pub memory: u64,
    pub published: Vec<PublishedPort>,
    pub host_ports: Vec<Port>,
    pub volumes_from: Vec<String>,
    pub affinities: Vec<String>,
    pub constraints: Vec<String>,
    pub whitelists: Vec<String>,
    pub replaces: Vec<String>,
}

struct Expression {
    key: String,
    equal: bool,
    value: String,
    regex: Regex,
}

/// Nodes by their places, the best first; or the text of the error.
pub fn select(nodes: &[Node], request: &Request, strategy: Strategy) -> Result<Vec<usize>, String> {
    // Soft expressions that are kept so far, one bit each in their order.
    let wishes: Vec<(Filter, &String)> = [
        (Filter::Affinity, &request.affinities),
        (Filter::Constraint, &request.constraints),
        (Filter::Whitelist, &request.whitelists),
    ]
    .into_iter()
    .flat_map(|(filter, texts)| texts.iter().map(move |text| (filter, text)))
    .filter(|(_, text)| is_soft(text))
    .collect();
    let hard = |texts: &[String]| {
        texts
            .iter()
            .filter(|text| !is_soft(text))
            .cloned()
            .collect()
    };
    let mut kept = Request {
        affinities: hard(&request.affinities),
        constraints: hard(&request.constraints),
        whitelists: hard(&request.whitelists),
        ..request.clone()
    };
    let mut best = either_way(nodes, &kept, request, strategy)?;
    for (filter, wish) in wishes {
        let mut with = kept.clone();
        let list = match filter {
            Filter::Affinity => &mut with.affinities,
            Filter::Constraint => &mut with.constraints,
            _ => &mut with.whitelists,
        };
        list.push(wish.clone());
        if let Ok(better) = either_way(nodes, &with, request, strategy) {
            best = better;
            kept = with;
        }
    }
    Ok(best)
}

/// First with all containers where they are, then without those that are replaced.
fn either_way(
    nodes: &[Node],
    kept: &Request,
    asked: &Request,
    strategy: Strategy,
) -> Result<Vec<usize>, String> {
    let as_it_is = one_way(nodes, kept, asked, strategy, &[]);
    if as_it_is.is_ok() || kept.replaces.is_empty() {
        return as_it_is;
    }
    one_way(nodes, kept, asked, strategy, &kept.replaces)
}

fn one_way(
    nodes: &[Node],
    kept: &Request,
    asked: &Request,
    strategy: Strategy,
    absent: &[String],
) -> Result<Vec<usize>, String> {
    let mut left: Vec<usize> = (0..nodes.len()).collect();
    for (nth, filter) in Filter::ALL.into_iter().enumerate() {
        left.retain(|&index| accepts(filter, &nodes[index], kept, absent));
        if left.is_empty() {
            return Err(if filter == Filter::Health {
                "No healthy node available in the cluster".to_owned()
            } else {
                let head = "Unable to find a node that satisfies the following conditions ";
                let lists = Filter::ALL[..=nth]
                    .iter()
                    .map(|filter| conditions(*filter, asked));
                head.to_owned() + &lists.collect::<String>()
            });
        }
    }
    let mut weighed: Vec<(i64, usize, usize)> = left
        .into_iter()
        .filter_map(|index| {
            let node = &nodes[index];
            Some((
                weight(node, kept, strategy, absent)?,
                node.containers.len(),
                index,
            ))
        })
        .collect();
    if weighed.is_empty() {
        return Err("no resources available to schedule container".to_owned());
    }
    match strategy {
        Strategy::Spread => weighed.sort_by_key(|&(weight, count, _)| (weight, count)),
        _ => weighed
            .sort_by_key(|&(weight, count, index)| (-weight, std::cmp::Reverse(count), index)),
    }
    Ok(weighed.into_iter().map(|(_, _, index)| index).collect())
}

fn weight(node: &Node, request: &Request, strategy: Strategy, absent: &[String]) -> Option<i64> {
    let there = || {
        node.containers
            .iter()
            .filter(|container| !absent.contains(&container.id))
    };
    let used_cpus: u64 = there().map(|it| it.cpu_shares * node.cpus / 1024).sum();
    let used_memory: u64 = there().map(|it| it.memory).sum();
    let percent = |used: u64, wanted: u64, total: u64| match wanted {
        0 => Some(100),
        _ if used + wanted > total => None,
        _ => Some(i64::try_from((used + wanted) * 100 / total).expect("small")),
    };
    let health = i64::from(node.health)
        * if strategy == Strategy::Spread {
            -10
        } else {
            10
        };
    Some(
        percent(used_cpus, request.cpus, node.cpus)?
            + percent(used_memory, request.memory, node.memory)?
            + health,
    )
}

fn accepts(filter: Filter, node: &Node, request: &Request, absent: &[String]) -> bool {
    let there = || {
        node.containers
            .iter()
            .filter(|container| !absent.contains(&container.id))
    };
    match filter {
        Filter::Health => node.health > 0,
        Filter::Port => there().all(|container| {
            !request
                .published
                .iter()
                .any(|wanted| container.published.iter().any(|held| clash(wanted, held)))
                && !request
                    .host_ports
                    .iter()
                    .any(|wanted| container.host_ports.contains(wanted))
        }),
        Filter::ContainerSlots => label(&node.labels, "containerslots")
            .and_then(|slots| slots.parse::<usize>().ok())
            .is_none_or(|slots| there().count() < slots),
        Filter::Dependency => request.volumes_from.iter().all(|volume| {
            let name = volume.split(':').next().expect("one part");
            node.containers
                .iter()
                .any(|container| container.name == name)
        }),
        Filter::Affinity => all(&request.affinities, |expression| affinity(node, expression)),
        Filter::Constraint => all(&request.constraints, |expression| {
            let values = if expression.key == "node" {
                let bare = node.id.split('|').next().expect("one part").to_owned();
                vec![node.name.clone(), node.id.clone(), bare]
            } else {
                vec![label(&node.labels, &expression.key).unwrap_or_default()]
            };
            any_matches(expression, &values)
        }),
        Filter::Whitelist => all(&request.whitelists, |expression| {
            expression.value.split('|').any(|name| name == node.name)
        }),
    }
}

fn affinity(node: &Node, expression: &Expression) -> bool {
    let mut values = Vec::new();
    match expression.key.as_str() {
        "container" => {
            for container in &node.containers {
                values.extend([container.id.clone(), container.name.clone()]);
            }
        }
        "image" => {
            for image in &node.images {
                values.push(image.id.clone());
                for tag in &image.tags {
                    let repository = tag.rsplit_once(':').expect("a tag").0;
                    values.extend([tag.clone(), repository.to_owned()]);
                }
            }
        }
        key => {
            for container in &node.containers {
                values.push(label(&container.labels, key).unwrap_or_default());
            }
        }
    }
    any_matches(expression, &values)
}

pub fn clash(one: &PublishedPort, two: &PublishedPort) -> bool {
    let any = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
    let same_family = match (one.ip, two.ip) {
        (Some(one), Some(two)) => one.is_ipv4() == two.is_ipv4(),
        _ => true,
    };
    one.port.number == two.port.number
        && one.port.protocol == two.port.protocol
        && same_family
        && (one.ip == two.ip || any(one.ip) || any(two.ip))
}

fn conditions(filter: Filter, request: &Request) -> String {
    let list: Vec<String> = match filter {
        Filter::Health => Vec::new(),
        Filter::Port => {
            let published = request.published.iter();
            let on_host = request.host_ports.iter();
            published
                .map(|port| format!("port {} (Bridge mode)", port.port.number))
                .chain(on_host.map(|port| format!("port {port} (Host mode)")))
                .collect()
        }
        Filter::ContainerSlots => vec!["available container slots".to_owned()],
        Filter::Dependency => request
            .volumes_from
            .iter()
            .map(|it| format!("--volumes-from={it}"))
            .collect(),
        Filter::Constraint => request
            .constraints
            .iter()
            .map(|it| it.replace('~', ""))
            .collect(),
        Filter::Affinity | Filter::Whitelist => {
            let texts = if filter == Filter::Affinity {
                &request.affinities
            } else {
                &request.whitelists
            };
            texts
                .iter()
                .map(|it| format!("{} (soft={})", it.replace('~', ""), it.contains('~')))
                .collect()
        }
    };
    if list.is_empty() {
        String::new()
    } else {
        format!("\n[{}]", list.join(" "))
    }
}

fn all(texts: &[String], holds: impl Fn(&Expression) -> bool) -> bool {
    texts.iter().all(|text| holds(&parse(text)))
}

fn is_soft(text: &str) -> bool {
    text.contains("=~")
}

fn parse(text: &str) -> Expression {
    let equal = text.contains("==");
    let (key, value) = text
        .split_once(if equal { "==" } else { "!=" })
        .expect("an operator");
    let value = value.trim_start_matches('~');
    let inner = value
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'));
    let glob = format!("^{}$", value.replace('*', ".*"));
    Expression {
        key: key.to_owned(),
        equal,
        value: value.to_owned(),
        regex: Regex::new(inner.unwrap_or(&glob)).expect("valid"),
    }
}

fn any_matches(expression: &Expression, values: &[String]) -> bool {
    let matches = values.iter().any(|value| expression.regex.is_match(value));
    matches == expression.equal
}

fn label(labels: &[(String, String)], key: &str) -> Option<String> {
    labels
        .iter()
        .find(|(label, _)| label == key)
        .map(|(_, value)| value.clone())
}
