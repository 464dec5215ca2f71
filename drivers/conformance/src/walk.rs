use rmachine_driver::{
    Capabilities, Driver, DriverError, MachineState, Operation, ResourceJournal as _, Snapshot,
    SnapshotName,
};
use serde_json::json;

use crate::Subject;

/// A field that no driver knows.
const FOREIGN: &str = "FieldOfAnotherProgram";

/// Takes a machine through its life: made, made again, looked at, powered off and on, rebooted,
/// cut off, removed, removed again; every step with a driver that was loaded anew from the record,
/// as the program does it.
///
/// Returns the last driver, for what a driver's own tests want to ask besides.
///
/// # Panics
/// When a promise of the driver contract is broken.
pub async fn walk(subject: &Subject<'_>) -> Box<dyn Driver> {
    flags_are_data(subject);
    let mut driver = subject.configure();
    let can = driver.capabilities();
    assert_eq!(driver.name(), subject.kind().name());

    let before = driver.config();
    driver.check(&subject.work()).await.expect("check");
    assert_eq!(driver.config(), before, "check changes nothing");
    assert!(
        subject.journal().owned().is_empty(),
        "check makes nothing: {:?}",
        subject.journal().owned()
    );

    driver.create(&subject.work()).await.expect("create");
    // As after a crash between the making and the saving: the flags are all that is known.
    let mut again = subject.configure();
    again.create(&subject.work()).await.expect("create again");
    assert_eq!(again.config(), driver.config(), "create finds what it made");
    if can.adopted {
        assert!(
            subject.journal().owned().is_empty(),
            "an adopted machine owns nothing"
        );
    }

    let mut driver = reload(subject, again.as_ref());
    let running = state(driver.as_ref()).await;
    assert!(
        matches!(running, MachineState::Running | MachineState::None),
        "a machine that was made is {running}"
    );
    reached(driver.as_ref(), can).await;

    if can.power {
        power(subject, &mut driver, can).await;
    } else {
        no_power(subject, driver.as_mut()).await;
    }
    if can.restart {
        driver.restart(&subject.work()).await.expect("restart");
        let after = state(driver.as_ref()).await;
        assert_eq!(after, MachineState::Running, "after restart");
    } else {
        let refused = driver.restart(&subject.work()).await;
        unsupported(refused, Operation::Restart);
    }
    if can.snapshots {
        snapshots(subject, driver.as_mut()).await;
    } else {
        no_snapshots(subject, driver.as_mut()).await;
    }

    driver.remove(&subject.work()).await.expect("remove");
    let left = subject.journal().owned();
    assert!(left.is_empty(), "nothing is left: {left:?}");
    let mut driver = reload(subject, driver.as_ref());
    driver.remove(&subject.work()).await.expect("remove again");
    if can.power {
        gone(driver.state().await.map(|_| ()), "state");
        gone(driver.start(&subject.work()).await, "start");
    }
    driver
}

/// Every flag bears the driver's name, or it would meet those of another.
fn flags_are_data(subject: &Subject<'_>) {
    let name = subject.kind().name();
    for flag in subject.kind().flags() {
        let known =
            ["iso", "url"].contains(&flag.name) || flag.name.starts_with(&format!("{name}-"));
        assert!(known, "--{} does not start with {name}-", flag.name);
        assert!(!flag.help.is_empty(), "--{} explains itself", flag.name);
        assert!(!flag.help.ends_with('.'), "--{}: {}", flag.name, flag.help);
    }
}

/// The driver as the next command makes it; what other programs wrote stays.
fn reload(subject: &Subject<'_>, driver: &dyn Driver) -> Box<dyn Driver> {
    let mut record = driver.config();
    let foreign = json!({"deep": [1, "two", null]});
    record.insert(FOREIGN.to_owned(), foreign.clone());
    let loaded = subject.load(record.clone());
    assert_eq!(loaded.config(), record, "config() gives what load() took");
    assert_eq!(loaded.config()[FOREIGN], foreign);
    assert_eq!(loaded.capabilities(), driver.capabilities());
    loaded
}

async fn state(driver: &dyn Driver) -> MachineState {
    driver.state().await.expect("state")
}

