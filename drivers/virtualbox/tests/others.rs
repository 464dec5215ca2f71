//! Machines that other programs made: docker-machine, and Boot2Docker before it.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use std::fs;

use rmachine_driver::{MachineState, ResourceJournal as _};
use serde_json::json;

use world::{World, subject, text};

#[tokio::test]
async fn a_machine_of_docker_machine_is_driven_and_removed() {
    let world = World::new();
    world.wish(json!({"additions": true}));
    let kind = world.kind();
    let subject = subject(&kind, "old", []);
    let directory = subject.machine_dir().to_str().unwrap().to_owned();
    for words in [
        &[
            "createvm",
            "--basefolder",
            &directory,
            "--name",
            "old",
            "--register",
        ][..],
        &["hostonlyif", "create"],
        &[
            "modifyvm",
            "old",
            "--nic1",
            "nat",
            "--natpf1",
            "ssh,tcp,127.0.0.1,34427,,22",
        ],
        &[
            "modifyvm",
            "old",
            "--nic2",
            "hostonly",
            "--hostonlyadapter2",
            "vboxnet0",
        ],
    ] {
        assert!(world.run(words).status.success(), "{words:?}");
    }
    // Where docker-machine had it before VirtualBox allowed only some addresses.
    world.change(|state| {
        state["adapters"][0]["address"] = json!("192.168.99.1");
        state["servers"][0]["address"] = json!("192.168.99.2");
        state["servers"][0]["lower"] = json!("192.168.99.100");
        state["servers"][0]["upper"] = json!("192.168.99.254");
    });
    let record = json!({
        "IPAddress": "192.168.99.100", "MachineName": "old", "SSHUser": "docker",
        "SSHPort": 34427, "SSHKeyPath": "", "StorePath": "", "VBoxManager": {},
        "HostInterfaces": {}, "CPU": 1, "Memory": 1024, "DiskSize": 20000,
        "HostOnlyCIDR": "192.168.99.1/24", "UIType": "headless", "SwarmMaster": false,
    });
    let mut driver = subject.load(record.as_object().unwrap().clone());
    assert!(driver.capabilities().address_moves);
    assert_eq!(driver.state().await.unwrap(), MachineState::Stopped);
    driver.start(&subject.work()).await.unwrap();
    assert_eq!(
        driver.address().await.unwrap().to_string(),
        "192.168.99.100"
    );
    let endpoint = driver.ssh().await.unwrap().unwrap();
    assert_eq!(endpoint.port, Some(34427));
    assert_eq!(
        endpoint.identity.unwrap(),
        subject.machine_dir().join("id_rsa")
    );
    assert_eq!(
        world.state()["servers"][0]["kept"],
        json!({}),
        "its addresses are left alone"
    );
    driver.stop(&subject.work()).await.unwrap();
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!(world.count("vms"), 0);
    // Not ours: docker-machine's other machines are on it.
    assert_eq!((world.count("adapters"), world.count("servers")), (1, 1));
}

#[tokio::test]
async fn a_machine_of_docker_machine_comes_back_after_its_adapter_went() {
    let world = World::new();
    world.wish(json!({"additions": true}));
    let kind = world.kind();
    let subject = subject(&kind, "old", []);
    let directory = subject.machine_dir().to_str().unwrap().to_owned();
    let attach = [
        "modifyvm",
        "old",
        "--nic2",
        "hostonly",
        "--hostonlyadapter2",
        "vboxnet0",
    ];
    for words in [
        &["createvm", "--basefolder", &directory, "--name", "old"][..],
        &attach,
    ] {
        assert!(world.run(words).status.success(), "{words:?}");
    }
    let record = json!({
        "MachineName": "old", "IPAddress": "192.168.63.100", "HostOnlyCIDR": "192.168.63.1/24",
    });
    let mut driver = subject.load(record.as_object().unwrap().clone());
    driver.start(&subject.work()).await.unwrap();
    // VirtualBox's own server for a new adapter would have served another network.
    let address = driver.address().await.unwrap().to_string();
    assert_eq!(address, "192.168.63.128");
    assert_eq!(world.state()["servers"][0]["kept"], json!({}));
    assert_eq!(driver.config()["IPAddress"], "192.168.63.100");
}

#[tokio::test]
async fn a_vm_of_somebody_else_with_the_machines_name_stays() {
    let world = World::new();
    let kind = world.kind();
    let subject = subject(&kind, "old", []);
    let elsewhere = world.path("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    let create = [
        "createvm",
        "--basefolder",
        elsewhere.to_str().unwrap(),
        "--name",
        "old",
    ];
    assert!(world.run(&create).status.success());
    let record = json!({"MachineName": "old", "SSHPort": 1});
    let mut driver = subject.load(record.as_object().unwrap().clone());
    let error = driver.remove(&subject.work()).await.unwrap_err();
    assert!(error.to_string().contains("not this machine's"), "{error}");
    assert_eq!(world.count("vms"), 1);
}

