use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::node::{Image, NodeSpec, Overcommit};
use crate::{PublishedPort, State};

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

fn binding(ip: &str, host_port: &str, port: &str) -> Value {
    json!({"HostConfig": {"PortBindings": {port: [{"HostIp": ip, "HostPort": host_port}]}}})
}

#[test]
fn port_wants_free_ports() {
    let inspect = |state: &str, bindings: Value, ports: Value| {
        json!({
            "Id": "abc", "Name": "/web", "State": {"Status": state},
            "HostConfig": {"PortBindings": bindings}, "NetworkSettings": {"Ports": ports},
        })
    };
    let any = |port: &str| json!({"80/tcp": [{"HostIp": "", "HostPort": port}]});
    let one = json!({"80/tcp": [{"HostIp": "10.0.0.1", "HostPort": "80"}]});
    let udp = json!({"80/udp": [{"HostIp": "", "HostPort": "80"}]});
    let v6 = json!({"80/tcp": [{"HostIp": "::", "HostPort": "80"}]});
    let table = [
        (
            inspect("running", any("80"), any("80")),
            ("", "80", "9/tcp"),
            false,
        ),
        (
            inspect("exited", any("80"), Value::Null),
            ("", "80", "9/tcp"),
            false,
        ),
        (
            inspect("running", any(""), any("80")),
            ("", "80", "9/tcp"),
            false,
        ),
        (
            inspect("exited", any(""), Value::Null),
            ("", "80", "9/tcp"),
            true,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("", "81", "80/tcp"),
            true,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("", "", "80/tcp"),
            true,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("", "80-90", "80/tcp"),
            true,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("", "80", "80/udp"),
            true,
        ),
        (
            inspect("running", udp.clone(), udp),
            ("", "80", "80/udp"),
            false,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("10.0.0.2", "80", "9/tcp"),
            false,
        ),
        (
            inspect("running", one.clone(), one.clone()),
            ("10.0.0.2", "80", "9/tcp"),
            true,
        ),
        (
            inspect("running", one.clone(), one.clone()),
            ("10.0.0.1", "80", "9/tcp"),
            false,
        ),
        (
            inspect("running", one.clone(), one.clone()),
            ("0.0.0.0", "80", "9/tcp"),
            false,
        ),
        (
            inspect("running", one.clone(), one),
            ("::", "80", "9/tcp"),
            true,
        ),
        (
            inspect("running", v6.clone(), v6),
            ("", "80", "9/tcp"),
            false,
        ),
    ];
    for (inspect, (ip, host_port, port), expected) in table {
        let mut node = node("node-1");
        node.add(Resident::from_inspect(&inspect).expect("well formed"));
        let request = request(&binding(ip, host_port, port));
        let view = View {
            node: &node,
            absent: &[],
        };
        let accepted = Filter::Port.accepts(&view, &request);
        assert_eq!(
            accepted, expected,
            "{ip}:{host_port}->{port} beside {inspect}"
        );
        let blockers = Filter::Port.blockers(&view, &request);
        assert_eq!(blockers.is_empty(), expected);
    }
}

