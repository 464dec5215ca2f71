use serde_json::{Value, json};

use super::*;
use crate::node::{NodeSpec, Overcommit, Resources};
use crate::{Port, PublishedPort, State};

fn node(name: &str, cpus: u64, memory: u64) -> Node {
    let spec = NodeSpec {
        id: format!("{name}|a:1"),
        name: name.to_owned(),
        addr: "a:1".to_owned(),
        labels: [("region".to_owned(), name.to_owned())].into(),
        ignored_labels: Vec::new(),
        resources: Resources { cpus, memory },
    };
    Node::new(spec, Overcommit::from_ratio(0.0).expect("valid"))
}

fn three() -> Vec<Node> {
    ["a", "b", "c"].map(|name| node(name, 4, 1000)).into()
}

fn request(config: &Value) -> Request {
    Request::from_config(config).expect("valid")
}

fn asking(cpus: u64, memory: u64) -> Request {
    Request {
        cpus,
        memory,
        ..Request::default()
    }
}

fn publishing(port: &str) -> Request {
    request(&json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": port}]}}}))
}

fn select(
    strategy: Strategy,
    nodes: &[Node],
    request: &Request,
) -> Result<Vec<usize>, Unschedulable> {
    Scheduler::new(strategy, Filter::ALL).select(nodes, request, &mut |_| 0)
}

fn spread(nodes: &[Node], request: &Request) -> Result<Vec<usize>, Unschedulable> {
    select(Strategy::Spread, nodes, request)
}

fn holding(id: &str, name: &str, state: State, port: &str) -> Resident {
    Resident {
        name: name.into(),
        state,
        published: vec![PublishedPort {
            port: Port::parse(port).expect(port),
            ip: None,
        }],
        ..Resident::new(id)
    }
}

#[test]
fn spread_goes_round_and_binpack_fills_up() {
    let places = |strategy, request: &Request| {
        let mut nodes = three();
        (0..6)
            .map(|nth| {
                let best = select(strategy, &nodes, request).expect("room")[0];
                nodes[best].reserve(&format!("s{nth}"), request);
                best
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        places(Strategy::Spread, &Request::default()),
        [0, 1, 2, 0, 1, 2]
    );
    assert_eq!(
        places(Strategy::Spread, &asking(1, 100)),
        [0, 1, 2, 0, 1, 2]
    );
    assert_eq!(places(Strategy::Binpack, &Request::default()), [0; 6]);
    assert_eq!(places(Strategy::Binpack, &asking(1, 0)), [0, 0, 0, 0, 1, 1]);
    assert_eq!(
        places(Strategy::Binpack, &asking(0, 500)),
        [0, 0, 1, 1, 2, 2]
    );
}

#[test]
fn one_failure_weighs_more_than_all_that_is_used() {
    let mut nodes = three();
    nodes[0].set_health(67);
    nodes[1].reserve("s1", &asking(3, 900));
    nodes[2].set_health(0);
    assert_eq!(spread(&nodes, &asking(1, 100)), Ok(vec![1, 0]));
    assert_eq!(
        select(Strategy::Binpack, &nodes, &asking(1, 100)),
        Ok(vec![1, 0])
    );
}

#[test]
fn stopped_containers_count_like_others() {
    let mut nodes = three();
    nodes[0].add(Resident {
        state: State::Exited,
        memory: 600,
        ..Resident::new("x")
    });
    assert_eq!(spread(&nodes, &asking(0, 500)), Ok(vec![1, 2]));
    assert_eq!(spread(&nodes, &Request::default()), Ok(vec![1, 2, 0]));
}

#[test]
fn random_shuffles_and_does_not_look_at_resources() {
    let nodes = three();
    let scheduler = Scheduler::new(Strategy::Random, Filter::ALL);
    let mut seed = 1;
    let mut firsts = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let mut random = |below| {
            seed = (seed * 75 + 74) % 65_537;
            seed % below
        };
        let mut places = scheduler
            .select(&nodes, &asking(100, 1), &mut random)
            .expect("any");
        firsts.insert(places[0]);
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2]);
    }
    assert_eq!(firsts.len(), 3);
    // A number that is too large does no harm.
    assert!(
        scheduler
            .select(&nodes, &Request::default(), &mut |_| usize::MAX)
            .is_ok()
    );
}

