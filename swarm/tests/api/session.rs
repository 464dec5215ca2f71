//! What people do with a cluster, command by command.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::engine::{self, Dockerd};
use crate::manager::Manager;

/// What a client may wait for a node that does not answer.
const UNHURT: Duration = Duration::from_secs(10);

pub async fn images(manager: &Manager) {
    let dir = tempfile::tempdir().unwrap();
    engine::image(dir.path());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    // Each node makes an image of its own of what it is sent.
    let import = manager
        .done(&["import", &path("image.tar"), "busy:old"])
        .await;
    assert!(import.contains("node-1: sha256:") && import.contains("node-2: sha256:"));
    manager
        .done(&["save", "-o", &path("saved.tar"), "busy:old"])
        .await;
    let removed = manager.done(&["rmi", "busy:old"]).await;
    assert_eq!(
        removed.matches("Untagged: busy:old").count(),
        2,
        "{removed}"
    );
    let loaded = manager.done(&["load", "-i", &path("saved.tar")]).await;
    for node in ["node-1", "node-2"] {
        assert!(
            loaded.contains(&format!("{node}: Loaded image: busy:old")),
            "{loaded}"
        );
    }
    manager.done(&["tag", "busy:old", "busy:1"]).await;
    let format = ["images", "--format", "{{.Repository}}:{{.Tag}}", "busy"];
    let listed = manager.done(&format).await;
    assert_eq!(listed.lines().count(), 2, "each image once: {listed}");
    manager.done(&["rmi", "busy:old"]).await;
    assert_eq!(manager.done(&format).await, "busy:1");
    let id = manager
        .done(&["inspect", "--format", "{{.Id}}", "busy:1"])
        .await;
    assert_eq!(
        manager.done(&["inspect", "--format", "{{.Id}}", &id]).await,
        id
    );
    assert!(
        manager
            .done(&["history", "busy:1"])
            .await
            .contains("Imported from")
    );
    let said = manager.fails(&["history", "nowhere:1"]).await;
    assert!(said.contains("No such image: nowhere:1"), "{said}");
}

pub async fn first_look(manager: &Manager) {
    let info = manager.done(&["info"]).await;
    for line in [
        " Containers: 0",
        " Role: primary",
        " Strategy: spread",
        " Filters: health",
        " Nodes: 2",
        "  node-1: 127.0.0.1:",
        "   └ Status: Healthy",
        "   └ Containers: 0 (0 Running, 0 Paused, 0 Stopped)",
        "   └ Reserved Memory: 0 B / ",
        "number=2",
        " Operating System: linux",
    ] {
        assert!(info.contains(line), "{line:?} is missing in\n{info}");
    }
    let version = manager
        .done(&["version", "--format", "{{.Server.Version}}"])
        .await;
    assert!(version.starts_with("swarm/"), "{version}");
    assert!(!info.contains("└ Error"), "{info}");
    assert_eq!(manager.done(&["ps", "-q"]).await, "");
}

