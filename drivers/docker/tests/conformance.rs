//! The driver contract, on a real engine: `RMACHINE_TEST_ENGINE` names it, as
//! `unix:///path/of/docker.sock`.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use http::Method;
use rmachine_docker::DockerKind;
use rmachine_driver::{
    Capabilities, Driver, DriverError, DriverKind as _, FlagValue, MachineState,
    ResourceJournal as _, SshEndpoint,
};
use rmachine_driver_conformance::{Subject, walk};
use rmachine_engine::{Engine, EngineEndpoint};
use rmachine_test_support::skip;
use serde_json::json;
use tokio::process::Command;

/// How long a host may take until its sshd answers.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// The engine to test on, unless the reason to skip was printed.
///
/// It is given to one test at a time, whatever runs them: each has a store of its own, and so
/// would build a node image of its own where the engine has none yet.
fn engine() -> Option<(FlagValue, File)> {
    let Ok(engine) = std::env::var("RMACHINE_TEST_ENGINE") else {
        skip("RMACHINE_TEST_ENGINE names no engine");
        return None;
    };
    let turn = File::create(std::env::temp_dir().join("rmachine-docker-test.lock")).unwrap();
    turn.lock().unwrap();
    Some((FlagValue::Text(engine), turn))
}

/// The engine itself, for what a machine's owner or a stranger does to it.
fn api(engine: &FlagValue) -> Engine {
    let FlagValue::Text(url) = engine else {
        unreachable!("the engine is a text")
    };
    let socket = url.strip_prefix("unix://").unwrap();
    Engine::new(EngineEndpoint::Unix(socket.into()), BOOT_LIMIT)
}

/// A machine whose name no other run of the tests has.
fn subject<'a>(
    kind: &'a DockerKind,
    engine: FlagValue,
    name: &str,
    more: impl IntoIterator<Item = (&'static str, FlagValue)>,
) -> Subject<'a> {
    let name = format!("{name}-{}", std::process::id());
    let flags = [("docker-host", engine)].into_iter().chain(more);
    Subject::new(kind, &name, flags)
}

