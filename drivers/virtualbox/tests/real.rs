//! The driver on a real VirtualBox: `RMACHINE_TEST_VBOXMANAGE` names its VBoxManage, and
//! `RMACHINE_TEST_ISO` a boot2docker image to boot. `tests/lab/virtualbox-driver.sh` has both.
//! Where VMs cannot run there, `RMACHINE_TEST_BROKEN` says what is missing: `amd-v` or `module`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the set-up of a test may fail, and it prints what it measured"
)]
#![allow(missing_docs, reason = "a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rmachine_driver::{Driver, FlagValue, MachineState, Report, ResourceJournal as _};
use rmachine_driver_conformance::Subject;
use rmachine_test_support::skip;
use rmachine_virtualbox::{IsoSource, IsoUnavailable, Surroundings, VirtualBoxKind};
use tokio::process::Command;

/// How long a machine may take until its sshd answers, under emulation.
const BOOT_LIMIT: Duration = Duration::from_secs(600);

/// The image that the environment names.
struct Image(PathBuf);

#[async_trait]
impl IsoSource for Image {
    async fn obtain(
        &self,
        _url: Option<&str>,
        _report: &dyn Report,
    ) -> Result<PathBuf, IsoUnavailable> {
        Ok(self.0.clone())
    }
}

/// The driver on the VirtualBox that the environment names, unless the reason to skip was printed.
fn kind() -> Option<(VirtualBoxKind, PathBuf)> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let (Some(program), Some(iso)) = (
        named("RMACHINE_TEST_VBOXMANAGE"),
        named("RMACHINE_TEST_ISO"),
    ) else {
        skip("RMACHINE_TEST_VBOXMANAGE and RMACHINE_TEST_ISO name no VirtualBox");
        return None;
    };
    let surroundings = Surroundings {
        vbox_manage: Some(program.clone()),
        ..Surroundings::default()
    };
    Some((
        VirtualBoxKind::new(surroundings, Arc::new(Image(iso))),
        program,
    ))
}

fn subject<'a>(kind: &'a VirtualBoxKind, name: &str) -> Subject<'a> {
    let flags = [
        ("virtualbox-memory", FlagValue::Number(768)),
        ("virtualbox-no-share", FlagValue::Switch(true)),
    ];
    Subject::new(kind, name, flags)
}