pub async fn containers(manager: &Manager) {
    let run = [
        "run", "-d", "--name", "web", "-l", "app=x", "busy:1", "sleep", "600",
    ];
    let id = manager.done(&run).await;
    assert_eq!(id.len(), 64, "{id}");
    let names = manager
        .done(&["ps", "--format", "{{.Names}} {{.Status}}"])
        .await;
    let (name, status) = names.split_once(' ').unwrap();
    assert!(["node-1/web", "node-2/web"].contains(&name), "{names}");
    assert!(status.starts_with("Up "), "{names}");
    let format = "{{.Node.Name}}{{.Name}} {{index .Config.Labels \"com.docker.swarm.id\"}}";
    let shown = manager.done(&["inspect", "--format", format, "web"]).await;
    let (shown, swarm_id) = shown.split_once(' ').unwrap();
    assert_eq!(shown, name);
    // Whatever means it, means it.
    for text in [
        name,
        &format!("/{name}"),
        &id,
        &id[..12],
        &id[..5],
        swarm_id,
        &swarm_id[..12],
    ] {
        let found = manager
            .done(&["inspect", "--format", "{{.Id}}", text])
            .await;
        assert_eq!(found, id, "{text}");
    }
    let said = manager.fails(&["run", "--name", "web", "busy:1"]).await;
    assert!(
        said.contains("Conflict: The name web is already assigned"),
        "{said}"
    );
    let said = manager.fails(&["stop", "nobody"]).await;
    assert!(said.contains("No such container: nobody"), "{said}");

    assert!(manager.done(&["top", "web"]).await.contains("sleep 600"));
    manager.done(&["pause", "web"]).await;
    assert!(
        manager
            .done(&["ps", "--format", "{{.Status}}"])
            .await
            .contains("(Paused)")
    );
    manager.done(&["unpause", name]).await;
    manager
        .done(&["update", "--memory", "64m", "--memory-swap", "64m", "web"])
        .await;
    manager.done(&["rename", "web", "shop"]).await;
    let said = manager
        .fails(&["inspect", "--type", "container", "web"])
        .await;
    assert!(said.contains("No such container"), "{said}");
    manager.done(&["restart", "-t", "0", "shop"]).await;
    manager
        .done(&["exec", "shop", "sh", "-c", "echo made > /tmp/file"])
        .await;
    assert!(
        manager
            .done(&["diff", "shop"])
            .await
            .contains("A /tmp/file")
    );
    manager.done(&["commit", "shop", "busy:made"]).await;
    let said = manager
        .done(&["run", "--rm", "busy:made", "cat", "/tmp/file"])
        .await;
    assert_eq!(said, "made", "an image that one node has is used there");
    manager.done(&["stop", "-t", "0", "shop"]).await;
    assert_eq!(manager.done(&["ps", "-q"]).await, "");
    let all = manager
        .done(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"])
        .await;
    assert!(all.contains("/shop Exited (137)"), "{all}");
    for (filter, count) in [
        ("label=app=x", 1),
        ("label=app=y", 0),
        ("name=shop", 1),
        ("status=exited", 1),
        ("exited=137", 1),
        ("exited=0", 0),
        ("ancestor=busy:1", 1),
    ] {
        let found = manager.done(&["ps", "-aq", "--filter", filter]).await;
        assert_eq!(found.lines().count(), count, "{filter}");
    }
    assert!(manager.done(&["start", "shop"]).await.contains("shop"));
    let sized = manager.done(&["ps", "-s", "--format", "{{.Size}}"]).await;
    assert!(sized.contains("virtual"), "{sized}");
    manager.done(&["kill", "shop"]).await;
    assert_eq!(manager.done(&["wait", "shop"]).await, "137");
    manager.done(&["rm", "shop"]).await;
    assert_eq!(manager.done(&["ps", "-aq"]).await, "");
}

pub async fn streams(manager: &Manager) {
    // The end of the input reaches the program, and its last words the client.
    let input: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let counted = manager
        .with_input(&["run", "-i", "--rm", "busy:1", "wc", "-c"], input)
        .await;
    assert_eq!(counted.out.trim(), "800000", "{}", counted.err);
    let code = manager
        .docker(&["run", "--rm", "busy:1", "sh", "-c", "echo bad >&2; exit 7"])
        .await;
    assert_eq!(
        (code.ok, code.err.trim(), code.out.as_str()),
        (false, "bad", "")
    );

    let script = "while true; do echo tick; sleep 1; done";
    manager
        .done(&["run", "-d", "--name", "clock", "busy:1", "sh", "-c", script])
        .await;
    let input = b"one\ntwo\n".to_vec();
    let echoed = manager
        .with_input(&["exec", "-i", "clock", "cat"], input)
        .await;
    assert_eq!(echoed.out, "one\ntwo\n");
    let failed = manager.docker(&["exec", "clock", "false"]).await;
    assert!(!failed.ok && failed.err.is_empty(), "{}", failed.err);
    let terminal = [
        "exec",
        "-t",
        "clock",
        "sh",
        "-c",
        "[ -t 1 ] && echo terminal",
    ];
    assert_eq!(manager.done(&terminal).await, "terminal");
    assert!(
        manager
            .done(&["logs", "--tail", "1", "clock"])
            .await
            .contains("tick")
    );
    let stats = ["stats", "--no-stream", "--format", "{{.Name}}", "clock"];
    assert!(manager.done(&stats).await.contains("clock"));

    // A client that follows and goes leaves nothing behind; what it saw came at once.
    let mut following = manager.command_to_kill(&["logs", "-f", "clock"]);
    let mut following = following.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 5];
    let mut out = following.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"tick\n");
    following.kill().unwrap();
    following.wait().unwrap();
    drop(out);

    // So it is where nothing is said that could not be sent.
    manager
        .done(&["run", "-d", "--name", "quiet", "busy:1", "sleep", "600"])
        .await;
    for silent in [
        &["logs", "-f", "quiet"][..],
        &["wait", "quiet"],
        &["events"],
    ] {
        let mut command = manager.command_to_kill(silent);
        let mut waiting = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let what = format!("{silent:?} is under way");
        manager.until(&what, || manager.connections() > 0).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        waiting.kill().unwrap();
        waiting.wait().unwrap();
        let what = format!("nothing is left of {silent:?}");
        manager.until(&what, || manager.connections() == 0).await;
    }
    manager.done(&["rm", "-f", "quiet"]).await;

    // Files go both ways.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::File::create(&file)
        .unwrap()
        .write_all(b"content")
        .unwrap();
    let there = ["cp", file.to_str().unwrap(), "clock:/tmp/there"];
    manager.done(&there).await;
    let back = dir.path().join("back");
    manager
        .done(&["cp", "clock:/tmp/there", back.to_str().unwrap()])
        .await;
    assert_eq!(std::fs::read(&back).unwrap(), b"content");
    manager.done(&["rm", "-f", "clock"]).await;

    // Events come from every node, with the node, also those of before.
    let ran = [
        "run",
        "--rm",
        "-e",
        "constraint:node==node-2",
        "--name",
        "brief",
        "busy:1",
        "true",
    ];
    manager.done(&ran).await;
    let soon = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let soon = (soon.as_secs() + 3).to_string();
    let events = [
        "events",
        "--since",
        "60s",
        "--until",
        &soon,
        "--filter",
        "container=brief",
    ];
    let with_format = [
        &events[..],
        &[
            "--format",
            "{{.Action}} {{index .Actor.Attributes \"node.name\"}}",
        ],
    ];
    let events = manager.done(&with_format.concat()).await;
    for action in ["create", "start", "die", "destroy"] {
        assert!(
            events.contains(&format!("{action} node-2")),
            "{action} in\n{events}"
        );
    }
}

