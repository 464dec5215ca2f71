use serde_json::{Value, json};

use super::*;
use crate::node::{Image, NodeSpec, Overcommit};
use crate::{PublishedPort, State};

mod expressions;
mod port;

fn node(name: &str) -> Node {
    let labels = [
        ("region", "eu"),
        ("storagedriver", "overlay2"),
        ("os", "Debian 12.1"),
    ];
    Node::new(
        NodeSpec {
            id: format!("ID-{name}|10.0.0.1:2376"),
            name: name.to_owned(),
            addr: "10.0.0.1:2376".to_owned(),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ignored_labels: Vec::new(),
            resources: Resources {
                cpus: 2,
                memory: 1000,
            },
        },
        Overcommit::default(),
    )
}

/// A node with `web` and `db`, and two images.
fn busy_node() -> Node {
    let mut node = node("node-1");
    node.add(Resident {
        name: "web".into(),
        aliases: vec!["lb/backend".into()],
        labels: vec![
            ("tier".into(), "front".into()),
            ("extra".into(), "1".into()),
        ],
        ..Resident::new("aaaa0000")
    });
    node.add(Resident {
        name: "db".into(),
        labels: vec![("tier".into(), "back".into())],
        state: State::Exited,
        ..Resident::new("bbbb0000")
    });
    node.set_images([
        Image {
            id: "sha256:1111".into(),
            tags: vec![
                "nginx:1.25".into(),
                "reg.example.com:5000/nginx:latest".into(),
            ],
            digests: vec!["nginx@sha256:2222".into()],
        },
        Image {
            id: "sha256:3333".into(),
            ..Image::default()
        },
    ]);
    node
}

fn request(config: &Value) -> Request {
    Request::from_config(config).expect("valid")
}

fn accepts(filter: Filter, node: &Node, request: &Request) -> bool {
    filter.accepts(&View { node, absent: &[] }, request)
}

#[test]
fn names() {
    for filter in Filter::ALL {
        assert_eq!(filter.name().parse(), Ok(filter));
    }
    assert_eq!("Health".parse::<Filter>(), Err(UnknownFilter));
    assert_eq!(UnknownFilter.to_string(), "filter not supported");
}

#[test]
fn health_wants_a_node_that_answers() {
    let mut node = node("node-1");
    for (percent, expected) in [(100, true), (34, true), (1, true), (0, false)] {
        node.set_health(percent);
        assert_eq!(
            accepts(Filter::Health, &node, &Request::default()),
            expected
        );
    }
}

#[test]
fn containerslots_wants_room_for_one_more() {
    let table = [
        ("3", true),
        ("2", false),
        ("1", false),
        ("0", false),
        ("-1", false),
        ("many", true),
    ];
    for (slots, expected) in table {
        let mut node = busy_node();
        let mut spec = node.spec().clone();
        spec.labels.insert("containerslots".into(), slots.into());
        node.set_spec(spec);
        assert_eq!(
            accepts(Filter::ContainerSlots, &node, &Request::default()),
            expected,
            "{slots}"
        );
    }
    assert!(accepts(
        Filter::ContainerSlots,
        &busy_node(),
        &Request::default()
    ));
}

#[test]
fn dependency_wants_all_containers_there() {
    let with = |field: &str, value: Value| json!({"HostConfig": {field: value}});
    let table = [
        (json!({}), true),
        (with("VolumesFrom", json!(["web"])), true),
        (with("VolumesFrom", json!(["web:ro"])), true),
        (with("VolumesFrom", json!(["cache:ro"])), false),
        (with("VolumesFrom", json!(["web", "cache"])), false),
        (with("Links", json!(["web:w", "db:d"])), true),
        (with("Links", json!(["/web:/x/w"])), true),
        (with("Links", json!(["cache:c"])), false),
        (with("NetworkMode", json!("container:web")), true),
        (with("NetworkMode", json!("container:aaaa")), true),
        (with("NetworkMode", json!("container:cache")), false),
        (with("NetworkMode", json!("bridge")), true),
        (with("PidMode", json!("container:web")), true),
        (with("PidMode", json!("container:cache")), false),
        (with("PidMode", json!("host")), true),
        (with("IpcMode", json!("container:cache")), false),
        (with("IpcMode", json!("shareable")), true),
    ];
    let node = busy_node();
    for (config, expected) in table {
        assert_eq!(
            accepts(Filter::Dependency, &node, &request(&config)),
            expected,
            "{config}"
        );
    }
}

#[test]
fn conditions_are_in_the_words_of_the_original() {
    let config = json!({
        "Env": [
            "constraint:node==~node-9", "constraint:region!=eu",
            "affinity:image==x", "affinity:container!=~y", "whitelist:node==a|b",
        ],
        "HostConfig": {
            "VolumesFrom": ["x:ro"], "Links": ["y:z"], "NetworkMode": "container:n",
            "PortBindings": {
                "80/tcp": [{"HostPort": "80"}, {"HostPort": "81"}], "9/tcp": [{"HostPort": ""}],
            },
        },
    });
    let request = request(&config);
    let host = self::request(&json!({
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "HostConfig": {"NetworkMode": "host"},
    }));
    let table: [(Filter, &Request, &[&str]); 8] = [
        (Filter::Health, &request, &[]),
        (
            Filter::Port,
            &request,
            &["port 80 (Bridge mode)", "port 81 (Bridge mode)"],
        ),
        (
            Filter::Port,
            &host,
            &["port 80/tcp (Host mode)", "port 53/udp (Host mode)"],
        ),
        (
            Filter::ContainerSlots,
            &request,
            &["available container slots"],
        ),
        (
            Filter::Dependency,
            &request,
            &["--volumes-from=x:ro", "--link=y:z", "--net=container:n"],
        ),
        (
            Filter::Affinity,
            &request,
            &["image==x (soft=false)", "container!=y (soft=true)"],
        ),
        (
            Filter::Constraint,
            &request,
            &["node==node-9", "region!=eu"],
        ),
        (Filter::Whitelist, &request, &["node==a|b (soft=false)"]),
    ];
    for (filter, request, expected) in table {
        assert_eq!(filter.conditions(request), expected, "{filter}");
    }
}

#[test]
fn a_view_leaves_out_what_makes_way() {
    let mut node = node("node-1");
    let port = PublishedPort {
        port: crate::Port::parse("80").expect("valid"),
        ip: None,
    };
    node.add(Resident {
        published: vec![port],
        memory: 100,
        cpu_shares: 512,
        ..Resident::new("abc")
    });
    let request = Request {
        published: vec![port],
        ..Request::default()
    };
    assert!(!accepts(Filter::Port, &node, &request));
    let resident = node.resident("abc").expect("there").clone();
    let view = View {
        node: &node,
        absent: &[&resident],
    };
    assert!(Filter::Port.accepts(&view, &request));
    assert_eq!(view.count(), 0);
    assert_eq!(view.used(), Resources::default());
    assert!(view.is_absent("abc") && !view.is_absent("abd"));
}
