//! The parsers on what VirtualBox printed, and on what it never will.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use bolero::{ValueGenerator as _, check, produce};
use proptest::prelude::*;
use rmachine_driver::MachineState;

use super::*;
use crate::allowed::Allowed;
use crate::said::Trouble;

/// The standard output of a recorded command.
fn out(name: &str) -> String {
    parts(name).0
}

/// Both outputs of a recorded command.
fn parts(name: &str) -> (String, String) {
    let path = Path::new("tests/recordings").join(format!("{name}.txt"));
    let text = fs::read_to_string(path).unwrap();
    let (_, outputs) = text.split_once("--- stdout\n").unwrap();
    let (out, err) = outputs.split_once("--- stderr").unwrap();
    (out.to_owned(), err.trim_start().to_owned())
}

#[test]
fn adapters_are_read() {
    let adapters = host_only_adapters(&out("hostonlyifs-two"));
    assert_eq!(
        adapters,
        [
            ("vboxnet0", [192, 168, 56, 1]),
            ("vboxnet1", [192, 168, 99, 1])
        ]
        .map(|(name, address)| {
            HostOnlyAdapter {
                name: name.to_owned(),
                address: Some(address.into()),
                mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
                up: true,
                network: format!("HostInterfaceNetworking-{name}"),
            }
        })
    );
    assert!(!host_only_adapters(&out("hostonlyifs-just-created"))[0].up);
    assert!(host_only_adapters(&out("hostonlyifs-none")).is_empty());
    assert_eq!(
        made_adapter(&out("hostonlyif-create")).as_deref(),
        Some("vboxnet0")
    );
    // As VirtualBox on Windows names and masks them.
    let windows = "Name:            VirtualBox Host-Only Ethernet Adapter #2\n\
        IPAddress:       192.168.99.1\nNetworkMask:     0f000000\nStatus:          Up\n\
        VBoxNetworkName: HostInterfaceNetworking-VirtualBox Host-Only Ethernet Adapter #2\n";
    let adapter = &host_only_adapters(windows)[0];
    assert_eq!(adapter.name, "VirtualBox Host-Only Ethernet Adapter #2");
    assert_eq!(adapter.mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
}

#[test]
fn networks_of_macos_are_read() {
    let told = "Name:            lab\nGUID:            1\n\nState:           Enabled\n\
        NetworkMask:     255.255.255.0\nLowerIP:         192.168.57.1\nUpperIP:         192.168.57.254\n\
        VBoxNetworkName: hostonly-lab\n";
    let nets = host_only_nets(told);
    assert_eq!(nets[0].lower, Some(Ipv4Addr::new(192, 168, 57, 1)));
    assert_eq!(nets[0].upper, Some(Ipv4Addr::new(192, 168, 57, 254)));
}

#[test]
fn dhcp_servers_are_read_with_the_keys_of_all_versions() {
    let servers = dhcp_servers(&out("dhcpservers-many"));
    assert_eq!(servers.len(), 3);
    assert_eq!(servers[0].address, Some(Ipv4Addr::new(192, 168, 99, 2)));
    assert_eq!(servers[0].upper, Some(Ipv4Addr::new(192, 168, 99, 254)));
    assert!(servers[0].enabled && servers[0].reserved.is_empty());
    let keeps = &dhcp_servers(&out("dhcpservers-kept"))[0];
    assert_eq!(keeps.reserved.len(), 1);
    assert_eq!(keeps.reserved[0].card.as_deref(), Some("080027aabbcc"));
    assert_eq!(keeps.reserved[0].address, Ipv4Addr::new(192, 168, 58, 3));
    let before_6_1 = "NetworkName:    HostInterfaceNetworking-vboxnet0\nIP:             192.168.99.6\n\
        NetworkMask:    255.255.255.0\nlowerIPAddress: 192.168.99.100\nupperIPAddress: 192.168.99.254\n\
        Enabled:        Yes\n\n";
    let server = &dhcp_servers(before_6_1)[0];
    assert_eq!(server.address, Some(Ipv4Addr::new(192, 168, 99, 6)));
    assert_eq!(server.lower, Some(Ipv4Addr::new(192, 168, 99, 100)));
}

#[test]
fn vms_are_read() {
    let running = vm(&out("showvminfo-running"));
    assert_eq!(running.state().machine(), MachineState::Running);
    assert_eq!(running.host_only(2), Some("vboxnet0"));
    assert_eq!(running.card(2).as_deref(), Some("0800271cb662"));
    assert_eq!(
        running.settings().unwrap(),
        Path::new("/lab/vms/r1/r1.vbox")
    );
    assert_eq!(running.medium("SATA", 0), Some("/lab/boot2docker.iso"));
    assert_eq!(running.medium("SATA", 1), None);
    let rules = running.forwardings();
    assert_eq!(
        (rules.len(), rules[0].port, rules[0].guest_port),
        (1, 33022, 22)
    );
    // What stands behind the closing quote is no part of the value.
    assert_eq!(running.field("VideoMode"), Some("720,400,0"));

    let full = vm(&out("showvminfo-full"));
    assert!(full.has_controller("SATA") && full.shares("hosthome"));
    assert_eq!(full.medium("SATA", 1), Some("/lab/disk/disk.vmdk"));
    for (name, state) in [
        ("saved", MachineState::Saved),
        ("paused", MachineState::Paused),
        ("aborted", MachineState::Stopped),
        ("poweroff", MachineState::Stopped),
    ] {
        let seen = vm(&out(&format!("showvminfo-{name}")));
        assert_eq!(seen.state().machine(), state, "{name}");
    }
    for (word, on_disks) in [
        ("deletingsnapshot", true),
        ("restoringsnapshot", true),
        ("snapshotting", true),
        ("stopping", false),
    ] {
        let state = vm(&format!("VMState=\"{word}\"\n")).state();
        assert_eq!(state.machine(), MachineState::Stopping, "{word}");
        assert_eq!(state.works_on_disks(), on_disks, "{word}");
    }
    let windows = vm("CfgFile=\"C:\\\\Users\\\\a b\\\\n1\\\\n1.vbox\"\nname=\"say \\\"hi\\\"\"\n");
    assert_eq!(windows.field("CfgFile"), Some(r"C:\Users\a b\n1\n1.vbox"));
    assert_eq!(windows.field("name"), Some("say \"hi\""));
}

#[test]
fn lists_of_vms_are_read_past_the_wrappers_warning() {
    let names = |name: &str| -> Vec<String> {
        let vms = registered_vms(&out(name));
        vms.into_iter().map(|vm| vm.name).collect()
    };
    assert_eq!(names("vms"), ["lab1", "a/b"]);
    assert_eq!(names("vms-inaccessible"), ["r1", "<inaccessible>"]);
    assert!(names("vms-none").is_empty());
    let long = out("vms-long");
    assert!(uses_adapter(&long, "vboxnet0"));
    assert!(!uses_adapter(&long, "vboxnet"));
}

#[test]
fn the_rest_is_read() {
    assert_eq!(
        Version::read(&out("version-no-module")),
        Some(Version::new(7, 2, 22))
    );
    let seen = host(&out("hostinfo-no-svm"));
    assert_eq!(seen.virtualization, Some(false));
    assert_eq!(
        (seen.processors, seen.memory, seen.free_memory),
        (Some(1), Some(2911), Some(2846))
    );
    assert_eq!(guest_property(&out("guestproperty-get")), Some("/"));
    assert_eq!(guest_property(&out("guestproperty-get-none")), None);
}

#[test]
fn every_recorded_failure_is_known_for_what_it_is() {
    let table = [
        ("createvm-exists", Trouble::Exists),
        ("createvm-forbidden", Trouble::FileDenied),
        ("hostonlyif-create-no-module", Trouble::NoAdapterModule),
        ("hostonlyif-ipconfig-denied", Trouble::Denied),
        ("hostonlyif-ipconfig-unknown", Trouble::NotFound),
        ("hostonlyif-remove-unknown", Trouble::NotFound),
        ("hostonlynets-unknown", Trouble::Unknown),
        ("dhcpserver-add-exists", Trouble::Exists),
        ("dhcpserver-modify-unknown", Trouble::NotFound),
        ("dhcpserver-remove-unknown", Trouble::NotFound),
        ("modifyvm-locked", Trouble::Locked),
        ("modifyvm-saved", Trouble::WrongState),
        ("modifyvm-unknown-option", Trouble::Unknown),
        ("storageattach-missing", Trouble::FileMissing),
        ("storagectl-again", Trouble::Exists),
        ("startvm-already-running", Trouble::Locked),
        ("startvm-unknown", Trouble::NotFound),
        ("startvm-no-module", Trouble::EndedEarly),
        ("startvm-no-svm", Trouble::NoAmdV),
        ("startvm-adapter-gone", Trouble::AdapterGone),
        ("startvm-iso-gone", Trouble::FileMissing),
        ("showvminfo-unknown", Trouble::NotFound),
        ("showvminfo-during-power-down", Trouble::NotReady),
        ("showvminfo-inaccessible", Trouble::Inaccessible),
        ("controlvm-not-running", Trouble::NotRunning),
        ("controlvm-poweroff-saved", Trouble::NotRunning),
        ("controlvm-acpipowerbutton-paused", Trouble::WrongState),
        ("controlvm-resume-not-paused", Trouble::WrongState),
        ("unregistervm-running", Trouble::Locked),
        ("convertfromraw-exists", Trouble::Exists),
        ("no-server", Trouble::NoServer),
    ];
    for (name, trouble) in table {
        let (_, err) = parts(name);
        assert_eq!(Trouble::find(&err), Some(trouble), "{name}: {err}");
    }
}

/// Every parser on one text; none may panic, loop or be slow.
fn read_all(text: &str) {
    host_only_adapters(text);
    host_only_nets(text);
    made_adapter(text);
    dhcp_servers(text);
    host(text);
    guest_property(text);
    Version::read(text);
    registered_vms(text);
    uses_adapter(text, "vboxnet0");
    refused_port(text, 22);
    last_trouble(text);
    Trouble::find(text);
    Allowed::read(text);
    let seen = vm(text);
    seen.state().machine();
    seen.forwardings();
    seen.medium("SATA", 0);
}

/// The recordings, cut at random places and put together again.
#[test]
fn fuzz_torn_recordings() {
    let files = fs::read_dir("tests/recordings").unwrap();
    let seeds: Vec<String> = files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let pieces = produce::<Vec<(usize, usize, usize)>>()
        .with()
        .len(0_usize..12);
    check!()
        .with_generator(pieces.map_gen(move |cuts| torn(&seeds, &cuts)))
        .for_each(|text| read_all(text));
}

fn torn(seeds: &[String], cuts: &[(usize, usize, usize)]) -> String {
    let piece = |(seed, from, length): &(usize, usize, usize)| {
        let characters = seeds[seed % seeds.len()].chars();
        let text: Vec<char> = characters.collect();
        let from = from % text.len();
        text.into_iter()
            .skip(from)
            .take(length % 200)
            .collect::<String>()
    };
    cuts.iter().map(piece).collect()
}

/// Any text at all.
#[test]
fn fuzz_any_text() {
    check!().for_each(|bytes: &[u8]| read_all(&String::from_utf8_lossy(bytes)));
}

proptest! {
    #[test]
    fn a_vm_says_what_it_was_given(key in "[A-Za-z0-9_()-]{1,20}", value in "[^\\r\\n]{0,40}") {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        let told = format!("before=1\n{key}=\"{escaped}\"\nafter=2\n");
        prop_assume!(key != "after");
        let seen = vm(&told);
        prop_assert_eq!(seen.field(&key), Some(value.as_str()));
    }

    #[test]
    fn versions_are_read_with_anything_behind(major in 0_u32..99, minor in 0_u32..99, patch in 0_u32..999, rest in "[_r][A-Za-z0-9_]{0,12}") {
        let version = Version::read(&format!("{major}.{minor}.{patch}{rest}\n"));
        prop_assert_eq!(version, Some(Version::new(major, minor, patch)));
    }
}