pub async fn scheduling(manager: &Manager) {
    for number in 0..4 {
        let name = format!("spread-{number}");
        manager
            .done(&["run", "-d", "--name", &name, "busy:1", "sleep", "600"])
            .await;
    }
    for node in ["node-1", "node-2"] {
        let filter = format!("node={node}");
        let found = manager.done(&["ps", "-q", "--filter", &filter]).await;
        assert_eq!(found.lines().count(), 2, "{node}");
    }
    let node = ["inspect", "--format", "{{.Node.Name}}"];
    let node_of = async |name: &str| manager.done(&[&node[..], &[name]].concat()).await;
    for (name, directive) in [
        ("by-name", "constraint:node==node-2"),
        ("by-label", "constraint:number==2"),
        ("by-affinity", "affinity:container==by-name"),
        ("by-image", "affinity:image==busy:made"),
    ] {
        let run = [
            "run", "-d", "--name", name, "-e", directive, "busy:1", "sleep", "600",
        ];
        manager.done(&run).await;
    }
    for name in ["by-name", "by-label", "by-affinity"] {
        assert_eq!(node_of(name).await, "node-2", "{name}");
    }
    let env = ["inspect", "--format", "{{.Config.Env}}", "by-name"];
    assert!(!manager.done(&env).await.contains("constraint"));
    let said = manager
        .fails(&["run", "-e", "constraint:node==nowhere", "busy:1"])
        .await;
    assert!(
        said.contains("Unable to find a node that satisfies the following conditions")
            && said.contains("[node==nowhere]"),
        "{said}"
    );
    // A port of the host is there once a node, also for what does not run. (These nodes are one
    // host: only one can run.)
    let publish = ["-p", "18080:80", "busy:1", "sleep", "600"];
    manager.done(&[&["run", "-d"][..], &publish].concat()).await;
    manager.done(&[&["create"][..], &publish].concat()).await;
    let said = manager.fails(&[&["create"][..], &publish].concat()).await;
    assert!(said.contains("[port 18080 (Bridge mode)]"), "{said}");
    let ports = manager
        .done(&["ps", "--filter", "publish=18080", "--format", "{{.Ports}}"])
        .await;
    assert_eq!(ports, "127.0.0.1:18080->80/tcp");
    let linked = [
        "create",
        "--link",
        "by-name:x",
        "--name",
        "linked",
        "busy:1",
        "true",
    ];
    manager.done(&linked).await;
    assert_eq!(node_of("linked").await, "node-2");
    let all = manager.done(&["ps", "-aq"]).await;
    let ids: Vec<&str> = all.lines().collect();
    manager
        .done(&[&["rm", "-f"], ids.as_slice()].concat())
        .await;
    assert_eq!(manager.done(&["ps", "-aq"]).await, "");
}

pub async fn networks(manager: &Manager) {
    manager
        .done(&["network", "create", "-d", "bridge", "node-2/back"])
        .await;
    let listed = manager
        .done(&["network", "ls", "--format", "{{.Name}}"])
        .await;
    assert!(listed.lines().any(|name| name == "node-2/back"), "{listed}");
    assert!(
        listed.lines().any(|name| name == "node-1/bridge"),
        "{listed}"
    );
    for name in ["back", "node-2/back"] {
        let run = [
            "run",
            "-d",
            "--net",
            name,
            "--network-alias",
            "db",
            "busy:1",
            "sleep",
            "600",
        ];
        let id = manager.done(&run).await;
        let node = manager
            .done(&["inspect", "--format", "{{.Node.Name}}", &id])
            .await;
        assert_eq!(
            node, "node-2",
            "a container goes where its network is: {name}"
        );
        manager.done(&["network", "disconnect", "back", &id]).await;
        manager
            .done(&["network", "connect", "node-2/back", &id])
            .await;
        let inspected = manager.done(&["network", "inspect", "back"]).await;
        let inspected: Value = serde_json::from_str(&inspected).unwrap();
        assert!(inspected[0]["Containers"].get(&id).is_some(), "{inspected}");
        manager.done(&["rm", "-f", &id]).await;
    }
    let said = manager.fails(&["network", "inspect", "bridge"]).await;
    assert!(
        said.contains("ambiguous") || said.contains("node-1/bridge"),
        "{said}"
    );
    manager.done(&["network", "rm", "back"]).await;
    let said = manager.fails(&["network", "rm", "back"]).await;
    assert!(
        said.contains("back") && said.contains("not found") || said.contains("No such network"),
        "{said}"
    );
}

