//! The scheduler against a model of it that is too simple to be wrong in the same way.

#![allow(clippy::expect_used, reason = "a test that meets an error has failed")]

mod chance;
mod model;

use std::collections::BTreeMap;

use proptest::prelude::*;
use regex::Regex;
use rswarm_scheduler::node::{Image, NodeSpec, Overcommit, Resources};
use rswarm_scheduler::{
    Dependency, Expression, ExpressionError, Filter, Node, Request, Resident, SWARM_ID_LABEL,
    Scheduler, State, Strategy as Placement,
};

fn resident(container: &model::Container) -> Resident {
    let labels = container.labels.iter();
    Resident {
        name: container.name.as_str().into(),
        labels: labels
            .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
            .collect(),
        state: container.state,
        cpu_shares: container.cpu_shares,
        memory: container.memory,
        published: container.published.clone(),
        host_ports: container.host_ports.clone(),
        ..Resident::new(container.id.as_str())
    }
}

fn empty(model: &model::Node) -> Node {
    let spec = NodeSpec {
        id: model.id.clone(),
        name: model.name.clone(),
        addr: String::new(),
        labels: model.labels.iter().cloned().collect::<BTreeMap<_, _>>(),
        ignored_labels: Vec::new(),
        resources: Resources {
            cpus: model.cpus,
            memory: model.memory,
        },
    };
    let mut node = Node::new(spec, Overcommit::from_ratio(0.0).expect("valid"));
    node.set_health(model.health);
    node.set_images(model.images.iter().map(|image| Image {
        id: image.id.as_str().into(),
        tags: image.tags.iter().map(|tag| tag.as_str().into()).collect(),
        digests: Vec::new(),
    }));
    node
}

fn node(model: &model::Node) -> Node {
    let mut node = empty(model);
    for container in &model.containers {
        node.add(resident(container));
    }
    node
}

fn request(model: &model::Request) -> Request {
    let parse = |texts: &[String]| -> Vec<Expression> {
        texts
            .iter()
            .map(|text| text.parse().expect("valid"))
            .collect()
    };
    let mut request = Request {
        cpus: model.cpus,
        memory: model.memory,
        published: model.published.clone(),
        host_ports: model.host_ports.clone(),
        dependencies: model
            .volumes_from
            .iter()
            .map(|argument| Dependency {
                option: "--volumes-from",
                argument: argument.clone(),
                container: argument.trim_end_matches(":ro").to_owned(),
            })
            .collect(),
        affinities: parse(&model.affinities),
        constraints: parse(&model.constraints),
        whitelists: parse(&model.whitelists),
        ..Request::default()
    };
    request.replaces.ids.clone_from(&model.replaces);
    request
}

fn places(nodes: &[Node], request: &Request, strategy: Placement) -> Result<Vec<usize>, String> {
    Scheduler::new(strategy, Filter::ALL)
        .select(nodes, request, &mut |_| 0)
        .map_err(|error| error.to_string())
}