/// A world with a VM that Boot2Docker left, which is running; and its disk.
fn with_boot2docker() -> (World, String) {
    let world = World::new();
    fs::create_dir_all(world.path("home/.ssh")).unwrap();
    fs::write(world.path("home/.ssh/id_boot2docker"), "a key").unwrap();
    fs::create_dir_all(world.path("elsewhere")).unwrap();
    let disk = world.path("elsewhere/b2d.vmdk");
    fs::write(&disk, "a disk").unwrap();
    let (elsewhere, disk) = (world.path("elsewhere"), disk.to_str().unwrap().to_owned());
    for words in [
        &[
            "createvm",
            "--basefolder",
            elsewhere.to_str().unwrap(),
            "--name",
            "boot2docker-vm",
        ][..],
        &[
            "modifyvm",
            "boot2docker-vm",
            "--memory",
            "2048",
            "--cpus",
            "2",
        ],
        &[
            "storagectl",
            "boot2docker-vm",
            "--name",
            "SATA",
            "--add",
            "sata",
        ],
        &[
            "storageattach",
            "boot2docker-vm",
            "--storagectl",
            "SATA",
            "--port",
            "1",
            "--device",
            "0",
            "--type",
            "hdd",
            "--medium",
            &disk,
        ],
        &["startvm", "boot2docker-vm", "--type", "headless"],
    ] {
        assert!(world.run(words).status.success(), "{words:?}");
    }
    (world, disk)
}

#[tokio::test]
async fn a_boot2docker_vm_is_copied_while_it_is_off() {
    let (world, disk) = with_boot2docker();
    let kind = world.kind();
    let flags = [("virtualbox-import-boot2docker-vm", text("boot2docker-vm"))];
    let subject = subject(&kind, "copy", flags);
    let mut driver = subject.configure();
    let error = driver.create(&subject.work()).await.unwrap_err();
    assert!(
        error.to_string().contains("only while it is off"),
        "{error}"
    );

    assert!(
        world
            .run(&["controlvm", "boot2docker-vm", "poweroff"])
            .status
            .success()
    );
    // As if an earlier copy had been cut off.
    for left in ["disk.vmdk", "disk.copying"] {
        fs::write(subject.machine_dir().join(left), "half").unwrap();
    }
    driver.create(&subject.work()).await.unwrap();
    let config = driver.config();
    assert_eq!(
        (&config["Memory"], &config["CPU"]),
        (&json!(2048), &json!(2))
    );
    let own = |name: &str| fs::read_to_string(subject.machine_dir().join(name)).unwrap();
    assert_eq!(
        (own("disk.vmdk").as_str(), own("id_ed25519").as_str()),
        ("a disk", "a key")
    );
    assert!(!subject.machine_dir().join("disk.copying").exists());
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!(world.count("vms"), 1, "the copied one stays");
    assert_eq!(fs::read_to_string(&disk).unwrap(), "a disk");
    assert!(subject.journal().owned().is_empty());
}

#[tokio::test]
async fn a_copied_disk_that_no_vm_has_yet_is_forgotten() {
    let (world, _) = with_boot2docker();
    let off = ["controlvm", "boot2docker-vm", "poweroff"];
    assert!(world.run(&off).status.success());
    let kind = world.kind();
    let flags = || [("virtualbox-import-boot2docker-vm", text("boot2docker-vm"))];
    let subject_of_cut = subject(&kind, "copy", flags());
    let mut cut = subject_of_cut.configure();
    world.fail("createvm", "VBoxManage: error: cut off here\n");
    cut.create(&subject_of_cut.work()).await.unwrap_err();
    assert_eq!(world.count("disks"), 1);
    world.wish(json!({}));
    cut.remove(&subject_of_cut.work()).await.unwrap();
    assert_eq!(world.count("disks"), 0);
    assert!(subject_of_cut.journal().owned().is_empty());

    // What an earlier machine left behind at the very place.
    let subject = subject(&kind, "copy", flags());
    let place = subject.machine_dir().join("disk.vmdk");
    world.change(|state| state["disks"] = json!([place]));
    let mut driver = subject.configure();
    driver.create(&subject.work()).await.unwrap();
    assert_eq!(fs::read_to_string(&place).unwrap(), "a disk");
    driver.remove(&subject.work()).await.unwrap();
    assert_eq!((world.count("vms"), world.count("disks")), (1, 0));
}

#[tokio::test]
async fn a_copy_that_virtualbox_still_makes_is_left_alone() {
    let (world, _) = with_boot2docker();
    let off = ["controlvm", "boot2docker-vm", "poweroff"];
    assert!(world.run(&off).status.success());
    let kind = world.kind();
    let flags = [("virtualbox-import-boot2docker-vm", text("boot2docker-vm"))];
    let subject = subject(&kind, "copy", flags);
    for left in ["disk.vmdk", "disk.copying"] {
        fs::write(subject.machine_dir().join(left), "half").unwrap();
    }
    let words = "is locked for writing by another task (VBOX_E_INVALID_OBJECT_STATE)";
    world.fail("closemedium", &format!("VBoxManage: error: {words}\n"));
    let mut driver = subject.configure();
    let error = driver.create(&subject.work()).await.unwrap_err();
    assert!(error.to_string().contains("was begun before"), "{error}");
    let half = fs::read_to_string(subject.machine_dir().join("disk.vmdk"));
    assert_eq!(half.unwrap(), "half");
}
