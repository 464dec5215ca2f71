//! `rswarm` as its own image, on the lab's engine: a static program in an empty root.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "../../../tests/lab/mod.rs"]
mod lab;

mod loaded;
mod program;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::{Host, Network};
use crate::loaded::Loaded;

/// How long what runs in containers may take to find each other, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn the_image_is_the_same_each_time_and_holds_the_program_alone() {
    let Some(image) = Loaded::get() else { return };
    let archive = program::output(&["image", "--tag", image.name()]);
    let again = program::output(&["image", "--tag", image.name()]);
    assert!(archive.stdout == again.stdout, "two archives differ");
    let said = String::from_utf8(archive.stderr).unwrap();
    assert!(said.contains(&image.inspect("{{.Id}}")), "{said}");
    assert_eq!(image.inspect("{{.Config.Entrypoint}}"), "[/rswarm]");
    let size: u64 = image.inspect("{{.Size}}").parse().unwrap();
    assert_eq!(size, program::path().metadata().unwrap().len());
}

#[test]
fn a_program_that_needs_its_host_is_no_image() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rswarm"));
    let refused = lab::Ran::of(command.arg("image"));
    assert_eq!(refused.code, 1);
    assert_eq!(refused.out, "");
    assert!(refused.err.contains("install.sh"), "{}", refused.err);
}

#[test]
fn it_needs_no_root_no_capability_and_no_disk() {
    let Some(image) = Loaded::get() else { return };
    assert_eq!(image.run(&[], &["version"]), "rswarm version 0.1.0");
    assert_eq!(image.run(&[], &["--version"]), "rswarm version 0.1.0");
    let help = image.run(&[], &[]);
    assert!(help.contains("Usage: rswarm [OPTIONS] <COMMAND>"), "{help}");
    let nodes = image.run(&["--user=65534:65534"], &["list", "nodes://a:1,b:2"]);
    assert_eq!(nodes, "a:1\nb:2");
    // Nobody serves there.
    assert_eq!(image.try_run(&[], &["health"]).code, 1);
}

#[test]
fn a_manager_and_an_agent_run_from_it_and_find_others_by_name() {
    let Some(image) = Loaded::get() else { return };
    let Some(network) = Network::create() else {
        return;
    };
    let Some(host) = Host::start(lab::Image::Bookworm) else {
        return;
    };
    host.write(
        "/etc/systemd/system/docker.service.d/tcp.conf",
        "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2375 \
         --containerd=/run/containerd/containerd.sock\n",
    );
    host.sh("systemctl daemon-reload; systemctl restart docker");
    host.join(&network);
    let engine = format!("{}:2375", host.ip_on(network.name()));
    let on = format!("--network={}", network.name());

    // By the name that the engine's own DNS server knows.
    let store = image.start(&[&on], &["discovery", "-H", ":8500"]);
    let url = format!("--discovery-url=http://{}:8500", store.name());
    let token = image.run(&[&on], &["create", &url]);
    let token = format!("token://{token}");
    let join = ["join", &url, &format!("--advertise={engine}"), &token];
    let agent = image.start(&[&on], &join);
    let list = ["list", &url, &token];
    wait_for(|| {
        let listed = image.run(&[&on], &list);
        (listed == engine).then_some(()).ok_or(listed)
    });
    // By a name in /etc/hosts.
    let hosts = format!("--add-host=in-hosts:{}", store.ip_on(&network));
    let url = "--discovery-url=http://in-hosts:8500";
    assert_eq!(image.run(&[&on, &hosts], &["list", url, &token]), engine);

    let manager = image.start(&[&on, &hosts], &["manage", url, &token]);
    wait_for(|| {
        let health = manager.exec(&["/rswarm", "health"]);
        (health.code == 0).then_some(()).ok_or(health.err)
    });
    let client = |words: &str| {
        let script = format!("docker -H {}:2375 {words}", manager.ip_on(&network));
        host.exec(&script).out
    };
    wait_for(|| {
        let info = client("info");
        let healthy = info.contains("Status: Healthy") && info.contains(&engine);
        healthy.then_some(()).ok_or(info)
    });
    assert!(
        client("version").contains("swarm/"),
        "{}",
        client("version")
    );

    for container in [manager, agent, store] {
        assert_eq!(container.stopped(), "0", "{}", container.log());
    }
}

/// Waits until there is an answer; fails with the last thing that was there instead.
#[track_caller]
fn wait_for(mut look: impl FnMut() -> Result<(), String>) {
    let until = Instant::now() + LIMIT;
    while let Err(last) = look() {
        assert!(Instant::now() < until, "{last}");
        thread::sleep(Duration::from_millis(200));
    }
}