fn share_a_port(one: &model::Request, two: &model::Request) -> bool {
    one.published
        .iter()
        .any(|port| two.published.iter().any(|other| model::clash(port, other)))
        || one
            .host_ports
            .iter()
            .any(|port| two.host_ports.contains(port))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// The choice, its order and the error's text are those of the model.
    #[test]
    fn chooses_like_the_model(
        cluster in chance::nodes(),
        wanted in chance::request(),
        binpack: bool,
    ) {
        let strategy = if binpack { Placement::Binpack } else { Placement::Spread };
        let nodes: Vec<Node> = cluster.iter().map(node).collect();
        let expected = model::select(&cluster, &wanted, strategy);
        prop_assert_eq!(places(&nodes, &request(&wanted), strategy), expected);
    }

    /// A node to which much has happened is like one that was told the outcome only.
    #[test]
    fn remembers_nothing_that_has_gone(
        mut cluster in chance::nodes(),
        others in prop::collection::vec((0..6usize, 0..8usize, chance::container()), 0..40),
        wanted in chance::request(),
    ) {
        let mut nodes: Vec<Node> = cluster.iter().map(node).collect();
        for (nth, place, container) in others {
            let Some(model) = cluster.get_mut(nth) else { continue };
            let id = format!("{nth}{place}cccccccccc");
            let old = model.containers.iter().position(|container| container.id == id);
            match (old, container.state) {
                (Some(old), State::Exited) => {
                    model.containers.remove(old);
                    prop_assert!(nodes[nth].remove(&id).is_some());
                }
                (Some(old), State::Paused) => {
                    model.containers[old].state = State::Paused;
                    nodes[nth].set_state(&id, State::Paused);
                }
                (old, _) => {
                    let container = model::Container { id, name: format!("c{place}"), ..container };
                    nodes[nth].add(resident(&container));
                    model.containers.retain(|there| there.id != container.id);
                    model.containers.insert(old.unwrap_or_default(), container);
                }
            }
        }
        for (model, seen) in cluster.iter().zip(&nodes) {
            let fresh = node(model);
            prop_assert_eq!(seen.used(), fresh.used());
            prop_assert_eq!(seen.counts(), fresh.counts());
            prop_assert!(seen.residents().eq(fresh.residents()));
        }
        let expected = model::select(&cluster, &wanted, Placement::Spread);
        prop_assert_eq!(places(&nodes, &request(&wanted), Placement::Spread), expected);
    }

    /// Whatever comes at once, goes wrong or goes away in between: what a node has is given away
    /// once.
    #[test]
    fn never_overbooks(
        cluster in chance::nodes(),
        wanted in prop::collection::vec((chance::request(), 0..4u8), 1..60),
        binpack: bool,
    ) {
        let strategy = if binpack { Placement::Binpack } else { Placement::Spread };
        let mut nodes: Vec<Node> = cluster.iter().map(empty).collect();
        let mut given: Vec<(usize, String, model::Request)> = Vec::new();
        for (nth, (wanted, fate)) in wanted.into_iter().enumerate() {
            let asked = model::Request {
                // Replacing takes away what was given before.
                replaces: Vec::new(),
                volumes_from: Vec::new(),
                ..wanted
            };
            let asked_for = request(&asked);
            if let Ok(places) = places(&nodes, &asked_for, strategy) {
                let place = places[0];
                let id = format!("swarm-{nth}");
                nodes[place].reserve(&id, &asked_for);
                given.push((place, id, asked));
            }
            let settled = given.len() / 2;
            match fate {
                // The engine has created one.
                0 if settled < given.len() => {
                    let (place, id, asked) = &given[settled];
                    let real = Resident {
                        labels: vec![(SWARM_ID_LABEL.into(), id.as_str().into())],
                        cpu_shares: nodes[*place].cpu_shares(asked.cpus),
                        memory: asked.memory,
                        published: asked.published.clone(),
                        host_ports: asked.host_ports.clone(),
                        ..Resident::new(format!("real-{id}"))
                    };
                    nodes[*place].add(real);
                }
                // The engine has refused one, or it was removed.
                1 if settled < given.len() => {
                    let (place, id, _) = given.remove(settled);
                    let pending = nodes[place].remove(&id);
                    let real = nodes[place].remove(&format!("real-{id}"));
                    prop_assert!(pending.is_some() != real.is_some());
                }
                _ => {}
            }
            for (place, (node, model)) in nodes.iter().zip(&cluster).enumerate() {
                let here: Vec<_> = given.iter().filter(|(at, ..)| *at == place).collect();
                prop_assert_eq!(node.residents().len(), here.len());
                let cpus: u64 = here.iter().map(|(.., asked)| asked.cpus).sum();
                let memory: u64 = here.iter().map(|(.., asked)| asked.memory).sum();
                prop_assert_eq!(node.used(), Resources { cpus, memory });
                prop_assert!(cpus <= model.cpus && memory <= model.memory);
                for (one, (.., first)) in here.iter().enumerate() {
                    for (.., second) in &here[one + 1..] {
                        prop_assert!(!share_a_port(first, second));
                    }
                }
            }
        }
    }

    /// The grammar is the one of the original's regular expressions.
    #[test]
    fn reads_what_the_grammar_allows(
        text in r"[a-zA-Z0-9_.=!~/*?()+\[\]|^$\\@ :-]{0,4}(==|!=)?[a-z0-9=!~/*?()+\[\]|^$\\@,. :-]{0,6}",
    ) {
        let key = Regex::new(r"^(?i-u)[a-z_][a-z0-9\-_.]+$").expect("valid");
        let value = Regex::new(r"^(?i-u)[=!/]?~?[a-z0-9:\-_\s.*/()?+\[\]\\^$|]+$").expect("valid");
        let operator = ["==", "!="].into_iter().find(|operator| text.contains(operator));
        let parts = operator.and_then(|operator| text.split_once(operator));
        match (Expression::parse(&text), parts) {
            (Err(ExpressionError::NoOperator), None) => {}
            (Err(ExpressionError::Key(seen)), Some((typed, _))) => {
                prop_assert_eq!(&seen, typed);
                prop_assert!(!key.is_match(typed));
            }
            (Err(ExpressionError::Value(seen)), Some((_, typed))) => {
                prop_assert_eq!(&seen, typed);
                let wanted = typed.trim_start_matches('~');
                let inner = wanted.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
                let glob = format!("^{}$", wanted.replace('*', ".*"));
                let pattern = inner.map_or(glob, str::to_owned);
                prop_assert!(!value.is_match(typed) || Regex::new(&pattern).is_err());
            }
            (Ok(expression), Some((left, right))) => {
                prop_assert!(key.is_match(left) && value.is_match(right));
                prop_assert_eq!(expression.key(), left);
                prop_assert_eq!(expression.is_soft(), right.starts_with('~'));
                prop_assert_eq!(expression.to_string(), text);
            }
            (parsed, parts) => prop_assert!(false, "{parsed:?} from {parts:?}"),
        }
    }

    #[test]
    fn no_text_is_too_strange_to_be_read(text: String) {
        let _ = Expression::parse(&text);
        let _ = Expression::parse(&format!("node=={text}"));
    }
}
