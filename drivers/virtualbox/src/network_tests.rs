use super::*;

fn cidr(text: &str) -> HostCidr {
    text.parse().unwrap()
}

fn adapter(name: &str, address: &str, up: bool) -> HostOnlyAdapter {
    let at = cidr(address);
    HostOnlyAdapter {
        name: name.to_owned(),
        address: Some(at.address),
        mask: Some(at.subnet.mask()),
        up,
        network: format!("HostInterfaceNetworking-{name}"),
    }
}

fn chosen(
    wanted: Option<&str>,
    adapters: &[HostOnlyAdapter],
    elsewhere: &[&str],
    allowed: &Allowed,
) -> Result<String, NoNetwork> {
    let elsewhere: Vec<Subnet> = elsewhere.iter().map(|s| s.parse().unwrap()).collect();
    let present = Present {
        kind: Kind::Adapter,
        adapters,
        elsewhere: &elsewhere,
        allowed,
    };
    choose(wanted.map(cidr), &present).map(|choice| match choice {
        Choice::Adapter(adapter, cidr) => format!("{} {cidr}", adapter.name),
        Choice::Make(cidr) => format!("make {cidr}"),
    })
}

#[test]
fn a_network_is_chosen_that_nobody_has() {
    let usual = Allowed::without_file();
    let ours = adapter("vboxnet1", "192.168.58.1/24", true);
    let theirs = adapter("vboxnet0", "192.168.56.1/24", true);
    type Case<'a> = (
        Option<&'a str>,
        &'a [HostOnlyAdapter],
        &'a [&'a str],
        &'a Allowed,
        &'a str,
    );
    let table: &[Case<'_>] = &[
        (None, &[], &[], &usual, "make 192.168.58.1/24"),
        (
            None,
            &[theirs.clone(), ours.clone()],
            &[],
            &usual,
            "vboxnet1 192.168.58.1/24",
        ),
        (
            None,
            std::slice::from_ref(&theirs),
            &[],
            &usual,
            "make 192.168.58.1/24",
        ),
        (
            None,
            &[],
            &["192.168.58.0/23"],
            &usual,
            "make 192.168.60.1/24",
        ),
        (None, &[], &[], &Allowed::Any, "make 192.168.58.1/24"),
        (
            None,
            &[],
            &[],
            &Allowed::read("* 10.9.0.0/16"),
            "make 10.9.0.1/24",
        ),
        (
            Some("192.168.56.1/24"),
            std::slice::from_ref(&theirs),
            &[],
            &usual,
            "vboxnet0 192.168.56.1/24",
        ),
        (
            Some("192.168.99.1/24"),
            &[],
            &[],
            &Allowed::Any,
            "make 192.168.99.1/24",
        ),
        // An adapter that is there is used, wherever it is: VirtualBox is not asked to set it.
        (
            Some("192.168.99.1/24"),
            &[adapter("vboxnet0", "192.168.99.1/24", true)],
            &[],
            &usual,
            "vboxnet0 192.168.99.1/24",
        ),
        // One that is down has an address that nobody gave it.
        (
            Some("192.168.56.1/25"),
            &[adapter("vboxnet0", "192.168.56.1/24", false)],
            &[],
            &usual,
            "make 192.168.56.1/25",
        ),
    ];
    for (wanted, adapters, elsewhere, allowed, expected) in table {
        let found = chosen(*wanted, adapters, elsewhere, allowed);
        assert_eq!(found.as_deref(), Ok(*expected), "{wanted:?} {elsewhere:?}");
    }
}

#[test]
fn a_network_that_cannot_be_is_refused_with_what_to_do() {
    let usual = Allowed::without_file();
    let refused = |wanted, adapters: &[_], elsewhere: &[_]| {
        let error = chosen(wanted, adapters, elsewhere, &usual).unwrap_err();
        (error.to_string(), error.remedy())
    };
    let (why, remedy) = refused(Some("192.168.99.1/24"), &[], &[]);
    assert!(
        why.contains("192.168.99.1/24") && why.contains("192.168.56.0/21"),
        "{why}"
    );
    assert!(
        remedy.ends_with("echo '* 192.168.99.0/24' | sudo tee -a /etc/vbox/networks.conf"),
        "{remedy}"
    );
    let (why, _) = refused(Some("192.168.60.1/24"), &[], &["192.168.0.0/16"]);
    assert!(why.contains("192.168.0.0/16"), "{why}");
    let (why, _) = refused(None, &[], &["192.168.0.0/16"]);
    assert!(why.contains("taken"), "{why}");
    let two = [
        adapter("vboxnet0", "192.168.60.1/24", true),
        adapter("vboxnet1", "192.168.60.1/24", true),
    ];
    let (why, remedy) = refused(Some("192.168.60.1/24"), &two, &[]);
    assert!(why.contains("vboxnet0 and vboxnet1"), "{why}");
    assert!(remedy.ends_with("remove vboxnet1"), "{remedy}");
    let (why, _) = refused(Some("192.168.60.2/24"), &two[..1], &[]);
    assert!(why.contains("vboxnet0"), "{why}");
}

#[test]
fn addresses_that_stay_are_outside_of_what_is_given_to_anybody() {
    let on = cidr("192.168.58.1/24");
    let range = Range::of(on);
    assert_eq!(range.server, Ipv4Addr::new(192, 168, 58, 2));
    assert_eq!(range.upper, Ipv4Addr::new(192, 168, 58, 254));
    let mut taken = BTreeSet::new();
    for last in [3, 4, 5] {
        let given = address(on, &range, &taken, None).unwrap();
        assert_eq!(given, Ipv4Addr::new(192, 168, 58, last));
        taken.insert(given);
    }
    let wish = |last| address(on, &range, &taken, Some(Ipv4Addr::new(192, 168, 58, last)));
    assert_eq!(wish(77), Some(Ipv4Addr::new(192, 168, 58, 77)));
    // Taken, another's, in the range, or elsewhere: the first that is free.
    for last in [4, 1, 2, 200, 255] {
        assert_eq!(wish(last), Some(Ipv4Addr::new(192, 168, 58, 6)), "{last}");
    }
}

#[test]
fn a_small_network_has_room_for_a_server_and_two_machines() {
    let on = cidr("192.168.58.1/29");
    let range = Range::of(on);
    let first = address(on, &range, &BTreeSet::new(), None).unwrap();
    assert!(on.subnet.holds(first));
    let taken: BTreeSet<_> = on.subnet.hosts().collect();
    assert_eq!(address(on, &range, &taken, None), None);
}

#[test]
fn a_server_that_is_there_is_kept_where_it_fits() {
    let on = cidr("192.168.56.1/24");
    let server = |address: &str, lower: &str, upper: &str| DhcpServer {
        network: "HostInterfaceNetworking-vboxnet0".to_owned(),
        address: address.parse().ok(),
        mask: "255.255.255.0".parse().ok(),
        lower: lower.parse().ok(),
        upper: upper.parse().ok(),
        enabled: true,
        reserved: Vec::new(),
    };
    let kept = |a, l, u| Range::served(&server(a, l, u), on).is_some();
    assert!(kept("192.168.56.100", "192.168.56.101", "192.168.56.254"));
    assert!(!kept("192.168.99.2", "192.168.99.100", "192.168.99.254"));
    assert!(!kept("192.168.56.2", "192.168.56.3", "192.168.56.254"));
    assert!(!kept("192.168.56.1", "192.168.56.101", "192.168.56.254"));
    assert!(!kept("192.168.56.100", "192.168.56.254", "192.168.56.101"));
    assert!(!kept("", "", ""));
}
