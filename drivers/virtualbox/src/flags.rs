use rmachine_driver::{DriverFlag, FlagKind};

pub const MEMORY: &str = "virtualbox-memory";
pub const CPU_COUNT: &str = "virtualbox-cpu-count";
pub const DISK_SIZE: &str = "virtualbox-disk-size";
pub const BOOT2DOCKER_URL: &str = "virtualbox-boot2docker-url";
pub const ISO: &str = "iso";
pub const IMPORT_VM: &str = "virtualbox-import-boot2docker-vm";
pub const HOST_DNS_RESOLVER: &str = "virtualbox-host-dns-resolver";
pub const NAT_NICTYPE: &str = "virtualbox-nat-nictype";
pub const HOSTONLY_CIDR: &str = "virtualbox-hostonly-cidr";
pub const HOSTONLY_ADDRESS: &str = "virtualbox-hostonly-address";
pub const HOSTONLY_NICTYPE: &str = "virtualbox-hostonly-nictype";
pub const HOSTONLY_NICPROMISC: &str = "virtualbox-hostonly-nicpromisc";
pub const HOSTONLY_NO_DHCP: &str = "virtualbox-hostonly-no-dhcp";
pub const UI_TYPE: &str = "virtualbox-ui-type";
pub const NO_SHARE: &str = "virtualbox-no-share";
pub const NO_DNS_PROXY: &str = "virtualbox-no-dns-proxy";
pub const NO_VTX_CHECK: &str = "virtualbox-no-vtx-check";
pub const SHARE_FOLDER: &str = "virtualbox-share-folder";

/// The flags that `create` takes for this driver: docker-machine's, one for the address, and
/// one for ISOs of the cache.
pub const FLAGS: &[DriverFlag] = &[
    DriverFlag {
        name: MEMORY,
        env: Some("VIRTUALBOX_MEMORY_SIZE"),
        kind: FlagKind::Number(1024),
        help: "Memory in MB",
    },
    DriverFlag {
        name: CPU_COUNT,
        env: Some("VIRTUALBOX_CPU_COUNT"),
        kind: FlagKind::Number(1),
        help: "Number of processors, -1 for all",
    },
    DriverFlag {
        name: DISK_SIZE,
        env: Some("VIRTUALBOX_DISK_SIZE"),
        kind: FlagKind::Number(20000),
        help: "Size of the disk in MB; it takes up what is written to it",
    },
    DriverFlag {
        name: BOOT2DOCKER_URL,
        env: Some("VIRTUALBOX_BOOT2DOCKER_URL"),
        kind: FlagKind::Text(""),
        help: "ISO to boot from, as an http(s):// or file:// URL (default: the one in the cache)",
    },
    DriverFlag {
        name: ISO,
        env: Some("MACHINE_ISO"),
        kind: FlagKind::Text(""),
        help: "ISO to boot from: the name of one in the cache ('rmachine iso ls'), or a file's path",
    },
    DriverFlag {
        name: IMPORT_VM,
        env: Some("VIRTUALBOX_BOOT2DOCKER_IMPORT_VM"),
        kind: FlagKind::Text(""),
        help: "Name of a stopped Boot2Docker VM whose disk is copied",
    },
    DriverFlag {
        name: HOST_DNS_RESOLVER,
        env: Some("VIRTUALBOX_HOST_DNS_RESOLVER"),
        kind: FlagKind::Switch,
        help: "Have names resolved by this computer's own resolver",
    },
    DriverFlag {
        name: NAT_NICTYPE,
        env: Some("VIRTUALBOX_NAT_NICTYPE"),
        kind: FlagKind::Text("82540EM"),
        help: "Type of the network card that leads outside",
    },
    DriverFlag {
        name: HOSTONLY_CIDR,
        env: Some("VIRTUALBOX_HOSTONLY_CIDR"),
        kind: FlagKind::Text(""),
        help: "This computer's address on the host-only network (default: 192.168.58.1/24, or the next that is free)",
    },
    DriverFlag {
        name: HOSTONLY_ADDRESS,
        env: Some("VIRTUALBOX_HOSTONLY_ADDRESS"),
        kind: FlagKind::Text(""),
        help: "The machine's own address on it, or dhcp for one that may change (default: one that stays)",
    },
    DriverFlag {
        name: HOSTONLY_NICTYPE,
        env: Some("VIRTUALBOX_HOSTONLY_NIC_TYPE"),
        kind: FlagKind::Text("82540EM"),
        help: "Type of the network card on the host-only network",
    },
    DriverFlag {
        name: HOSTONLY_NICPROMISC,
        env: Some("VIRTUALBOX_HOSTONLY_NIC_PROMISC"),
        kind: FlagKind::Text("deny"),
        help: "What that card sees of the traffic of others: deny, allow-vms or allow-all",
    },
    DriverFlag {
        name: HOSTONLY_NO_DHCP,
        env: Some("VIRTUALBOX_HOSTONLY_NO_DHCP"),
        kind: FlagKind::Switch,
        help: "Switch the DHCP server of the host-only network off",
    },
    DriverFlag {
        name: UI_TYPE,
        env: Some("VIRTUALBOX_UI_TYPE"),
        kind: FlagKind::Text("headless"),
        help: "How the VM is shown: headless, gui, sdl or separate",
    },
    DriverFlag {
        name: NO_SHARE,
        env: Some("VIRTUALBOX_NO_SHARE"),
        kind: FlagKind::Switch,
        help: "Do not share the home directories with the machine",
    },
    DriverFlag {
        name: NO_DNS_PROXY,
        env: Some("VIRTUALBOX_NO_DNS_PROXY"),
        kind: FlagKind::Switch,
        help: "Do not pass the machine's DNS queries on to this computer's servers",
    },
    DriverFlag {
        name: NO_VTX_CHECK,
        env: Some("VIRTUALBOX_NO_VTX_CHECK"),
        kind: FlagKind::Switch,
        help: "Do not look whether virtualization is there and free",
    },
    DriverFlag {
        name: SHARE_FOLDER,
        env: Some("VIRTUALBOX_SHARE_FOLDER"),
        kind: FlagKind::Text(""),
        help: "Directory to share in place of the home directories, as dir:name",
    },
];
