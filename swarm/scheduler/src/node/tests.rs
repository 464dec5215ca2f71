use super::*;

fn node() -> Node {
    let spec = NodeSpec {
        id: "ENGINE|10.0.0.1:2376".into(),
        name: "node-1".into(),
        addr: "10.0.0.1:2376".into(),
        resources: Resources {
            cpus: 4,
            memory: 1000,
        },
        ..NodeSpec::default()
    };
    Node::new(spec, Overcommit::default())
}

fn resident(id: &str, name: &str) -> Resident {
    Resident {
        name: name.into(),
        ..Resident::new(id)
    }
}

fn with_swarm_id(resident: Resident, swarm_id: &str) -> Resident {
    Resident {
        labels: vec![(crate::SWARM_ID_LABEL.into(), swarm_id.into())],
        ..resident
    }
}

#[test]
fn totals_follow_what_comes_and_goes() {
    let mut node = node();
    assert_eq!(
        node.total(),
        Resources {
            cpus: 4,
            memory: 1050
        }
    );
    let one = Resident {
        cpu_shares: 512,
        memory: 100,
        ..resident("a", "a")
    };
    node.add(one.clone());
    node.add(Resident {
        state: State::Exited,
        memory: 50,
        ..resident("b", "b")
    });
    assert_eq!(
        node.used(),
        Resources {
            cpus: 2,
            memory: 150
        }
    );
    assert_eq!(
        node.counts(),
        Counts {
            running: 1,
            paused: 0,
            stopped: 1
        }
    );

    node.add(Resident { memory: 10, ..one });
    assert_eq!(
        node.used(),
        Resources {
            cpus: 2,
            memory: 60
        }
    );
    node.set_state("a", State::Paused);
    assert_eq!(
        node.counts(),
        Counts {
            running: 0,
            paused: 1,
            stopped: 1
        }
    );

    let spec = NodeSpec {
        resources: Resources {
            cpus: 8,
            memory: 100,
        },
        ..node.spec().clone()
    };
    node.set_spec(spec);
    assert_eq!(
        node.used(),
        Resources {
            cpus: 4,
            memory: 60
        }
    );

    assert!(node.remove("a").is_some());
    assert!(node.remove("a").is_none());
    assert_eq!(
        node.used(),
        Resources {
            cpus: 0,
            memory: 50
        }
    );
    assert_eq!(
        node.counts(),
        Counts {
            running: 0,
            paused: 0,
            stopped: 1
        }
    );
    assert_eq!(node.residents().len(), 1);
}

#[test]
fn shares_of_processors_come_back_as_processors() {
    for all in [1, 2, 3, 4, 6, 7, 48, 96, 255] {
        let mut node = node();
        let spec = NodeSpec {
            resources: Resources {
                cpus: all,
                memory: 1,
            },
            ..node.spec().clone()
        };
        node.set_spec(spec);
        for cpus in 0..=all {
            let cpu_shares = node.cpu_shares(cpus);
            let weight = node.weight_of(&Resident {
                cpu_shares,
                ..resident("a", "a")
            });
            assert_eq!(weight.cpus, cpus, "{cpus} of {all}");
        }
    }
}

#[test]
fn a_container_is_counted_once() {
    let mut node = node();
    let request = Request {
        memory: 100,
        cpus: 1,
        ..Request::default()
    }
    .named("web");
    node.reserve("s1", &request);
    assert_eq!(
        node.used(),
        Resources {
            cpus: 1,
            memory: 100
        }
    );
    assert_eq!(node.counts(), Counts::default());
    assert_eq!(node.find("web").map(|found| &*found.id), Some("s1"));

    let real = Resident {
        memory: 100,
        cpu_shares: 256,
        ..with_swarm_id(resident("c1", "web"), "s1")
    };
    node.add(real);
    assert_eq!(node.residents().len(), 1);
    assert_eq!(
        node.used(),
        Resources {
            cpus: 1,
            memory: 100
        }
    );
    assert_eq!(node.find("web").map(|found| &*found.id), Some("c1"));

    // The engine's event may overtake the reservation.
    node.reserve("s1", &request);
    assert_eq!(node.residents().len(), 1);
    assert_eq!(
        node.used(),
        Resources {
            cpus: 1,
            memory: 100
        }
    );

    node.reserve("s2", &request);
    assert!(node.remove("s2").is_some());
    assert_eq!(
        node.used(),
        Resources {
            cpus: 1,
            memory: 100
        }
    );
}

#[test]
fn containers_are_found_as_people_name_them() {
    let mut node = node();
    node.add(with_swarm_id(
        resident("aaaabbbbccccdddd", "web"),
        "ffffeeee00001111",
    ));
    node.add(with_swarm_id(
        resident("aaaa1111ccccdddd", "db"),
        "ffff222200001111",
    ));
    node.add(Resident {
        aliases: vec!["web/data".into()],
        ..resident("0123", "ffffeeee0000")
    });
    node.reserve("9999", &Request::default().named("soon"));
    let table = [
        ("aaaabbbbccccdddd", Some("web")),
        ("aaaabbbbcccc", Some("web")),
        ("aaaab", Some("web")),
        ("aaaa", None),
        ("ffffeeee00001111", Some("web")),
        // An id within the cluster goes before a name.
        ("ffffeeee0000", Some("web")),
        ("ffff2", Some("db")),
        ("ffff", None),
        ("web", Some("web")),
        ("/web", Some("web")),
        ("node-1/web", Some("web")),
        ("ENGINE/web", Some("web")),
        ("ENGINE|10.0.0.1:2376/web", Some("web")),
        ("node-2/web", None),
        ("web/data", Some("ffffeeee0000")),
        ("/web/data", Some("ffffeeee0000")),
        ("node-1/web/data", Some("ffffeeee0000")),
        ("soon", Some("soon")),
        ("9999", Some("soon")),
        ("w", None),
        ("", None),
        ("/", None),
    ];
    for (text, expected) in table {
        let found = node.find(text).map(|resident| &*resident.name);
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn two_of_one_name_are_none() {
    let mut node = node();
    node.add(resident("a1", "web"));
    node.reserve("s1", &Request::default().named("web"));
    assert_eq!(node.find("web"), None);
    node.remove("s1");
    assert!(node.find("web").is_some());
}

#[test]
fn indexes_are_empty_when_all_has_gone() {
    let mut node = node();
    node.add(Resident {
        aliases: vec!["x/y".into()],
        published: vec![crate::PublishedPort {
            port: crate::Port::parse("80").expect("valid"),
            ip: None,
        }],
        ..with_swarm_id(resident("a1", "web"), "s1")
    });
    node.remove("a1");
    for text in ["a1", "web", "x/y", "s1"] {
        assert_eq!(node.find(text), None);
    }
    assert!(node.labels().of(crate::SWARM_ID_LABEL).is_none());
    assert!(!crate::index::Texts::has(node.names(), "web"));
    assert_eq!(node.used(), Resources::default());
}

#[test]
fn a_node_says_how_many_containers_it_takes() {
    let table = [
        (None, None),
        (Some("3"), Some(3)),
        (Some("-1"), Some(-1)),
        (Some("three"), None),
        (Some(""), None),
    ];
    for (label, expected) in table {
        let mut node = node();
        let mut spec = node.spec().clone();
        if let Some(label) = label {
            spec.labels.insert("containerslots".into(), label.into());
        }
        node.set_spec(spec);
        assert_eq!(node.slots(), expected, "{label:?}");
    }
}
