//! What is still to be done to a VM until it is as the machine needs it: commands of VBoxManage,
//! decided from what the VM is.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::answer::Vm;
use crate::attachment::Attachment;
use crate::config::Config;
use crate::share::Share;

/// The storage controller, and what is at its ports, as docker-machine has them; it has no other ones.
pub const CONTROLLER: &str = "SATA";
const ISO_PORT: u32 = 0;
const DISK_PORT: u32 = 1;
const PORTS: &str = "2";

/// The name of the rule by which this computer's port leads to the machine's sshd.
pub const SSH_RULE: &str = "ssh";

/// The option by which the machine reaches what listens on this computer's loopback, such as a
/// proxy or a resolver.
pub const REACH: &str = "--nat-localhostreachable1";

/// What a machine needs of its VM.
pub struct Wanted<'a> {
    /// What VirtualBox knows the VM by.
    pub reference: &'a str,
    pub config: &'a Config,
    /// How many processors it gets.
    pub processors: u32,
    pub iso: PathBuf,
    pub disk: PathBuf,
    pub attachment: &'a Attachment,
    /// The hardware address of the host-only card.
    pub card: &'a str,
    /// This computer's port that leads to sshd.
    pub ssh_port: u16,
    pub share: Option<Share>,
}

/// The commands that are left, in order. A VM that is as wanted needs none.
pub fn steps(wanted: &Wanted<'_>, vm: &Vm) -> Vec<Vec<OsString>> {
    let mut steps = Vec::new();
    if !is_set(wanted, vm) {
        steps.push(settings(wanted, vm));
    }
    let reference = wanted.reference;
    if !vm.has_controller(CONTROLLER) {
        let add = [
            "storagectl",
            reference,
            "--name",
            CONTROLLER,
            "--add",
            "sata",
            // Unless told otherwise there are 30, and Linux waits a third of a second at each that
            // nothing is at.
            "--portcount",
            PORTS,
            "--hostiocache",
            "on",
        ];
        steps.push(words(&add));
    }
    for (port, kind, medium) in [
        (ISO_PORT, "dvddrive", &wanted.iso),
        (DISK_PORT, "hdd", &wanted.disk),
    ] {
        if vm.medium(CONTROLLER, port).is_none() {
            let port = port.to_string();
            let mut attach = words(&[
                "storageattach",
                reference,
                "--storagectl",
                CONTROLLER,
                "--port",
                &port,
                "--device",
                "0",
                "--type",
                kind,
                "--medium",
            ]);
            attach.push(medium.into());
            steps.push(attach);
        }
    }
    if let Some(share) = &wanted.share
        && !vm.shares(&share.name)
    {
        steps.extend(sharing(reference, share));
    }
    steps
}

/// Whether all that one `modifyvm` sets is set: it is saved as a whole, or not at all.
fn is_set(wanted: &Wanted<'_>, vm: &Vm) -> bool {
    vm.host_only(2) == Some(&wanted.attachment.name)
        && vm.card(2).as_deref() == Some(wanted.card)
        && ssh_rule(vm) == Some(wanted.ssh_port)
}

/// This computer's port that leads to the VM's sshd.
pub fn ssh_rule(vm: &Vm) -> Option<u16> {
    let rules = vm.forwardings();
    let rule = rules.iter().find(|rule| rule.name == SSH_RULE);
    rule.map(|rule| rule.port)
}

/// The value of a rule that leads to sshd.
pub fn rule(port: u16) -> String {
    format!("{SSH_RULE},tcp,127.0.0.1,{port},,22")
}

fn settings(wanted: &Wanted<'_>, vm: &Vm) -> Vec<OsString> {
    let config = wanted.config;
    let (cpus, memory) = (wanted.processors.to_string(), config.memory.to_string());
    let rule = rule(wanted.ssh_port);
    let mut options = words(&[
        "modifyvm",
        wanted.reference,
        "--firmware",
        "bios",
        "--bioslogofadein",
        "off",
        "--bioslogofadeout",
        "off",
        "--bioslogodisplaytime",
        "0",
        "--biosbootmenu",
        "disabled",
        "--boot1",
        "dvd",
        "--cpus",
        &cpus,
        "--memory",
        &memory,
        "--acpi",
        "on",
        "--ioapic",
        "on",
        "--rtcuseutc",
        "on",
        "--cpuhotplug",
        "off",
        "--pae",
        "on",
        "--hpet",
        "on",
        "--hwvirtex",
        "on",
        "--nestedpaging",
        "on",
        "--largepages",
        "on",
        "--vtxvpid",
        "on",
        "--accelerate3d",
        "off",
        "--nic1",
        "nat",
        "--nictype1",
        &config.nat_nic_type,
        "--cableconnected1",
        "on",
        "--natdnshostresolver1",
        switch(config.host_dns_resolver),
        "--natdnsproxy1",
        switch(config.dns_proxy),
        REACH,
        "on",
    ]);
    match ssh_rule(vm) {
        Some(port) if port == wanted.ssh_port => {}
        Some(_) => options.extend(words(&["--natpf1", "delete", SSH_RULE, "--natpf1", &rule])),
        None => options.extend(words(&["--natpf1", &rule])),
    }
    options.extend(words(&wanted.attachment.options()));
    options.extend(words(&[
        "--nictype2",
        &config.host_only_nic_type,
        "--nicpromisc2",
        &config.host_only_promisc_mode,
        "--macaddress2",
        wanted.card,
        "--cableconnected2",
        "on",
    ]));
    options
}