#[test]
fn a_wish_is_given_up_only_where_it_cannot_be_had() {
    let table: [(&[&str], &[usize]); 8] = [
        (&["constraint:region==~b"], &[1]),
        (&["constraint:region==~x"], &[0, 1, 2]),
        (&["constraint:region==~x", "constraint:region==~b"], &[1]),
        (&["constraint:region==~b", "constraint:region==~x"], &[1]),
        // The first of two that exclude each other is kept.
        (&["constraint:region==~b", "constraint:region==~c"], &[1]),
        (&["affinity:container==~web", "constraint:region==~b"], &[2]),
        (&["constraint:region!=b", "constraint:region==~b"], &[0, 2]),
        (&["whitelist:node==~b|c", "whitelist:node==~c|a"], &[2]),
    ];
    let mut nodes = three();
    nodes[2].add(Resident {
        name: "web".into(),
        ..Resident::new("w")
    });
    for (env, expected) in table {
        let mut places = spread(&nodes, &request(&json!({"Env": env}))).expect("room");
        places.sort_unstable();
        assert_eq!(places, expected, "{env:?}");
    }
}

#[test]
fn a_wish_is_given_up_when_its_node_is_full() {
    let mut nodes = three();
    nodes[1].reserve("s1", &asking(0, 1000));
    let mut wanted = request(&json!({"Env": ["constraint:region==~b"]}));
    assert_eq!(spread(&nodes, &wanted), Ok(vec![1]));
    wanted.memory = 1;
    assert_eq!(spread(&nodes, &wanted), Ok(vec![0, 2]));
}

#[test]
fn filters_that_are_not_in_use_refuse_nothing() {
    let nodes = three();
    let scheduler = Scheduler::new(Strategy::Spread, [Filter::Health]);
    let wanted = request(&json!({"Env": ["constraint:region==x", "constraint:region==~b"]}));
    assert_eq!(
        scheduler.select(&nodes, &wanted, &mut |_| 0),
        Ok(vec![0, 1, 2])
    );
}

#[test]
fn errors_are_in_the_words_of_the_original() {
    let conditions = "Unable to find a node that satisfies the following conditions ";
    let mut nodes = three();
    for (nth, node) in nodes.iter_mut().enumerate() {
        node.add(holding(&format!("c{nth}"), "web", State::Exited, "80"));
    }
    let table = [
        (
            json!({"HostConfig": {"Memory": 1001}}),
            "no resources available to schedule container".to_owned(),
        ),
        (
            json!({"HostConfig": {"CpuShares": 5}}),
            "no resources available to schedule container".to_owned(),
        ),
        (
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "80"}, {"HostPort": "81"}]}}}),
            format!("{conditions}\n[port 80 (Bridge mode) port 81 (Bridge mode)]"),
        ),
        (
            json!({"HostConfig": {"VolumesFrom": ["x"], "Links": ["y:z"]}}),
            format!("{conditions}\n[available container slots]\n[--volumes-from=x --link=y:z]"),
        ),
        (
            json!({"Env": ["affinity:image==x"]}),
            format!("{conditions}\n[available container slots]\n[image==x (soft=false)]"),
        ),
        (
            json!({
                "Env": ["constraint:node==node-9", "affinity:container==web", "whitelist:node==a"],
                "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "81"}]}},
            }),
            format!(
                "{conditions}\n[port 81 (Bridge mode)]\n[available container slots]\
                 \n[container==web (soft=false)]\n[node==node-9]"
            ),
        ),
        (
            json!({"Env": ["whitelist:node==x", "constraint:region==~y"]}),
            format!(
                "{conditions}\n[available container slots]\n[region==y]\n[node==x (soft=false)]"
            ),
        ),
    ];
    for (config, expected) in table {
        let error = spread(&nodes, &request(&config)).expect_err(&expected);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn no_node_and_no_healthy_node() {
    let none: [Node; 0] = [];
    let text = |error: Unschedulable| error.to_string();
    let unhealthy = "No healthy node available in the cluster";
    assert_eq!(
        spread(&none, &publishing("80")).map_err(text),
        Err(unhealthy.to_owned())
    );
    let mut nodes = three();
    for node in &mut nodes {
        node.set_health(0);
    }
    assert_eq!(
        spread(&nodes, &publishing("80")).map_err(text),
        Err(unhealthy.to_owned())
    );
    let scheduler = Scheduler::new(Strategy::Spread, [Filter::Port]);
    assert_eq!(
        scheduler
            .select(&none, &publishing("80"), &mut |_| 0)
            .map_err(text),
        Err("No nodes available in the cluster".to_owned())
    );
}

#[test]
fn the_containers_in_the_way_are_told() {
    let mut nodes = three();
    nodes[0].add(holding("c0", "web", State::Running, "80"));
    nodes[1].add(holding("c1", "old", State::Exited, "80"));
    nodes[2].set_health(0);
    let error = spread(&nodes, &publishing("80")).expect_err("all taken");
    let told: Vec<String> = error.blockers().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "container a/web holds port 80/tcp",
            "container b/old, which is stopped, holds port 80/tcp",
        ]
    );

    nodes[0].add(Resident {
        state: State::Exited,
        memory: 10,
        ..Resident::new("m")
    });
    let error = spread(&nodes, &asking(0, 995)).map(|places| places[0]);
    assert_eq!(error, Ok(1));
    let error = spread(&nodes, &asking(0, 2000)).expect_err("too much");
    assert_eq!(
        error.to_string(),
        "no resources available to schedule container"
    );
    assert_eq!(
        error.blockers()[0].to_string(),
        "container a/m, which is stopped, holds processors or memory"
    );
}