pub async fn volumes(manager: &Manager) {
    manager.done(&["volume", "create", "everywhere"]).await;
    manager.done(&["volume", "create", "node-2/only"]).await;
    let listed = manager.done(&["volume", "ls", "-q"]).await;
    assert_eq!(listed, "node-1/everywhere\nnode-2/everywhere\nnode-2/only");
    let name = manager
        .done(&["volume", "inspect", "--format", "{{.Name}}", "everywhere"])
        .await;
    assert_eq!(name, "everywhere");
    let run = [
        "run",
        "-d",
        "--name",
        "keeper",
        "-v",
        "only:/data",
        "busy:1",
        "sleep",
        "600",
    ];
    manager.done(&run).await;
    let node = manager
        .done(&["inspect", "--format", "{{.Node.Name}}", "keeper"])
        .await;
    assert_eq!(node, "node-2", "a container goes where its volume is");
    let said = manager.fails(&["volume", "rm", "only"]).await;
    assert!(said.contains("volume is in use"), "{said}");
    manager.done(&["rm", "-f", "keeper"]).await;
    manager.done(&["volume", "rm", "only", "everywhere"]).await;
    assert_eq!(manager.done(&["volume", "ls", "-q"]).await, "");
}

pub async fn cleaning_up(manager: &Manager) {
    for node in ["node-1", "node-2"] {
        let constraint = format!("constraint:node=={node}");
        manager
            .done(&["run", "-e", &constraint, "busy:1", "true"])
            .await;
    }
    let usage = manager
        .done(&["system", "df", "--format", "{{.Type}} {{.TotalCount}}"])
        .await;
    assert!(usage.contains("Containers 2"), "{usage}");
    let pruned = manager.done(&["container", "prune", "-f"]).await;
    assert!(pruned.contains("Deleted Containers:"), "{pruned}");
    assert_eq!(manager.done(&["ps", "-aq"]).await, "");
    for prune in ["image", "network", "volume"] {
        manager.done(&[prune, "prune", "-f"]).await;
    }
    let dockerfile = "FROM busy:1\nRUN echo built > /built\nCMD cat /built\n";
    let build = [
        "build",
        "-t",
        "busy:built",
        "--build-arg",
        "constraint:node==node-1",
        "-",
    ];
    let built = manager.with_input(&build, dockerfile.into()).await;
    assert!(built.ok, "{}{}", built.out, built.err);
    assert_eq!(manager.done(&["run", "--rm", "busy:built"]).await, "built");
    for refused in [&["service", "ls"][..], &["node", "ls"], &["swarm", "init"]] {
        let said = manager.fails(refused).await;
        assert!(said.contains("cluster of standalone engines"), "{said}");
    }
}

pub async fn a_node_that_hangs(manager: &Manager, engines: &[Dockerd]) {
    let on = |node: &str, name: &str| {
        let constraint = format!("constraint:node=={node}");
        let run = [
            "run",
            "-d",
            "--name",
            name,
            "-e",
            &constraint,
            "busy:1",
            "sleep",
            "600",
        ];
        run.map(str::to_owned)
    };
    for (node, name) in [("node-1", "here"), ("node-2", "there")] {
        let run = on(node, name);
        manager.done(&run.each_ref().map(String::as_str)).await;
    }
    let [_, hanging] = engines else {
        panic!("two engines")
    };
    assert_eq!(hanging.name, "node-2");
    hanging.signal("-STOP");
    let begun = Instant::now();
    manager.done(&["exec", "here", "true"]).await;
    assert!(manager.done(&["ps"]).await.contains("node-1/here"));
    manager.done(&["info"]).await;
    manager
        .done(&[
            "run",
            "--rm",
            "-e",
            "constraint:node==node-1",
            "busy:1",
            "true",
        ])
        .await;
    assert!(begun.elapsed() < UNHURT, "a node that hangs slows others");
    hanging.signal("-CONT");
    manager.done(&["rm", "-f", "here", "there"]).await;
}