#[test]
fn port_looks_at_exposed_ports_on_the_hosts_network() {
    let host =
        |port: &str| json!({"ExposedPorts": {port: {}}, "HostConfig": {"NetworkMode": "host"}});
    let mut node = node("node-1");
    node.add(
        Resident::from_inspect(&json!({
            "Id": "abc", "Name": "/web", "State": {"Status": "running"},
            "Config": {"ExposedPorts": {"80/tcp": {}}},
            "HostConfig": {"NetworkMode": "host"},
        }))
        .expect("well formed"),
    );
    let table = [
        (host("80/tcp"), false),
        (host("80/udp"), true),
        (host("81/tcp"), true),
        (binding("", "80", "80/tcp"), true),
    ];
    for (config, expected) in table {
        assert_eq!(
            accepts(Filter::Port, &node, &request(&config)),
            expected,
            "{config}"
        );
    }
    let blockers = Filter::Port.blockers(
        &View {
            node: &node,
            absent: &[],
        },
        &request(&host("80/tcp")),
    );
    assert_eq!(
        blockers[0].to_string(),
        "container node-1/web holds port 80/tcp on the host's network"
    );
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
fn affinity_looks_at_containers_and_images() {
    // (expression, the busy node matches, an empty node matches)
    let table = [
        ("container==web", true, false),
        ("container==/web", false, false),
        ("container==aaaa0000", true, false),
        ("container==aaaa", false, false),
        ("container==w*", true, false),
        ("container==/^w/", true, false),
        ("container!=web", false, true),
        ("container!=cache", true, true),
        ("container==lb/backend", false, false),
        ("container==backend", false, false),
        ("container==*", true, false),
        ("container!=*", false, true),
        ("image==nginx", true, false),
        ("image==nginx:1.25", true, false),
        ("image==nginx:1.2", false, false),
        ("image==nginx:*", true, false),
        ("image==sha256:1111", true, false),
        ("image==sha256:3333", true, false),
        ("image==1111", false, false),
        ("image==reg.example.com:5000/nginx", true, false),
        ("image==reg.example.com:5000/nginx:latest", true, false),
        ("image!=nginx", false, true),
        ("image!=redis", true, true),
        ("tier==front", true, false),
        ("tier==back", true, false),
        ("tier==f*", true, false),
        ("tier==side", false, false),
        ("tier!=front", false, true),
        ("tier!=side", true, true),
        // A container without the label has it empty.
        ("extra==*", true, false),
        ("extra==/^$/", true, false),
        ("tier==/^$/", false, false),
        ("tier!=/^$/", true, true),
        ("other==/^$/", true, false),
        ("Tier==front", false, false),
    ];
    for (text, busy, empty) in table {
        let request = Request {
            affinities: vec![text.parse().expect(text)],
            ..Request::default()
        };
        assert_eq!(
            accepts(Filter::Affinity, &busy_node(), &request),
            busy,
            "{text}"
        );
        assert_eq!(
            accepts(Filter::Affinity, &node("node-2"), &request),
            empty,
            "{text}"
        );
    }
    let digest = Expression::literal("image", "nginx@sha256:2222");
    assert!(Filter::Affinity.matches(&busy_node(), &digest));
    assert!(!Filter::Affinity.matches(&node("node-2"), &digest));
}

#[test]
fn constraint_looks_at_the_node() {
    let table = [
        ("node==node-1", true),
        ("node==node-2", false),
        ("node==node-*", true),
        ("node==/node-[12]/", true),
        ("node==ID-node-1", true),
        ("node==ID-node-1|10.0.0.1:2376", true),
        ("node==ID-node-1|10.0.0.2:2376", false),
        ("node!=ID-node-1|10.0.0.2:2376", true),
        ("node==node-1|node-2", true),
        ("node==ID-node-2", false),
        ("node!=node-1", false),
        ("node!=ID-node-1", false),
        ("node!=node-2", true),
        ("node!=node-*", false),
        ("region==eu", true),
        ("region==e*", true),
        ("region==us", false),
        ("region!=us", true),
        ("region!=eu", false),
        ("storagedriver==overlay2", true),
        ("os==Debian 12.1", true),
        ("os==Debian*", true),
        ("os==/12/", true),
        ("missing==x", false),
        ("missing!=x", true),
        ("missing==*", true),
        ("missing!=*", false),
        ("Region==eu", false),
        ("region==(?i)EU", true),
    ];
    for (text, expected) in table {
        let request = Request {
            constraints: vec![text.parse().expect(text)],
            ..Request::default()
        };
        assert_eq!(
            accepts(Filter::Constraint, &node("node-1"), &request),
            expected,
            "{text}"
        );
    }
}

#[test]
fn whitelist_looks_at_whole_names() {
    let table = [
        ("node==node-1", true),
        ("anything==node-1", true),
        ("node!=node-1", true),
        ("node==node-2|node-1", true),
        ("node==node-2|node-3", false),
        ("node==node-*", false),
        ("node==ID-node-1", false),
    ];
    for (text, expected) in table {
        let request = Request {
            whitelists: vec![text.parse().expect(text)],
            ..Request::default()
        };
        assert_eq!(
            accepts(Filter::Whitelist, &node("node-1"), &request),
            expected,
            "{text}"
        );
    }
}

#[test]
fn every_hard_expression_must_hold_and_no_soft_one() {
    let table: [(&[&str], bool); 5] = [
        (&["region==eu", "node==node-1"], true),
        (&["region==eu", "node==node-2"], false),
        (&["region==~us"], true),
        (&["region==~us", "node==node-1"], true),
        (&["region==us", "node==~node-1"], false),
    ];
    for (texts, expected) in table {
        let request = Request {
            constraints: texts
                .iter()
                .map(|text| text.parse().expect("valid"))
                .collect(),
            ..Request::default()
        };
        assert_eq!(
            accepts(Filter::Constraint, &node("node-1"), &request),
            expected,
            "{texts:?}"
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
    assert!(view.is_absent("abc") && !view.is_absent(&Arc::<str>::from("abd")));
}