/// What a command says on the machine, once its sshd is up.
async fn on(driver: &dyn Driver, command: &str) -> String {
    let endpoint = driver.ssh().await.unwrap().unwrap();
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
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .args(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20"])
            .arg("-p")
            .arg(endpoint.port.unwrap().to_string())
            .arg("-i")
            .arg(endpoint.identity.as_ref().unwrap())
            .arg("-l")
            .arg(endpoint.user.as_ref().unwrap())
            .arg(endpoint.host.to_string())
            .arg(command)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        if output.status.success() {
            return String::from_utf8(output.stdout).unwrap();
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(began.elapsed() < BOOT_LIMIT, "{command}: {said}");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// The machine lets the key in that was put on its disk, and has the address that the driver tells.
async fn has_its_address(driver: &dyn Driver) {
    let address = driver.address().await.unwrap();
    let seen = on(driver, "ip -4 addr").await;
    assert!(
        seen.contains(&format!("inet {address}/24")),
        "{address}: {seen}"
    );
}

fn told(what: &str, began: Instant) {
    println!("{what}: {:.1} s", began.elapsed().as_secs_f32());
}

/// What is missing on this computer.
fn broken() -> Option<String> {
    std::env::var("RMACHINE_TEST_BROKEN").ok()
}

#[tokio::test]
async fn a_computer_that_cannot_run_vms_says_why() {
    let Some((kind, program)) = kind() else {
        return;
    };
    let Some(broken) = broken() else {
        return skip("RMACHINE_TEST_BROKEN names nothing that is missing");
    };
    let (found, refused) = match broken.as_str() {
        "amd-v" => ("virtualization: ", "offers no AMD-V"),
        _ => (
            "kernel module: ",
            "kernel module of host-only adapters is not loaded",
        ),
    };
    let served_before = served(&program).await;
    let subject = subject(&kind, "one");
    let mut driver = subject.configure();
    let error = driver.check(&subject.work()).await.unwrap_err();
    println!("{error}");
    assert!(error.to_string().contains(found), "{error}");
    let error = driver.create(&subject.work()).await.unwrap_err();
    println!("{error}");
    assert!(error.to_string().contains(refused), "{error:?}");
    driver.remove(&subject.work()).await.unwrap();
    assert!(subject.journal().owned().is_empty());
    nothing_is_left(&program, &served_before).await;
}

/// What VirtualBox lists of a kind.
async fn listed(program: &Path, list: &str) -> Vec<String> {
    let listed = Command::new(program).args(["list", list]).output().await;
    let told = String::from_utf8(listed.unwrap().stdout).unwrap();
    // The wrapper of distributions has something to say first.
    let told = told
        .lines()
        .filter(|line| line.contains(": ") || line.starts_with('"'));
    let told = told.filter(|line| !line.starts_with("WARNING"));
    told.map(str::to_owned).collect()
}

/// The networks that have a DHCP server; VirtualBox may have one from the beginning.
async fn served(program: &Path) -> BTreeSet<String> {
    let told = listed(program, "dhcpservers").await.into_iter();
    told.filter(|line| line.starts_with("NetworkName:"))
        .collect()
}

async fn nothing_is_left(program: &Path, served_before: &BTreeSet<String>) {
    for list in ["vms", "hostonlyifs", "hdds"] {
        let told = listed(program, list).await;
        assert!(told.is_empty(), "{list}: {told:?}");
    }
    let served = served(program).await;
    assert!(served.is_subset(served_before), "{served:?}");
    let told = listed(program, "dhcpservers").await;
    let mut kept = told.iter().filter(|l| l.starts_with("Individual Config:"));
    assert_eq!(kept.next(), None, "a kept address");
}

#[tokio::test]
async fn machines_live_and_keep_their_addresses() {
    let Some((kind, program)) = kind() else {
        return;
    };
    if let Some(broken) = broken() {
        return skip(&format!(
            "VMs cannot run here: RMACHINE_TEST_BROKEN={broken}"
        ));
    }
    let served_before = served(&program).await;
    let (one, two) = (subject(&kind, "one"), subject(&kind, "two"));
    let (mut first, mut second) = (one.configure(), two.configure());
    let began = Instant::now();
    first.check(&one.work()).await.unwrap();
    first.create(&one.work()).await.unwrap();
    told("create", began);
    has_its_address(first.as_ref()).await;
    told("create, to its sshd", began);
    // While the first one's DHCP server is running. Two at once would be slow, where all is emulated.
    let began = Instant::now();
    second.create(&two.work()).await.unwrap();
    told("create a second one", began);
    let address = first.address().await.unwrap();
    first.kill(&one.work()).await.unwrap();
    has_its_address(second.as_ref()).await;
    assert_ne!(second.address().await.unwrap(), address);
    let began = Instant::now();
    second.stop(&two.work()).await.unwrap();
    told("stop", began);
    assert_eq!(second.state().await.unwrap(), MachineState::Stopped);
    let began = Instant::now();
    second.remove(&two.work()).await.unwrap();
    told("remove", began);

    let mut first = one.load(first.config());
    first.start(&one.work()).await.unwrap();
    has_its_address(first.as_ref()).await;
    assert_eq!(first.address().await.unwrap(), address);
    first.kill(&one.work()).await.unwrap();
    first.remove(&one.work()).await.unwrap();
    assert!(one.journal().owned().is_empty());
    nothing_is_left(&program, &served_before).await;
}