/// What a command says on the host, over the system's ssh and with nothing but what the driver
/// tells: the host key must be known from the first contact.
async fn on_host(endpoint: &SshEndpoint, command: &str) -> String {
    let identity = endpoint.identity.as_ref().unwrap();
    let began = Instant::now();
    loop {
        let output = Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
            ])
            .args(["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5"])
            .arg("-o")
            .arg(format!(
                "UserKnownHostsFile={}",
                endpoint.known_hosts.display()
            ))
            .arg("-o")
            .arg(format!("HostKeyAlias={}", endpoint.host_key_alias))
            .arg("-p")
            .arg(endpoint.port.unwrap().to_string())
            .arg("-i")
            .arg(identity)
            .arg("-l")
            .arg(endpoint.user.as_ref().unwrap())
            .arg(endpoint.host.to_string())
            .arg(command)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        if output.status.success() {
            return String::from_utf8(output.stdout).unwrap().trim().to_owned();
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let booting = said.contains("refused") || said.contains("closed") || said.contains("reset");
        assert!(booting && began.elapsed() < BOOT_LIMIT, "{command}: {said}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn on(driver: &dyn Driver, command: &str) -> String {
    let endpoint = driver.ssh().await.unwrap().unwrap();
    on_host(&endpoint, command).await
}

#[tokio::test]
async fn a_container_lives_the_life_of_a_machine() {
    let Some((engine, _turn)) = engine() else {
        return;
    };
    let kind = DockerKind::new(None);
    let subject = subject(&kind, engine, "life", []);
    let driver = walk(&subject).await;
    assert_eq!(
        driver.capabilities(),
        Capabilities {
            power: true,
            restart: true,
            provisioned: true,
            adopted: false,
            address_moves: false,
            snapshots: false,
        }
    );
    let told = subject.told().texts();
    assert!(
        told.iter().any(|text| text == "starting the container"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_host_has_systemd_an_engine_and_the_keys_that_it_was_given() {
    let Some((engine, _turn)) = engine() else {
        return;
    };
    let kind = DockerKind::new(None);
    let limits = [
        ("docker-memory", FlagValue::Number(512)),
        ("docker-cpus", FlagValue::Text("1.5".to_owned())),
    ];
    let subject = subject(&kind, engine, "host", limits);
    let mut driver = subject.configure();
    driver.check(&subject.work()).await.unwrap();
    driver.create(&subject.work()).await.unwrap();

    let driver_ref = driver.as_ref();
    assert_eq!(
        on(driver_ref, "hostname").await,
        format!("host-{}", std::process::id())
    );
    assert_eq!(on(driver_ref, "sudo -n cat /proc/1/comm").await, "systemd");
    let up = "systemctl is-system-running --wait; docker info -f '{{.Driver}}'";
    assert_eq!(on(driver_ref, up).await, "running\noverlay2");
    let limit = "cat /sys/fs/cgroup/memory/docker/*/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null | sort -u | grep -x 536870912 | head -1";
    assert_eq!(on(driver_ref, limit).await, "536870912");

    driver.stop(&subject.work()).await.unwrap();
    driver.start(&subject.work()).await.unwrap();
    assert_eq!(on(driver.as_ref(), "id -un").await, "docker");
    driver.remove(&subject.work()).await.unwrap();
}

#[tokio::test]
async fn a_machine_is_reached_through_the_loopback_where_asked() {
    let Some((engine, _turn)) = engine() else {
        return;
    };
    let kind = DockerKind::new(None);
    let publish = [("docker-publish", FlagValue::Switch(true))];
    let subject = subject(&kind, engine, "loop", publish);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    let url = driver.url().await.unwrap();
    assert!(url.starts_with("tcp://127.0.0.1:"), "{url}");
    assert!(!url.ends_with(":2376"), "{url}");
    assert_eq!(driver.engine_port(), 2376);
    assert_eq!(on(driver.as_ref(), "id -un").await, "docker");
    driver.remove(&subject.work()).await.unwrap();
}

#[tokio::test]
async fn a_container_of_somebody_else_is_not_touched() {
    let Some((engine, _turn)) = engine() else {
        return;
    };
    let kind = DockerKind::new(None);
    let first = subject(&kind, engine.clone(), "mine", []);
    let mut theirs = first.configure();
    theirs.create(&first.work()).await.unwrap();

    let second = subject(&kind, engine, "mine", []);
    let mut ours = second.configure();
    let refused = ours.check(&second.work()).await.unwrap_err();
    assert!(
        refused.to_string().contains("not of this machine"),
        "{refused}"
    );
    let refused = ours.create(&second.work()).await.unwrap_err();
    assert!(
        refused.to_string().contains("not of this machine"),
        "{refused}"
    );
    ours.remove(&second.work()).await.unwrap();

    assert_eq!(on(theirs.as_ref(), "id -un").await, "docker");
    theirs.remove(&first.work()).await.unwrap();
    assert!(first.journal().owned().is_empty());
}

#[tokio::test]
async fn a_create_that_is_cut_off_anywhere_goes_on_the_next_time() {
    let Some((engine, _turn)) = engine() else {
        return;
    };
    let kind = DockerKind::new(None);
    let subject = subject(&kind, engine, "cut", []);
    let cuts = (0..24).map(|n| Duration::from_millis(n * 60));
    for cut in cuts {
        // Dropping the future is what a crash looks like from the engine: no call after it.
        let mut driver = subject.configure();
        let work = subject.work();
        let _ = tokio::time::timeout(cut, driver.create(&work)).await;
    }
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    assert_eq!(on(driver.as_ref(), "id -un").await, "docker");

    // A later crash, of a machine that is only half removed.
    let owned = subject.journal().owned();
    assert_eq!(owned.len(), 2, "{owned:?}");
    driver.kill(&subject.work()).await.unwrap();
    let work = subject.work();
    let removing = driver.remove(&work);
    let _ = tokio::time::timeout(Duration::from_millis(5), removing).await;
    driver.remove(&subject.work()).await.unwrap();
    assert!(subject.journal().owned().is_empty());
}

/// Pauses a container. The kernel does not freeze one in which processes come and go just now, and
/// the engine says so: then it is asked again.
async fn freeze(api: &Engine, container: &str) {
    let began = Instant::now();
    let path = format!("{container}/pause");
    while let Err(error) = api.call(Method::POST, &path, None).await {
        let passing = error.to_string().contains("unable to freeze");
        assert!(passing && began.elapsed() < BOOT_LIMIT, "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn a_frozen_machine_is_thawed_and_a_lost_one_is_said_so() {
    let Some((engine, _turn)) = engine() else {
        return;
    };
    let kind = DockerKind::new(None);
    let api = api(&engine);
    let subject = subject(&kind, engine, "frozen", []);
    let container = format!("/containers/rmachine-{}", subject.name());
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    for thaw in ["start", "stop", "kill"] {
        driver.start(&subject.work()).await.unwrap();
        freeze(&api, &container).await;
        assert_eq!(driver.state().await.unwrap(), MachineState::Paused);
        let (done, after) = match thaw {
            "start" => (driver.start(&subject.work()).await, MachineState::Running),
            "stop" => (driver.stop(&subject.work()).await, MachineState::Stopped),
            _ => (driver.kill(&subject.work()).await, MachineState::Stopped),
        };
        done.unwrap();
        assert_eq!(driver.state().await.unwrap(), after, "{thaw}");
    }

    let removed = format!("{container}?force=1&v=1");
    api.call(Method::DELETE, &removed, None).await.unwrap();
    let lost = driver.start(&subject.work()).await;
    assert!(matches!(lost, Err(DriverError::Gone { .. })), "{lost:?}");
    driver.remove(&subject.work()).await.unwrap();
    assert!(subject.journal().owned().is_empty());
}

#[tokio::test]
async fn machines_of_several_stores_share_a_network_and_no_address() {
    let Some((engine, _turn)) = engine() else {
        return;
    };
    let kind = DockerKind::new(None);
    let subjects = ["many-a", "many-b", "many-c"].map(|n| subject(&kind, engine.clone(), n, []));
    let made = subjects.iter().map(|subject| async {
        let mut driver = subject.configure();
        driver.create(&subject.work()).await.unwrap();
        driver
    });
    let mut drivers = futures_util::future::join_all(made).await;
    let mut addresses = BTreeSet::new();
    for driver in &drivers {
        addresses.insert(driver.address().await.unwrap().to_string());
    }
    assert_eq!(addresses.len(), drivers.len(), "{addresses:?}");
    let (first, second) = (drivers[0].as_ref(), subjects[1].name());
    let found = on(first, &format!("getent hosts {second} | cut -d' ' -f1")).await;
    assert_eq!(found, drivers[1].address().await.unwrap().to_string());
    for (driver, subject) in drivers.iter_mut().zip(&subjects) {
        driver.remove(&subject.work()).await.unwrap();
    }
}

#[tokio::test]
async fn a_network_of_the_users_is_used_and_left() {
    let Some((engine, _turn)) = engine() else {
        return;
    };
    let api = api(&engine);
    let kind = DockerKind::new(None);
    let network = format!("rmachine-test-{}", std::process::id());
    for (subnet, moves) in [(Some("10.214.9.0/29"), false), (None, true)] {
        let ranges: Vec<_> = subnet.iter().map(|s| json!({"Subnet": s})).collect();
        let body = json!({"Name": network, "IPAM": {"Config": ranges}});
        api.call(Method::POST, "/networks/create", Some(&body))
            .await
            .unwrap();
        let wanted = [("docker-network", FlagValue::Text(network.clone()))];
        let subject = subject(&kind, engine.clone(), "lan", wanted);
        let driver = walk(&subject).await;
        assert_eq!(driver.capabilities().address_moves, moves);
        let path = format!("/networks/{network}");
        api.call(Method::DELETE, &path, None).await.unwrap();
    }
}

#[tokio::test]
async fn check_finds_every_reason_at_once() {
    let Some((engine, _turn)) = engine() else {
        return;
    };
    let kind = DockerKind::new(None);
    let wrong = [
        ("docker-image", FlagValue::Text("no/such:image".to_owned())),
        (
            "docker-network",
            FlagValue::Text("no-such-network".to_owned()),
        ),
        ("docker-memory", FlagValue::Number(16)),
        ("docker-cpus", FlagValue::Text("5000".to_owned())),
    ];
    let subject = subject(&kind, engine, "wrong", wrong);
    let found = subject.configure().check(&subject.work()).await;
    let Err(DriverError::Check(failures)) = found else {
        panic!("{found:?}");
    };
    let subjects: Vec<&str> = failures.iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(subjects, ["memory", "processors", "image", "network"]);
    assert!(failures.iter().all(|failure| !failure.remedy.is_empty()));
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_said_so() {
    let kind = DockerKind::new(None);
    let nowhere = FlagValue::Text("unix:///nonexistent/docker.sock".to_owned());
    let subject = subject(&kind, nowhere, "nowhere", []);
    let found = subject.configure().check(&subject.work()).await;
    let Err(DriverError::Check(failures)) = found else {
        panic!("{found:?}");
    };
    assert!(failures[0].finding.contains("/nonexistent/docker.sock"));
    assert!(failures[0].remedy.contains("--docker-host"), "{failures:?}");
    assert!(kind.flags().iter().all(|flag| flag.env.is_some()));
}