/// The share, and what lets boot2docker mount it at `/` under its name, symbolic links included.
fn sharing(reference: &str, share: &Share) -> Vec<Vec<OsString>> {
    let folder = |property: &str| {
        let property = format!("/VirtualBox/GuestAdd/SharedFolders/{property}");
        words(&["guestproperty", "set", reference, &property, "/"])
    };
    let links = format!(
        "VBoxInternal2/SharedFoldersEnableSymlinksCreate/{}",
        share.name
    );
    let mut add = words(&[
        "sharedfolder",
        "add",
        reference,
        "--name",
        &share.name,
        "--hostpath",
    ]);
    add.push(share.directory.clone().into());
    add.push("--automount".into());
    vec![
        folder("MountPrefix"),
        folder("MountDir"),
        words(&["setextradata", reference, &links, "1"]),
        // The last: a VM that has the share has all of them.
        add,
    ]
}

/// A command without one of its options, which has a value.
pub fn without(step: &[OsString], option: &str) -> Vec<OsString> {
    let at = step.iter().position(|word| word == option);
    let cut = at.map_or(0..0, |at| at..at + 2);
    let kept = |(place, _): &(usize, &OsString)| !cut.contains(place);
    step.iter()
        .enumerate()
        .filter(kept)
        .map(|(_, word)| word.clone())
        .collect()
}

fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// A hardware address that no other card has, of those that VirtualBox gives its cards.
pub fn new_card() -> String {
    let [a, b, c]: [u8; 3] = rand::random();
    format!("080027{a:02x}{b:02x}{c:02x}")
}

#[cfg(test)]
mod tests {
    use crate::answer::vm;
    use crate::network::Kind;

    use super::*;

    fn attachment() -> Attachment {
        Attachment {
            name: "vboxnet0".to_owned(),
            kind: Kind::Adapter,
            network: "HostInterfaceNetworking-vboxnet0".to_owned(),
            cidr: "192.168.58.1/24".parse().unwrap(),
            fresh: false,
        }
    }

    fn left(of: &str, attachment: &Attachment) -> Vec<String> {
        let wanted = Wanted {
            reference: "ID",
            config: &Config::default(),
            processors: 1,
            iso: "/m/b.iso".into(),
            disk: "/m/disk.vmdk".into(),
            attachment,
            card: "080027aabbcc",
            ssh_port: 33022,
            share: Some(Share {
                directory: "/home".into(),
                name: "hosthome".to_owned(),
            }),
        };
        let shown = |step: &Vec<OsString>| step.join(" ".as_ref()).display().to_string();
        steps(&wanted, &vm(of)).iter().map(shown).collect()
    }

    #[test]
    fn a_new_vm_needs_everything_and_a_finished_one_nothing() {
        let all = left("", &attachment());
        let kinds: Vec<&str> = all.iter().filter_map(|s| s.split(' ').next()).collect();
        assert_eq!(
            kinds,
            [
                "modifyvm",
                "storagectl",
                "storageattach",
                "storageattach",
                "guestproperty",
                "guestproperty",
                "setextradata",
                "sharedfolder"
            ]
        );
        let finished = "hostonlyadapter2=\"vboxnet0\"\nmacaddress2=\"080027AABBCC\"\n\
            Forwarding(0)=\"ssh,tcp,127.0.0.1,33022,,22\"\nstoragecontrollername0=\"SATA\"\n\
            \"SATA-0-0\"=\"/m/b.iso\"\n\"SATA-1-0\"=\"/m/disk.vmdk\"\n\
            SharedFolderNameMachineMapping1=\"hosthome\"\n";
        assert!(left(finished, &attachment()).is_empty());
    }

    #[test]
    fn a_vm_is_finished_from_where_it_was_cut_off() {
        let half = "Forwarding(0)=\"ssh,tcp,127.0.0.1,1,,22\"\nstoragecontrollername0=\"SATA\"\n\
            \"SATA-0-0\"=\"/m/b.iso\"\n\"SATA-1-0\"=\"none\"\n\
            SharedFolderNameMachineMapping1=\"hosthome\"\n";
        let left = left(half, &attachment());
        assert_eq!(left.len(), 2, "{left:?}");
        let port = "--natpf1 delete ssh --natpf1 ssh,tcp,127.0.0.1,33022,,22";
        assert!(left[0].contains(port), "{}", left[0]);
        assert!(
            left[1].ends_with("--type hdd --medium /m/disk.vmdk"),
            "{}",
            left[1]
        );
    }

    #[test]
    fn macos_has_networks_in_place_of_adapters() {
        let net = Attachment {
            kind: Kind::Net,
            ..attachment()
        };
        let modify = &left("", &net)[0];
        assert!(
            modify.contains("--nic2 hostonlynet --host-only-net2 vboxnet0"),
            "{modify}"
        );
    }
}
