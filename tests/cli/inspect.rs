use serde_json::Value;

use crate::world::World;

fn world() -> World {
    let world = World::new();
    world.machine("n1", "tcp://10.0.0.1:2376", |record| {
        record.engine.labels = vec!["app=web".to_owned(), "zone=a".to_owned()];
    });
    world
}

#[test]
fn prints_the_record_indented_by_four() {
    let world = world();
    let out = world.run(["inspect", "n1"]).data();
    assert!(out.starts_with("{\n    \"ConfigVersion\": 3,\n"), "{out}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["Driver"]["URL"], "tcp://10.0.0.1:2376");
    let compact = world.run(["inspect", "--format", "json", "n1"]).data();
    assert_eq!(serde_json::from_str::<Value>(&compact).unwrap(), shown);
    assert_eq!(compact.lines().count(), 1);
}

#[test]
fn prints_go_templates() {
    let world = world();
    for (template, text) in [
        ("{{.Driver.URL}}", "tcp://10.0.0.1:2376\n"),
        (
            "{{.HostOptions.EngineOptions.Labels}}",
            "[app=web zone=a]\n",
        ),
        (
            "{{json .HostOptions.EngineOptions.Labels}}",
            "[\"app=web\",\"zone=a\"]\n",
        ),
        ("{{.Nope}}", "<no value>\n"),
        ("{{.ConfigVersion}}", "3\n"),
        (
            "{{range .HostOptions.EngineOptions.Labels}}{{.}};{{end}}",
            "app=web;zone=a;\n",
        ),
    ] {
        assert_eq!(world.run(["inspect", "-f", template, "n1"]).data(), text);
        assert_eq!(world.run(["inspect", "n1", "-f", template]).data(), text);
    }
    world.run(["inspect", "-f", "{{.Name", "n1"]).failure(2);
}
