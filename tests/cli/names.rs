use crate::world::World;

#[test]
fn without_a_name_the_default_machine_is_meant() {
    let world = World::new();
    let text = world.run(["url"]).failure(2);
    assert_eq!(
        text,
        "error: no machine is named, and none is called \"default\"\nhint: rmachine ls\n"
    );
    world.machine("default", "tcp://10.0.0.1:2376", |_| {});
    assert_eq!(world.run(["url"]).data(), "tcp://10.0.0.1:2376\n");
    assert_eq!(world.run(["ip"]).data(), "10.0.0.1\n");
}

#[test]
fn several_names_are_answered_in_their_order() {
    let world = World::new();
    for n in 1..=3 {
        world.machine(&format!("n{n}"), &format!("tcp://10.0.0.{n}:2376"), |_| {});
    }
    let out = world.run(["ip", "n3", "n1", "n2", "n1"]).data();
    assert_eq!(out, "10.0.0.3\n10.0.0.1\n10.0.0.2\n");
    let out = world.run(["url", "n2", "n3"]).data();
    assert_eq!(out, "tcp://10.0.0.2:2376\ntcp://10.0.0.3:2376\n");
}

#[test]
fn one_unknown_name_stops_all() {
    let world = World::new();
    world.machine("n1", "tcp://10.0.0.1:2376", |_| {});
    for command in ["ip", "url", "status"] {
        let text = world.run([command, "n1", "nosuch"]).failure(4);
        assert_eq!(
            text,
            "error: there is no machine nosuch\nhint: rmachine ls\n"
        );
    }
    for command in ["env", "config", "inspect", "version"] {
        world.run([command, "nosuch"]).failure(4);
    }
}

#[test]
fn what_is_no_name_is_a_usage_error() {
    let world = World::new();
    let text = world.run(["ip", "../x"]).failure(2);
    assert!(text.contains("is not a machine name"), "{text}");
}

#[test]
fn a_corrupt_record_is_named() {
    let world = World::new();
    world.corrupt("broken");
    let text = world.run(["ip", "broken"]).failure(1);
    assert!(text.contains("config.json"), "{text}");
    assert!(text.contains("hint: "), "{text}");
}

#[test]
fn an_unknown_driver_is_named() {
    let world = World::new();
    world.machine("n1", "tcp://10.0.0.1:2376", |_| {});
    let path = world.machine_dir("n1").join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"none\"", "\"bogus\"")).unwrap();
    let text = world.run(["status", "n1"]).failure(1);
    assert!(text.contains("bogus"), "{text}");
}