#[test]
fn not_all_are_told_when_there_are_many() {
    let nodes: Vec<Node> = (0..100)
        .map(|nth| {
            let mut node = node(&format!("n{nth}"), 1, 1);
            node.add(holding("c", "web", State::Running, "80"));
            node
        })
        .collect();
    let error = spread(&nodes, &publishing("80")).expect_err("all taken");
    assert_eq!(error.blockers().len(), Blocker::MOST);
}

fn compose_labels(config: &mut Value, replace: Option<&str>) {
    config["Labels"] = json!({
        "com.docker.compose.project": "p",
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": "1",
    });
    if let Some(id) = replace {
        config["Labels"]["com.docker.compose.replace"] = json!(id);
    }
}

#[test]
fn a_container_that_is_replaced_is_no_blocker() {
    let mut config = json!({"HostConfig": {
        "Memory": 800, "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
    }});
    compose_labels(&mut config, None);
    let again = request(&config).named("p_web_1");
    let mut old = holding(
        "0123456789abcdef",
        "0123456789ab_p_web_1",
        State::Exited,
        "80",
    );
    old.labels = again.labels.clone();
    old.memory = 800;

    let mut nodes = vec![node("a", 4, 1000)];
    let mut spec = nodes[0].spec().clone();
    spec.labels.insert("containerslots".into(), "1".into());
    nodes[0].set_spec(spec);
    nodes[0].add(old.clone());
    assert_eq!(spread(&nodes, &again), Ok(vec![0]));

    // It is not the only one in the way.
    let mut crowded = nodes.clone();
    crowded[0].add(Resident {
        memory: 300,
        ..Resident::new("x")
    });
    let error = spread(&crowded, &again).expect_err("full");
    assert_eq!(error.blockers(), []);
    assert!(error.to_string().ends_with("[available container slots]"));

    // It runs.
    nodes[0].set_state("0123456789abcdef", State::Running);
    let error = spread(&nodes, &again).expect_err("taken");
    assert_eq!(&*error.blockers()[0].id, "0123456789abcdef");

    // Compose says that it will stop it.
    compose_labels(&mut config, Some("0123456789abcdef"));
    assert_eq!(
        spread(&nodes, &request(&config).named("0123456789ab_p_web_1")),
        Ok(vec![0])
    );

    // The caller says so.
    let mut told = asking(0, 800);
    assert!(spread(&nodes, &told).is_err());
    told.replaces.ids = vec!["0123456789abcdef".to_owned()];
    assert_eq!(spread(&nodes, &told), Ok(vec![0]));

    // A node where nothing must make way comes before one where something must.
    nodes.push(node("b", 4, 1000));
    assert_eq!(spread(&nodes, &told), Ok(vec![1]));
    // But wishes come first.
    told.constraints = vec!["region==~a".parse().expect("valid")];
    assert_eq!(spread(&nodes, &told), Ok(vec![0]));
}
