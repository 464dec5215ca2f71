use rmachine_driver::FlagValue;
use serde_json::json;

use super::*;

fn record(value: Value) -> DriverConfig {
    value.as_object().unwrap().clone()
}

#[test]
fn a_record_of_docker_machine_survives_being_read_and_written() {
    let given = record(json!({
        "IPAddress": "192.168.99.100", "MachineName": "n1", "SSHUser": "docker",
        "SSHPort": 34427, "SSHKeyPath": "/s/machines/n1/id_rsa", "StorePath": "/s",
        "SwarmMaster": false, "SwarmHost": "", "SwarmDiscovery": "",
        "VBoxManager": {}, "HostInterfaces": {}, "CPU": 1, "Memory": 1024, "DiskSize": 20000,
        "NatNicType": "82540EM", "Boot2DockerURL": "", "Boot2DockerImportVM": "",
        "HostDNSResolver": false, "HostOnlyCIDR": "192.168.99.1/24",
        "HostOnlyNicType": "82540EM", "HostOnlyPromiscMode": "deny", "UIType": "headless",
        "HostOnlyNoDHCP": false, "NoShare": false, "DNSProxy": true, "NoVTXCheck": false,
        "ShareFolder": "", "Theirs": {"a": [1]},
    }));
    let config = Config::from_record(&given).unwrap();
    assert_eq!(config.ip_address, Some(Ipv4Addr::new(192, 168, 99, 100)));
    assert_eq!(config.vm_id, None);
    let mut written = given.clone();
    config.write_to(&mut written);
    for (key, value) in &given {
        assert_eq!(&written[key], value, "{key}");
    }
    assert_eq!(Config::from_record(&written).unwrap(), config);
}

#[test]
fn docker_machine_finds_texts_where_nothing_is_known() {
    let mut written = DriverConfig::new();
    Config::default().write_to(&mut written);
    for key in ["IPAddress", "HostOnlyCIDR", "VMID", "HostOnlyAddress"] {
        assert_eq!(written[key], json!(""), "{key}");
    }
    for key in ["VBoxManager", "HostInterfaces"] {
        assert_eq!(written[key], json!({}), "{key}");
    }
}

#[test]
fn flags_are_checked() {
    let given = |flag: &str, value: FlagValue| {
        let mut values = FlagValues::defaults(flags::FLAGS);
        values.set(flag, value);
        Config::from_flags(&values)
    };
    let text = |flag: &str, value: &str| given(flag, FlagValue::Text(value.to_owned()));
    let number = |flag: &str, value| given(flag, FlagValue::Number(value));
    assert_eq!(
        Config::from_flags(&FlagValues::defaults(flags::FLAGS)).unwrap(),
        Config::default()
    );
    assert_eq!(
        text(flags::NAT_NICTYPE, "VirtIO").unwrap().nat_nic_type,
        "virtio"
    );
    assert_eq!(number(flags::CPU_COUNT, -1).unwrap().cpu, -1);
    assert!(
        text(flags::HOSTONLY_ADDRESS, "dhcp")
            .unwrap()
            .asks_for_dhcp()
    );
    for (flag, bad) in [
        (flags::NAT_NICTYPE, "ne5000"),
        (flags::HOSTONLY_NICPROMISC, "sometimes"),
        (flags::HOSTONLY_CIDR, "192.168.99.0/24"),
        (flags::HOSTONLY_ADDRESS, "fd00::1"),
        (flags::UI_TYPE, "frob"),
        (flags::BOOT2DOCKER_URL, "/b2d.iso"),
        (flags::SHARE_FOLDER, "nocolon"),
        (flags::SHARE_FOLDER, "/srv:our data"),
        (flags::IMPORT_VM, "--help"),
    ] {
        assert!(text(flag, bad).is_err(), "--{flag} {bad:?}");
    }
    for (flag, bad) in [
        (flags::MEMORY, 0),
        (flags::MEMORY, i64::MAX),
        (flags::DISK_SIZE, -1),
        (flags::CPU_COUNT, 0),
        (flags::CPU_COUNT, 33),
    ] {
        assert!(number(flag, bad).is_err(), "--{flag} {bad}");
    }
}

#[test]
fn an_iso_is_a_name_a_file_or_a_url() {
    let image = |iso: &str, url: &str| {
        let mut values = FlagValues::defaults(flags::FLAGS);
        values.set(flags::ISO, FlagValue::Text(iso.to_owned()));
        values.set(flags::BOOT2DOCKER_URL, FlagValue::Text(url.to_owned()));
        Config::from_flags(&values).map(|config| config.boot2docker_url)
    };
    for (iso, url, taken) in [
        ("", "", ""),
        ("boot2docker-20.10", "", "boot2docker-20.10"),
        ("mine.iso", "", "mine.iso"),
        ("/a b/c.iso", "", "/a b/c.iso"),
        ("https://h/c.iso", "", "https://h/c.iso"),
        ("", "file:///c.iso", "file:///c.iso"),
    ] {
        assert_eq!(image(iso, url).unwrap(), taken);
    }
    let here = image("./c.iso", "").unwrap();
    assert!(
        Path::new(&here).is_absolute() && here.ends_with("/c.iso"),
        "{here}"
    );
    let error = image("a", "https://h/c.iso").unwrap_err().to_string();
    assert!(error.contains("names another one"), "{error}");
}

#[test]
fn identities_are_of_their_own() {
    let (one, other) = (VmId::new(), VmId::new());
    assert_ne!(one, other);
    assert_eq!(one.as_str().parse::<VmId>(), Ok(one.clone()));
    assert_eq!(&one.as_str()[14..15], "4");
    assert!("not one".parse::<VmId>().is_err());
}

#[test]
fn files_that_the_record_names_are_listed() {
    let config = |url: &str, share: &str| Config {
        ssh_key_path: "/store/machines/n1/id_rsa".into(),
        boot2docker_url: url.to_owned(),
        share_folder: share.to_owned(),
        ..Config::default()
    };
    let named = |url, share| {
        let files = config(url, share).named_files().into_iter();
        let files = files.map(|file| (file.field, file.path.display().to_string()));
        files.skip(1).collect::<Vec<_>>()
    };
    let iso = |path: &str| vec![("Driver.Boot2DockerURL", path.to_owned())];
    for (url, expected) in [
        ("/isos/x.iso", iso("/isos/x.iso")),
        ("../x.iso", iso("../x.iso")),
        ("file:///isos/a%20b.iso", iso("/isos/a b.iso")),
        ("FILE:///isos/x.iso", iso("/isos/x.iso")),
        ("file:/isos/x.iso", iso("/isos/x.iso")),
        ("file://other.host/x.iso", iso("file://other.host/x.iso")),
        ("https://example.org/x.iso", Vec::new()),
        ("boot2docker-26", Vec::new()),
        ("", Vec::new()),
    ] {
        assert_eq!(named(url, ""), expected, "{url}");
    }
    let share = [("Driver.ShareFolder", "/home/me/.ssh".to_owned())];
    assert_eq!(named("", "/home/me/.ssh:x"), share);
    let files = config("", "").named_files();
    assert_eq!(files[0].field, "Driver.SSHKeyPath");
}
