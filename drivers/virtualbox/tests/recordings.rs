//! The stand-in for VBoxManage against what VirtualBox printed: a life of VMs and networks, step by
//! step, in which every answer must be as it was recorded.

#![allow(clippy::unwrap_used, reason = "the set-up of a test may fail")]
#![allow(missing_docs, reason = "a test")]

#[allow(dead_code, reason = "each test needs some of it")]
mod world;

use std::fs;

use regex::Regex;

use world::World;

/// What a command was recorded to answer.
struct Recording {
    words: Vec<String>,
    exit: i32,
    out: String,
    err: String,
}

fn recording(name: &str) -> Recording {
    let file = fs::read_to_string(format!("tests/recordings/{name}.txt")).unwrap();
    let (head, outputs) = file.split_once("--- stdout\n").unwrap();
    let (out, err) = outputs.split_once("--- stderr\n").unwrap();
    let mut head = head.lines();
    let command = head.next().unwrap().strip_prefix("$ VBoxManage ").unwrap();
    let command = command.split("    (").next().unwrap();
    Recording {
        words: command.split(' ').map(str::to_owned).collect(),
        exit: head
            .next()
            .unwrap()
            .trim_start_matches("exit: ")
            .parse()
            .unwrap(),
        out: out.to_owned(),
        err: err.to_owned(),
    }
}

/// A text without what is another one in each run: identities, cards, times and places in
/// VirtualBox's source code. Usage texts are there or not, whatever they say.
fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, put) in [
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[ID]",
        ),
        (r#"(macaddress\d=")[0-9A-F]{12}"#, "$1[CARD]"),
        (r"Context: .*", "[CONTEXT]"),
        (r"(?s)\n+Usage - .*", "\n[USAGE]\n"),
        (r" *\n", "\n"),
    ] {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, put)
            .into_owned();
    }
    text
}

/// The stand-in at this world's directories.
fn at_home(text: &str, world: &World) -> String {
    text.replace(&world.path("lab").display().to_string(), "/lab")
}

/// Plays a recorded command, in this world's directories.
fn play(world: &World, name: &str) {
    let recorded = recording(name);
    let lab = world.path("lab").display().to_string();
    let words: Vec<String> = recorded
        .words
        .iter()
        .map(|word| word.replace("/lab", &lab))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let played = world.run(&words);
    let text = |bytes: &[u8]| plain(&at_home(&String::from_utf8_lossy(bytes), world));
    assert_eq!(played.status.code(), Some(recorded.exit), "{name}");
    let (out, err) = (text(&played.stdout), text(&played.stderr));
    if recorded.words[0] == "showvminfo" {
        // It tells less; what it tells is as recorded.
        let known = plain(&recorded.out);
        for line in out.lines() {
            let key = line.split('=').next().unwrap();
            let same = known
                .lines()
                .filter(|known| known.split('=').next() == Some(key));
            for known in same {
                assert_eq!(line, known, "{name}");
            }
        }
    } else {
        assert_eq!(out, plain(&recorded.out), "{name}: what it says");
    }
    assert_eq!(err, plain(&recorded.err), "{name}: what it complains of");
}

