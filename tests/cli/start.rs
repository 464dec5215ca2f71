//! `rmachine start`, as a person types it, on a VirtualBox that starts nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use rmachine_machine::MachineFile;
use rmachine_pki::{Authority, KeyType, San, ServerRequest};
use serde_json::json;

use crate::snapshot::stand_in;
use crate::world::{Ran, World};

const HOST_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBEkr2KsO6ASkFT3SnLMPrcJP5Xyho1yf9hOEMGlqYDa";

/// A stopped machine whose address, 192.168.58.3, is another one's by now; its engine's certificate
/// covers this address.
fn lost(covered: &str) -> World {
    let world = World::new();
    fs::create_dir(world.path().join("box")).unwrap();
    let program = world.path().join("box/VBoxManage");
    symlink(stand_in(), &program).unwrap();
    let id = "00000000-0000-4000-8000-00000000000a";
    let folder = world.path().join("n1");
    let folder = folder.to_str().unwrap();
    for words in [
        &format!("createvm --basefolder {folder} --name n1 --uuid {id}"),
        "hostonlyif create",
        "hostonlyif ipconfig vboxnet0 --ip 192.168.58.1 --netmask 255.255.255.0",
        "dhcpserver modify --netname HostInterfaceNetworking-vboxnet0 --ip 192.168.58.2 \
         --lowerip 192.168.58.128 --upperip 192.168.58.254 --mac-address 080027000009 \
         --fixed-address 192.168.58.3",
        "modifyvm n1 --nic2 hostonly --hostonlyadapter2 vboxnet0 --macaddress2 080027000003",
    ] {
        let ran = Ran::of(Command::new(&program).args(words.split(' ')));
        assert_eq!(ran.code, 0, "{words}: {ran:?}");
    }
    let config = json!({
        "MachineName": "n1", "VMID": id, "IPAddress": "192.168.58.3", "AddressKept": true,
        "HostOnlyCIDR": "192.168.58.1/24",
    });
    world.machine_of("virtualbox", "n1", &config, |_| {});
    let (authority, _) = Authority::create("me", KeyType::Ecdsa).unwrap();
    let request = ServerRequest {
        name: "n1".to_owned(),
        organization: "me".to_owned(),
        sans: vec![San::from(covered.to_owned())],
        client_auth: false,
        key: KeyType::Ecdsa,
    };
    let made = authority.issue_server(&request).unwrap();
    let server = MachineFile::ServerCertificate.file_name();
    fs::write(world.machine_dir("n1").join(server), made.certificate).unwrap();
    fs::write(world.machine_dir("n1").join("boot2docker.iso"), "").unwrap();
    let known_hosts = world.machine_dir("n1").join("known_hosts");
    fs::write(known_hosts, format!("n1 {HOST_KEY}\n")).unwrap();
    world
}

#[test]
fn of_a_machine_that_lost_its_address() {
    // It goes on where it can go no further: to the machine, for a certificate made anew, without a
    // key to log in; or to an engine whose authority is not known.
    for (covered, missing) in [("192.168.58.3", "id_rsa"), ("192.168.58.4", "ca.pem")] {
        let world = lost(covered);
        let mut command = world.command(["start", "n1"]);
        let ran = Ran::of(command.env("VBOX_MANAGE", world.path().join("box/VBoxManage")));
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(
            ran.err.contains("the address 192.168.58.3 was lost"),
            "{ran:?}"
        );
        assert!(ran.err.contains(missing), "{covered}: {ran:?}");
        let record = world.store.load(&"n1".parse().unwrap()).unwrap();
        assert_eq!(record.driver["IPAddress"], "192.168.58.4");
    }
}
