//! What the driver says when VirtualBox refuses, with VirtualBox's own words as they were recorded.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use std::error::Error;
use std::fs;

use rmachine_driver::{Driver, DriverError, FlagValue, MachineState, ResourceJournal as _};
use rmachine_driver_conformance::Subject;
use serde_json::json;
use snapbox::{assert_data_eq, str};

use world::{World, subject, text};

/// What VirtualBox 7.2 logs when the disk on which a VM's disk lies is full.
const STOPPED: &str = "00:00:09 Console: VM runtime error: fatal=false, errorID=DrvVD_DISKFULL message=\"Host system reported disk full. VM execution is suspended. You can resume after freeing some space\"\n00:00:09 Changing the VM state from 'SUSPENDING' to 'SUSPENDED'\n";

/// The standard error of a recorded command.
fn recorded(name: &str) -> String {
    let file = fs::read_to_string(format!("tests/recordings/{name}.txt")).unwrap();
    let (_, err) = file.split_once("--- stderr\n").unwrap();
    err.to_owned()
}

/// An error as the program shows it: with its causes, and what to do.
fn shown(error: &DriverError) -> String {
    let mut lines = vec![format!("error: {error}")];
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push(format!("caused by: {error}"));
        cause = error.source();
    }
    match error {
        DriverError::Backend {
            hint: Some(hint), ..
        }
        | DriverError::WentDown {
            hint: Some(hint), ..
        } => lines.push(format!("hint: {hint}")),
        DriverError::Check(failures) => {
            lines.truncate(1);
            lines[0] = "error: the pre-create check failed".to_owned();
            for failure in failures {
                lines.push(format!("{failure}"));
                lines.push(format!("  {}", failure.remedy));
            }
        }
        _ => {}
    }
    lines.join("\n") + "\n"
}