fn run(world: &World, command: &str) {
    let lab = world.path("lab").display().to_string();
    let words: Vec<String> = command
        .split(' ')
        .map(|word| word.replace("/lab", &lab))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = world.run(&words);
    assert!(
        done.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// A world with the directories and files that the recordings speak of.
fn lab() -> World {
    let world = World::new();
    for made in ["lab/vms", "lab/disk"] {
        fs::create_dir_all(world.path(made)).unwrap();
    }
    for file in [
        "lab/boot2docker.iso",
        "lab/disk/fake.iso",
        "lab/disk/disk.vmdk",
    ] {
        fs::write(world.path(file), "").unwrap();
    }
    world
}

#[test]
fn networks_are_as_recorded() {
    let world = lab();
    for name in [
        "version",
        "vms-none",
        "hostonlyifs-none",
        "hostonlynets-unknown",
        "hostonlyif-create",
        "hostonlyifs-just-created",
        "dhcpservers-just-created",
        "hostonlyif-ipconfig-denied",
        "hostonlyif-ipconfig-unknown",
        "hostonlyif-ipconfig",
        "hostonlyifs-one",
        "dhcpserver-modify",
        "dhcpserver-add-exists",
        "dhcpserver-restart-not-running",
        "dhcpserver-modify-unknown",
        "dhcpserver-remove-unknown",
        "dhcpserver-keep",
        "dhcpservers-kept",
        "hostonlyif-remove-unknown",
    ] {
        play(&world, name);
    }
    run(&world, "hostonlyif create");
    play(&world, "hostonlyif-remove");
}

#[test]
fn a_vm_is_as_recorded() {
    let world = lab();
    run(&world, "hostonlyif create");
    for name in [
        "createvm",
        "showvminfo-unknown",
        "startvm-unknown",
        "controlvm-unknown",
        "unregistervm-unknown",
    ] {
        play(&world, name);
    }
    for command in [
        "modifyvm r1 --cpus 1 --memory 512 --nic1 nat --nictype1 82540EM",
        "modifyvm r1 --nic2 hostonly --hostonlyadapter2 vboxnet0 --nictype2 82540EM --macaddress2 0800271CB662",
        "modifyvm r1 --natpf1 ssh,tcp,127.0.0.1,33022,,22",
        "storagectl r1 --name SATA --add sata --hostiocache on",
        "storageattach r1 --storagectl SATA --port 0 --device 0 --type dvddrive --medium /lab/boot2docker.iso",
    ] {
        run(&world, command);
    }
    for name in [
        "showvminfo-poweroff",
        "startvm",
        "showvminfo-running",
        "startvm-already-running",
        "modifyvm-locked",
        "unregistervm-running",
        "controlvm-natpf-add",
        "controlvm-natpf-same-name",
        "controlvm-natpf-delete",
        "controlvm-natpf-delete-none",
        "controlvm-resume-not-paused",
        "controlvm-pause",
        "controlvm-pause-again",
        "controlvm-acpipowerbutton-paused",
        "showvminfo-paused",
    ] {
        play(&world, name);
    }
    run(&world, "controlvm r1 resume");
    for name in [
        "controlvm-savestate",
        "showvminfo-saved",
        "modifyvm-saved",
        "controlvm-poweroff-saved",
    ] {
        play(&world, name);
    }
    run(&world, "startvm r1 --type headless");
    for name in ["controlvm-poweroff", "showvminfo-poweroff"] {
        play(&world, name);
    }
    run(&world, "startvm r1 --type headless");
    play(&world, "controlvm-acpipowerbutton");
    fs::remove_file(world.path("lab/boot2docker.iso")).unwrap();
    play(&world, "startvm-iso-gone");
    fs::write(world.path("lab/boot2docker.iso"), "").unwrap();
    run(&world, "hostonlyif remove vboxnet0");
    play(&world, "startvm-adapter-gone");
    play(&world, "unregistervm");
    play(&world, "vms-none");
}

#[test]
fn settings_are_as_recorded() {
    let world = lab();
    run(
        &world,
        "createvm --basefolder /lab/disk --name lab1 --register",
    );
    run(
        &world,
        "modifyvm lab1 --nic1 nat --nictype1 82540EM --memory 1024 --cpus 1",
    );
    for name in [
        "createvm-exists",
        "modifyvm-unknown-option",
        "natpf-delete-none",
        "storageattach-no-controller",
    ] {
        play(&world, name);
    }
    run(
        &world,
        "storagectl lab1 --name SATA --add sata --hostiocache on",
    );
    run(&world, "modifyvm lab1 --natpf1 ssh,tcp,127.0.0.1,33022,,22");
    run(
        &world,
        "sharedfolder add lab1 --name hosthome --hostpath /lab --automount",
    );
    for name in [
        "storagectl-again",
        "storageattach-missing",
        "natpf-same-name",
        "natpf-same-port",
        "sharedfolder-again",
        "sharedfolder-missing",
        "startvm-bad-type",
        "controlvm-not-running",
        "guestproperty-get-none",
    ] {
        play(&world, name);
    }
    run(
        &world,
        "guestproperty set lab1 /VirtualBox/GuestAdd/SharedFolders/MountDir /",
    );
    play(&world, "guestproperty-get");
    run(
        &world,
        "createvm --basefolder /lab/disk --name a/b --register",
    );
    play(&world, "vms");
    play(&world, "clonemedium");
    play(&world, "closemedium-unknown");
    run(
        &world,
        "storageattach lab1 --storagectl SATA --port 1 --device 0 --type hdd --medium /lab/disk/disk.vmdk",
    );
    play(&world, "closemedium-in-use");
    for name in [
        "snapshot-list-none",
        "snapshot-take",
        "snapshot-list",
        "snapshot-restore",
        "snapshot-delete",
        "snapshot-list-none",
    ] {
        play(&world, name);
    }
    world.wish(serde_json::json!({"no_virtualization": true}));
    run(
        &world,
        "createvm --basefolder /lab/vms --name r1 --register",
    );
    play(&world, "startvm-no-svm");
}