/// Address, URL and SSH endpoint of a running machine agree.
async fn reached(driver: &dyn Driver, can: Capabilities) {
    let url = driver.url().await.expect("url");
    assert!(url.contains("://"), "{url} is a URL");
    let ssh = driver.ssh().await.expect("ssh");
    assert_eq!(
        ssh.is_some(),
        can.provisioned,
        "SSH reaches what we provision"
    );
    if let Some(ssh) = ssh {
        let address = driver.address().await.expect("address");
        let host = url.trim_start_matches("tcp://");
        assert!(host.starts_with(&address.in_url()), "{url} is at {address}");
        let forwarded = ssh.host.ip().is_some_and(|ip| ip.is_loopback());
        assert!(
            forwarded || ssh.host == address,
            "SSH goes to the address, or through a port of this computer: {}",
            ssh.host
        );
        assert!(driver.engine_port() > 0);
        assert!(!ssh.host_key_alias.is_empty());
    }
}

async fn power(subject: &Subject<'_>, driver: &mut Box<dyn Driver>, can: Capabilities) {
    let address = driver.address().await.expect("address");
    driver
        .start(&subject.work())
        .await
        .expect("start a running one");
    for turn in ["stop", "stop again"] {
        driver.stop(&subject.work()).await.expect(turn);
        assert_eq!(
            state(driver.as_ref()).await,
            MachineState::Stopped,
            "{turn}"
        );
    }
    match driver.address().await {
        Ok(still) => assert_eq!(still, address, "a stopped machine keeps its address"),
        Err(error) => assert!(matches!(error, DriverError::NotRunning), "{error}"),
    }
    *driver = reload(subject, driver.as_ref());
    for turn in ["start", "start again"] {
        driver.start(&subject.work()).await.expect(turn);
        assert_eq!(
            state(driver.as_ref()).await,
            MachineState::Running,
            "{turn}"
        );
    }
    if !can.address_moves {
        let now = driver.address().await.expect("address");
        assert_eq!(now, address, "the address does not move");
    }
    for turn in ["kill", "kill again"] {
        driver.kill(&subject.work()).await.expect(turn);
        assert_eq!(
            state(driver.as_ref()).await,
            MachineState::Stopped,
            "{turn}"
        );
    }
    driver
        .start(&subject.work())
        .await
        .expect("start after kill");
}

async fn no_power(subject: &Subject<'_>, driver: &mut dyn Driver) {
    let work = subject.work();
    unsupported(driver.start(&work).await, Operation::Start);
    unsupported(driver.stop(&work).await, Operation::Stop);
    unsupported(driver.kill(&work).await, Operation::Kill);
}

/// A running machine is put back to what it was, from whatever it is by then.
async fn snapshots(subject: &Subject<'_>, driver: &mut dyn Driver) {
    let work = subject.work();
    let name: SnapshotName = "before".parse().expect("a name");
    assert_eq!(driver.snapshots().await.expect("none yet"), []);
    driver.take_snapshot(&name, &work).await.expect("take");
    let taken = Snapshot {
        name: name.to_string(),
        current: true,
    };
    assert_eq!(driver.snapshots().await.expect("one"), [taken]);
    assert_eq!(state(driver).await, MachineState::Running, "after take");
    let again = driver.take_snapshot(&name, &work).await;
    assert!(again.is_err(), "a name stands for one state");
    let unknown = driver.restore_snapshot("unknown", &work).await;
    assert!(unknown.is_err(), "no such snapshot");
    assert_eq!(state(driver).await, MachineState::Running, "untouched");

    for turn in ["running", "stopped"] {
        if turn == "stopped" {
            driver.stop(&work).await.expect("stop");
        }
        let restored = driver.restore_snapshot(name.as_str(), &work).await;
        restored.expect(turn);
        assert_eq!(state(driver).await, MachineState::Running, "from {turn}");
    }
    for turn in ["remove", "remove again"] {
        let removed = driver.remove_snapshot(name.as_str(), &work).await;
        removed.expect(turn);
        assert_eq!(driver.snapshots().await.expect(turn), [], "{turn}");
    }
}

async fn no_snapshots(subject: &Subject<'_>, driver: &mut dyn Driver) {
    let work = subject.work();
    let name: SnapshotName = "before".parse().expect("a name");
    let asked = Operation::Snapshot;
    unsupported(driver.snapshots().await.map(drop), asked);
    unsupported(driver.take_snapshot(&name, &work).await, asked);
    unsupported(driver.restore_snapshot("before", &work).await, asked);
    unsupported(driver.remove_snapshot("before", &work).await, asked);
}

fn unsupported(result: Result<(), DriverError>, asked: Operation) {
    match result {
        Err(DriverError::Unsupported { operation, .. }) => assert_eq!(operation, asked),
        other => panic!("{asked} must be refused as unsupported, and gave {other:?}"),
    }
}

fn gone(result: Result<(), DriverError>, asked: &str) {
    assert!(
        matches!(result, Err(DriverError::Gone { .. })),
        "{asked} of a removed machine must say that it is gone, and gave {result:?}"
    );
}