/// Without what is another one in each run.
fn plain(text: &str, subject: &Subject<'_>, driver: &dyn Driver) -> String {
    let id = driver.config()["VMID"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let text = text.replace(&subject.machine_dir().display().to_string(), "[MACHINE]");
    if id.is_empty() {
        text
    } else {
        text.replace(&id, "[VM]")
    }
}

/// What a create says when one command fails as it was recorded.
async fn create_fails(command: &str, recording: &str) -> String {
    let world = World::new();
    world.fail(command, &recorded(recording));
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    let error = driver.create(&subject.work()).await.unwrap_err();
    let told = plain(&shown(&error), &subject, driver.as_ref());
    // Whatever failed, what was made is found again.
    world.wish(json!({}));
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!((world.count("vms"), world.count("adapters")), (0, 0));
    assert!(subject.journal().owned().is_empty());
    told
}

#[tokio::test]
async fn no_amd_v() {
    assert_data_eq!(
        create_fails("startvm", "startvm-no-svm").await,
        str![[r#"
error: cannot create: starting the VM failed: this computer offers no AMD-V to VirtualBox
caused by: "VBoxManage startvm [VM] --type headless" failed: AMD-V is not available (VERR_SVM_NO_SVM); Details: code NS_ERROR_FAILURE (0x80004005), component ConsoleWrap, interface IConsole
hint: switch virtualization on in the firmware; in a VM, switch nested virtualization on in the hypervisor above

"#]]
    );
}

#[tokio::test]
async fn no_module() {
    assert_data_eq!(
        create_fails("startvm", "startvm-no-module").await,
        str![[r#"
error: cannot create: starting the VM failed: VirtualBox's kernel module is not loaded, or does not let the VM in
caused by: "VBoxManage startvm [VM] --type headless" failed: The virtual machine 'r1' has terminated unexpectedly during startup with exit code 1 (0x1); Details: code NS_ERROR_FAILURE (0x80004005), component MachineWrap, interface IMachine
hint: load VirtualBox's kernel modules (sudo modprobe -a vboxdrv vboxnetflt vboxnetadp); where there are none, install virtualbox-dkms and the kernel's headers, or run sudo /sbin/vboxconfig

"#]]
    );
    assert_data_eq!(
        create_fails("hostonlyif create", "hostonlyif-create-no-module").await,
        str![[r#"
error: cannot create: making a host-only adapter failed: the kernel module of host-only adapters is not loaded
caused by: "VBoxManage hostonlyif create" failed: Failed to create the host-only adapter; VBoxNetAdpCtl: Error while adding new interface: failed to open /dev/vboxnetctl: No such file or directory; Details: code NS_ERROR_FAILURE (0x80004005), component HostNetworkInterfaceWrap, interface IHostNetworkInterface
hint: load VirtualBox's kernel modules (sudo modprobe -a vboxdrv vboxnetflt vboxnetadp); where there are none, install virtualbox-dkms and the kernel's headers, or run sudo /sbin/vboxconfig

"#]]
    );
}

#[tokio::test]
async fn range_refused_by_virtualbox_itself() {
    assert_data_eq!(
        create_fails("hostonlyif ipconfig", "hostonlyif-ipconfig-denied").await,
        str![[r#"
error: cannot create: giving vboxnet0 the address 192.168.58.1/24 failed: VirtualBox does not allow it
caused by: "VBoxManage hostonlyif ipconfig vboxnet0 --ip 192.168.58.1 --netmask 255.255.255.0" failed: Code E_ACCESSDENIED (0x80070005) - Access denied (extended info not available)
hint: allow the addresses in /etc/vbox/networks.conf, or remove the machine and choose others with --virtualbox-hostonly-cidr

"#]]
    );
}

#[tokio::test]
async fn iso_gone() {
    assert_data_eq!(
        create_fails("startvm", "startvm-iso-gone").await,
        str![[r#"
error: cannot create: starting the VM failed: a file that the VM needs is missing
caused by: "VBoxManage startvm [VM] --type headless" failed: VD: error VERR_FILE_NOT_FOUND opening image file '/lab/boot2docker.iso' (VERR_FILE_NOT_FOUND).; Failed to open image '/lab/boot2docker.iso' in read-only mode (VERR_FILE_NOT_FOUND).; AHCI: Failed to attach drive to Port0 (VERR_FILE_NOT_FOUND); Details: code NS_ERROR_FAILURE (0x80004005), component ConsoleWrap, interface IConsole
hint: put the file back where the message says it was

"#]]
    );
}

#[tokio::test]
async fn directory_forbidden() {
    assert_data_eq!(
        create_fails("createvm", "createvm-forbidden").await,
        str![[r#"
error: cannot create: making the VM failed: VirtualBox may not write where the machine is to be
caused by: "VBoxManage createvm --basefolder [MACHINE] --name n1 --uuid [VM] --ostype Linux26_64 --register" failed: Invalid machine settings file name '/lab/rootonly/y/u3/u3.vbox' (VERR_ACCESS_DENIED); Details: code VBOX_E_FILE_ERROR (0x80bb0004), component MachineWrap, interface IMachine, callee nsISupports
hint: give the user who runs VirtualBox the right to write there

"#]]
    );
}

#[tokio::test]
async fn server_does_not_start() {
    assert_data_eq!(
        create_fails("list hostonlyifs", "no-server").await,
        str![[r#"
error: cannot create: listing host-only adapters failed: VirtualBox's own server does not start
caused by: "VBoxManage list hostonlyifs" failed: Failed to create the VirtualBox object!; Code NS_ERROR_SOCKET_FAIL (0xC1F30200) - IPC daemon socket error (extended info not available); Most likely, the VirtualBox COM server is not running or failed to start.
hint: end what is left of it (VBoxSVC, VBoxXPCOMIPCD) and look into ~/.config/VirtualBox/VBoxSVC.log

"#]]
    );
}

#[tokio::test]
async fn what_only_the_log_tells() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    driver.kill(&subject.work()).await.unwrap();
    let log = subject.machine_dir().join("n1/Logs/VBox.log");
    let words = "00:00:01.5 VMX: VERR_VMX_IN_VMX_ROOT_MODE\n00:00:02 Console: Machine state changed to 'PoweredOff'\n";
    fs::write(log, words).unwrap();
    world.fail("startvm", &recorded("startvm-no-module"));
    let error = driver.start(&subject.work()).await.unwrap_err();
    assert_data_eq!(
        plain(&shown(&error), &subject, driver.as_ref()),
        str![[r#"
error: cannot start: starting the VM failed: another hypervisor, most likely KVM, holds VT-x (VBox.log: VMX: VERR_VMX_IN_VMX_ROOT_MODE)
caused by: "VBoxManage startvm [VM] --type headless" failed: The virtual machine 'r1' has terminated unexpectedly during startup with exit code 1 (0x1); Details: code NS_ERROR_FAILURE (0x80004005), component MachineWrap, interface IMachine
hint: unload KVM (sudo modprobe -r kvm_intel kvm_amd), or boot with kvm.enable_virt_at_load=0

"#]]
    );
}

#[tokio::test]
async fn a_vm_that_stops_while_it_is_waited_for_says_why() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    driver.still_up().await.unwrap();
    let id = driver.config()["VMID"].as_str().unwrap().to_owned();
    assert!(world.run(&["controlvm", &id, "pause"]).status.success());
    let told = shown(&driver.still_up().await.unwrap_err());
    assert_eq!(
        told,
        "error: the machine was waited for, and is Paused now\n"
    );

    let log = subject.machine_dir().join("n1/Logs/VBox.log");
    fs::write(log, STOPPED).unwrap();
    let told = shown(&driver.still_up().await.unwrap_err());
    assert_data_eq!(
        told,
        str![[r#"
error: the machine was waited for, and is Paused now: Host system reported disk full. VM execution is suspended. You can resume after freeing some space
hint: free some space, and run the command again

"#]]
    );

    assert!(world.run(&["controlvm", &id, "poweroff"]).status.success());
    assert!(
        world
            .run(&["unregistervm", &id, "--delete"])
            .status
            .success()
    );
    let gone = driver.still_up().await.unwrap_err();
    assert!(matches!(gone, DriverError::Gone { .. }), "{gone}");
}

#[tokio::test]
async fn check_finds_every_reason_at_once() {
    let world = World::new();
    world.wish(json!({"no_virtualization": true, "version": "4.3.40r110317"}));
    fs::remove_file(world.path("root/dev/vboxdrv")).unwrap();
    let made = world.path("others");
    fs::create_dir_all(&made).unwrap();
    let other = [
        "createvm",
        "--basefolder",
        made.to_str().unwrap(),
        "--name",
        "n1",
        "--uuid",
        "11111111-2222-4333-8444-555555555555",
    ];
    assert!(world.run(&other).status.success());
    let kind = world.kind();
    let flags = [
        ("virtualbox-memory", FlagValue::Number(1_000_000)),
        ("virtualbox-cpu-count", FlagValue::Number(5)),
        ("virtualbox-hostonly-cidr", text("127.0.0.1/24")),
    ];
    let subject = subject(&kind, "n1", flags);
    let driver = subject.configure();
    let error = driver.check(&subject.work()).await.unwrap_err();
    assert_data_eq!(
        shown(&error),
        str![[r#"
error: the pre-create check failed
version: VirtualBox 4.3.40 is too old
  install VirtualBox 7
kernel module: vboxdrv is not loaded: there is no /dev/vboxdrv
  load VirtualBox's kernel modules (sudo modprobe -a vboxdrv vboxnetflt vboxnetadp); where there are none, install virtualbox-dkms and the kernel's headers, or run sudo /sbin/vboxconfig
virtualization: the processor offers neither VT-x nor AMD-V
  switch it on in the firmware, or in the hypervisor above; --virtualbox-no-vtx-check goes on without looking
memory: 1000000 MB are asked for, and this computer has 16384
  give less with --virtualbox-memory
processors: 5 are asked for, and this computer has 4
  give fewer with --virtualbox-cpu-count
vm: VirtualBox has a VM n1 (11111111-2222-4333-8444-555555555555) that is not of this machine
  give the machine another name, or remove that VM
host-only network: this computer has another network 127.0.0.0/8 where 127.0.0.1/24 would be
  choose a network of your own with --virtualbox-hostonly-cidr

"#]]
    );
}

#[tokio::test]
async fn a_range_is_refused_by_a_virtualbox_that_has_limits() {
    let outside = || [("virtualbox-hostonly-cidr", text("192.168.99.1/24"))];
    for version in ["6.1.28r147628", "7.2.22_Debianr175245", "unknown"] {
        let world = World::new();
        world.wish(json!({"version": version}));
        let kind = world.kind();
        let subject = subject(&kind, "n1", outside());
        let error = subject.configure().check(&subject.work()).await;
        assert_data_eq!(
            shown(&error.unwrap_err()),
            str![[r#"
error: the pre-create check failed
host-only network: VirtualBox allows no host-only network 192.168.99.1/24 here: it allows 192.168.56.0/21
  choose another with --virtualbox-hostonly-cidr, or allow it: echo '* 192.168.99.0/24' | sudo tee -a /etc/vbox/networks.conf

"#]]
        );
    }
    for version in ["5.2.44r139111", "6.1.26_Ubuntur145957"] {
        let world = World::new();
        world.wish(json!({"version": version, "allowed": ["192.168."]}));
        let kind = world.kind();
        let asked = subject(&kind, "asked", outside());
        let mut driver = asked.configure();
        driver.check(&asked.work()).await.unwrap();
        driver.create(&asked.work()).await.unwrap();
        assert_eq!(world.state()["adapters"][0]["address"], "192.168.99.1");
        let usual = subject(&kind, "usual", []);
        let mut driver = usual.configure();
        driver.create(&usual.work()).await.unwrap();
        assert_eq!(driver.config()["HostOnlyCIDR"], "192.168.58.1/24");
    }
}

#[tokio::test]
async fn no_vboxmanage_is_said_so() {
    let world = World::new();
    fs::remove_file(world.path("box/VBoxManage")).unwrap();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let driver = subject.configure();
    let error = driver.check(&subject.work()).await.unwrap_err();
    assert!(shown(&error).contains("VBOX_MANAGE"), "{}", shown(&error));
}

#[tokio::test]
async fn the_wrappers_warning_stops_the_check_and_nothing_else() {
    let world = World::new();
    let warning = "WARNING: The character device /dev/vboxdrv does not exist.\n\t Please install the virtualbox-dkms package\n\n";
    world.wish(json!({"before": warning}));
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    let error = driver.check(&subject.work()).await.unwrap_err();
    assert!(error.to_string().contains("kernel module"), "{error}");
    driver.create(&subject.work()).await.unwrap();
    assert_eq!(driver.state().await.unwrap(), MachineState::Running);
}

#[tokio::test]
async fn a_newer_virtualbox_is_warned_of_and_used() {
    let world = World::new();
    world.wish(json!({"version": "8.1.0r200000"}));
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    subject.configure().check(&subject.work()).await.unwrap();
    let told = subject.told().texts();
    assert!(
        told.iter().any(|text| text.contains("8.1.0 is newer")),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_server_that_goes_between_two_calls_is_asked_again() {
    let world = World::new();
    let gone = json!({"begins": "dhcpserver", "exit": 1, "times": 2, "err": recorded("no-server")});
    world.wish(json!({"failures": [gone]}));
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    let tries = world.calls();
    let tries = tries.iter().filter(|call| call.starts_with("dhcpserver"));
    assert_eq!(tries.count(), 3);
}

#[tokio::test]
async fn a_locked_vm_is_waited_for() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "n1", []);
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    driver.kill(&subject.work()).await.unwrap();
    world.forget_calls();
    let busy = json!({"begins": "startvm", "exit": 1, "times": 3, "err": recorded("startvm-already-running")});
    world.wish(json!({"failures": [busy]}));
    driver.start(&subject.work()).await.unwrap();
    let tries = world
        .calls()
        .iter()
        .filter(|call| call.starts_with("startvm"))
        .count();
    assert_eq!(tries, 4);
}

#[tokio::test]
async fn an_address_is_asked_for_and_given_or_refused() {
    let world = World::new();
    let kind = world.kind();
    let asked = |address| [("virtualbox-hostonly-address", text(address))];
    let first = subject(&kind, "first", asked("192.168.58.77"));
    let mut driver = first.configure();
    driver.create(&first.work()).await.unwrap();
    assert_eq!(driver.address().await.unwrap().to_string(), "192.168.58.77");

    let second = subject(&kind, "second", asked("192.168.58.77"));
    let mut refused = second.configure();
    let error = refused.create(&second.work()).await.unwrap_err();
    assert_data_eq!(
        shown(&error),
        str![[r#"
error: cannot create: the machine cannot have the address 192.168.58.77 on 192.168.58.0/24: it is another's, or among those that the DHCP server gives to anybody (192.168.58.128 to 192.168.58.254)
hint: choose another with --virtualbox-hostonly-address, or leave the choice to rmachine

"#]]
    );
    refused.remove(&second.work()).await.unwrap();

    let third = subject(&kind, "third", asked("dhcp"));
    let mut moving = third.configure();
    assert!(moving.capabilities().address_moves);
    moving.create(&third.work()).await.unwrap();
    assert!(moving.capabilities().address_moves);
    assert_eq!(
        moving.address().await.unwrap().to_string(),
        "192.168.58.128"
    );
}

/// What the check says of a machine with these options.
async fn check_finds(
    world: &World,
    flags: impl IntoIterator<Item = (&'static str, FlagValue)>,
) -> Result<(), String> {
    let kind = world.kind();
    let subject = Subject::new(&kind, "asks", flags);
    let checked = subject.configure().check(&subject.work()).await;
    checked.map_err(|error| shown(&error))
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_found_before_anything_is_made() {
    let world = World::new();
    let asks = |address| {
        [
            ("virtualbox-no-share", FlagValue::Switch(true)),
            ("virtualbox-hostonly-address", text(address)),
        ]
    };
    let told = check_finds(&world, asks("192.168.58.200")).await;
    assert_data_eq!(
        told.unwrap_err(),
        str![[r#"
error: the pre-create check failed
address: 192.168.58.200 is among those that the DHCP server gives to anybody (192.168.58.128 to 192.168.58.254)
  choose another with --virtualbox-hostonly-address, such as 192.168.58.3, or leave the choice to rmachine

"#]]
    );
    check_finds(&world, asks("192.168.58.77")).await.unwrap();
    assert_eq!(world.count("adapters"), 0);

    let kind = world.kind();
    let has = subject(&kind, "has", asks("192.168.58.77"));
    let mut driver = has.configure();
    driver.create(&has.work()).await.unwrap();
    let told = check_finds(&world, asks("192.168.58.77")).await;
    let told = told.unwrap_err();
    assert!(
        told.contains("192.168.58.77 is another machine's"),
        "{told}"
    );
    // Its own is no other's.
    driver.check(&has.work()).await.unwrap();

    // The range of a server that is there counts.
    world.change(|state| state["servers"][0]["lower"] = json!("192.168.58.50"));
    let told = check_finds(&world, asks("192.168.58.60")).await;
    let told = told.unwrap_err();
    assert!(told.contains("(192.168.58.50 to 192.168.58.254)"), "{told}");

    let no_server = [("virtualbox-hostonly-no-dhcp", FlagValue::Switch(true))];
    let told = check_finds(&world, asks("192.168.58.4").into_iter().chain(no_server)).await;
    let told = told.unwrap_err();
    assert!(
        told.contains("leave out --virtualbox-hostonly-no-dhcp"),
        "{told}"
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_shared_is_found_before_anything_is_made() {
    let world = World::new();
    for (directory, wrong) in [
        (world.path("nowhere"), "does not exist"),
        (world.path("b2d.iso"), "is no directory"),
        ("home".into(), "is no absolute path"),
    ] {
        let asked = format!("{}:data", directory.display());
        let told = check_finds(&world, [("virtualbox-share-folder", text(&asked))]).await;
        let told = told.unwrap_err();
        assert!(told.contains(wrong), "{told}");
        assert!(told.contains("--virtualbox-share-folder"), "{told}");
    }
    let asked = format!("{}:data", world.path("root").display());
    check_finds(&world, [("virtualbox-share-folder", text(&asked))])
        .await
        .unwrap();
    assert_eq!(world.count("vms"), 0);
}
