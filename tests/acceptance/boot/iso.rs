//! The ISO that `rmachine iso build` makes, booted for real.

use std::path::PathBuf;
use std::process::Command;

use rmachine_test_support::skip;

use super::computer::Computer;
use super::turn;
use crate::lab::Ran;
use crate::person::Person;

/// The ISO, built by the program; nothing where that cannot be.
fn built() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/iso.sh");
    let mut command = Command::new("sh");
    let ran = Ran::of(command.args([script, env!("CARGO_BIN_EXE_rmachine")]));
    match ran.code {
        77 => {
            skip(&format!("no ISO to boot: {}", ran.err.trim()));
            None
        }
        _ => Some(PathBuf::from(ran.ok())),
    }
}

#[test]
fn a_built_iso_boots_and_becomes_a_machine_that_outlives_a_reboot() {
    let Some(iso) = built() else {
        return;
    };
    let _turn = turn();
    let mut computer = Computer::start(iso);
    let began = computer.wait_for("cat /proc/sys/kernel/random/boot_id", |id| !id.is_empty());

    // What boot2docker promises.
    let says = |command: &str| computer.ssh(command).ok();
    assert_eq!(says("sudo id -u; id -un"), "0\ndocker");
    assert!(says("cat /etc/os-release").contains("\nID=boot2docker\n"));
    let arguments = says("cat /proc/cmdline");
    let weaker = [
        "mitigations",
        "nokaslr",
        "nosmap",
        "nosmep",
        "apparmor",
        "security",
    ];
    assert!(
        !weaker.iter().any(|word| arguments.contains(word)),
        "{arguments}"
    );
    assert_eq!(says("ls /sys/class/net | grep -c eth"), "2");
    let source = "findmnt -n -o SOURCE /var/lib/docker; cat /proc/swaps | grep -c /dev/";
    assert_eq!(says(source), "/dev/sda1[/var/lib/docker]\n1");
    assert!(says("sudo ls /var/lib/boot2docker").contains("userdata.tar"));
    let version = computer.wait_for("docker version -f '{{.Server.Version}}'", |said| {
        said.starts_with("20.10.")
    });
    let release = says("sed -n 's/^VERSION=//p' /etc/os-release");
    assert!(version.starts_with(&release), "{version} {release}");
    assert_eq!(says("docker info -f '{{.Driver}}'"), "overlay2");
    let security = says("docker info -f '{{.SecurityOptions}}'");
    assert!(
        security.contains("apparmor") && security.contains("seccomp"),
        "{security}"
    );

    // It becomes a machine.
    let me = Person::new();
    let (ssh_port, engine_port) = (
        computer.ssh_port.to_string(),
        computer.engine_port.to_string(),
    );
    let key = computer.key();
    let args = [
        ["create", "-d"],
        ["generic", "--generic-ip-address"],
        ["127.0.0.1", "--generic-ssh-port"],
        [&ssh_port, "--generic-ssh-user"],
        ["docker", "--generic-ssh-key"],
        [&key, "--generic-engine-port"],
        [&engine_port, "--engine-label"],
        ["zone=a", "n1"],
    ];
    me.rmachine(args.iter().flatten()).ok();
    assert_eq!(
        me.docker("n1", "version -f '{{.Server.Version}}'").ok(),
        version
    );
    // Engines tell labels in no order.
    let info = me.docker("n1", "info -f '{{.Name}} {{.Labels}}'").ok();
    for word in ["n1 [", "zone=a", "provider=generic"] {
        assert!(info.contains(word), "{info}");
    }
    me.docker("n1", "volume create kept").ok();
    // What is as it should be is left alone, and so is an address that came by itself.
    let running = says("cat /run/docker.pid");
    says("sudo ip address add fd00::1/64 dev eth1");
    let provisioned = me.rmachine(["provision", "n1"]);
    assert_eq!(says("cat /run/docker.pid"), running, "{provisioned:?}");
    provisioned.ok();

    // It is the same after a reboot: its name, its keys, its engine behind the same certificates.
    me.rmachine(["restart", "n1"]);
    computer.wait_for("cat /proc/sys/kernel/random/boot_id", |id| id != began);
    computer.wait_for("docker version -f ok", |said| said == "ok");
    assert_eq!(computer.ssh("hostname").ok(), "n1");
    assert_eq!(me.docker("n1", "volume ls -q").ok(), "kept");
    me.rmachine(["provision", "n1"]).ok();
    computer.power_button();

    // Nothing is written to a disk that only its owner can repair, and he gets in to do it.
    computer.damage("/var/lib/boot2docker/log/docker.log");
    computer.power_on();
    computer.wait_for("findmnt -n -o OPTIONS /var/lib/docker", |options| {
        options.starts_with("ro,")
    });
    let refused = computer.ssh("sudo /etc/init.d/docker start");
    assert_ne!(refused.code, 0);
    for word in ["/dev/sda1 needs a repair", "UNEXPECTED INCONSISTENCY"] {
        assert!(refused.err.contains(word), "{refused:?}");
    }
    let repair =
        "umount /var/lib/docker /var/lib/boot2docker /mnt/sda1; e2fsck -fy /dev/sda1; reboot";
    computer.ssh(&format!("sudo sh -c '{repair}'"));
    computer.wait_for("docker volume ls -q", |said| said == "kept");
    computer.power_button();
}
