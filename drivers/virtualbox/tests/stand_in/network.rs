use std::collections::BTreeMap;

use crate::answer::{Answer, DENIED, FAILURE, INVALID, usage};
use crate::state::{Adapter, Net, Server, Store};
use crate::wishes::Wishes;

pub fn list_adapters(store: &Store, wishes: &Wishes) -> Answer {
    if wishes.macos {
        return Answer::nothing();
    }
    let shown = store.all.adapters.iter().map(|adapter| {
        let number: u32 = adapter
            .name
            .trim_start_matches("vboxnet")
            .parse()
            .unwrap_or(0);
        format!(
            "Name:            {name}\n\
             GUID:            effffff9-{guid:04x}-4abf-8000-0a002700{number:04x}\n\
             DHCP:            Disabled\n\
             IPAddress:       {address}\n\
             NetworkMask:     {mask}\n\
             IPV6Address:     \n\
             IPV6NetworkMaskPrefixLength: 0\n\
             HardwareAddress: 0a:00:27:00:00:{number:02x}\n\
             MediumType:      Ethernet\n\
             Wireless:        No\n\
             Status:          {status}\n\
             VBoxNetworkName: HostInterfaceNetworking-{name}\n\n",
            name = adapter.name,
            guid = 0xdae8 + number,
            address = adapter.address,
            mask = adapter.mask,
            status = if adapter.up { "Up" } else { "Down" },
        )
    });
    Answer::said(shown.collect())
}

pub fn list_nets(store: &Store) -> Answer {
    let shown = store.all.nets.iter().map(|net| {
        format!(
            "Name:            {0}\nGUID:            0\n\nState:           Enabled\n\
             NetworkMask:     {1}\nLowerIP:         {2}\nUpperIP:         {3}\n\
             VBoxNetworkName: hostonly-{0}\n\n",
            net.name, net.mask, net.lower, net.upper
        )
    });
    Answer::said(shown.collect())
}

pub fn list_servers(store: &Store) -> Answer {
    let shown = store.all.servers.iter().map(|server| {
        let kept: String = server
            .kept
            .iter()
            .map(|(card, address)| {
                let pairs: Vec<&str> = (0..6).filter_map(|n| card.get(n * 2..n * 2 + 2)).collect();
                format!(
                    "Individual Config:    MAC {}\n    Fixed Address:    {address}\n    \
                     minLeaseTime:     default\n    defaultLeaseTime: default\n    \
                     maxLeaseTime:     default\n    Forced options:   None\n    \
                     Suppressed opts.: None\n    DHCP options:     None\n",
                    pairs.join(":"),
                )
            })
            .collect();
        let kept = if kept.is_empty() {
            "Individual Configs:   None\n".to_owned()
        } else {
            kept
        };
        format!(
            "NetworkName:    {}\nDhcpd IP:       {}\nLowerIPAddress: {}\nUpperIPAddress: {}\n\
             NetworkMask:    {}\nEnabled:        {}\nGlobal Configuration:\n    \
             minLeaseTime:     default\n    defaultLeaseTime: default\n    \
             maxLeaseTime:     default\n    Forced options:   None\n    Suppressed opts.: None\n        \
             1/legacy: {}\nGroups:               None\n{kept}",
            server.network,
            server.address,
            server.lower,
            server.upper,
            server.mask,
            if server.enabled { "Yes" } else { "No" },
            server.mask,
        )
    });
    Answer::said(shown.collect::<Vec<_>>().join("\n"))
}

pub fn adapter(store: &mut Store, wishes: &Wishes, rest: &[&str]) -> Answer {
    let adapters = &mut store.all.adapters;
    match *rest {
        ["create"] => {
            let taken = |n: &u32| adapters.iter().any(|a| a.name == format!("vboxnet{n}"));
            let number = (0..).find(|n| !taken(n)).unwrap_or(0);
            let name = format!("vboxnet{number}");
            let third = 56 + number;
            adapters.push(Adapter {
                name: name.clone(),
                address: format!("192.168.{third}.1"),
                mask: "255.255.255.0".to_owned(),
                up: false,
            });
            if number == 0 {
                store.all.servers.retain(|s| s.network != network_of(&name));
                store.all.servers.push(first_server(&name));
            }
            Answer::said(format!("Interface '{name}' was successfully created\n")).with_progress()
        }
        ["ipconfig", name, "--ip", address, "--netmask", mask] => {
            let Some(adapter) = adapters.iter_mut().find(|a| a.name == name) else {
                return missing(name);
            };
            if !wishes
                .allowed
                .iter()
                .any(|start| address.starts_with(start))
            {
                return Answer::bare(DENIED, "Access denied");
            }
            address.clone_into(&mut adapter.address);
            mask.clone_into(&mut adapter.mask);
            adapter.up = true;
            Answer::nothing()
        }
        ["remove", name] => {
            let before = adapters.len();
            adapters.retain(|a| a.name != name);
            if adapters.len() == before {
                return missing(name);
            }
            Answer::nothing().with_progress()
        }
        _ => usage(2, "Invalid parameter"),
    }
}

/// The server that VirtualBox makes by itself for its first adapter.
fn first_server(adapter: &str) -> Server {
    Server {
        network: network_of(adapter),
        address: "192.168.56.100".to_owned(),
        mask: "255.255.255.0".to_owned(),
        lower: "192.168.56.101".to_owned(),
        upper: "192.168.56.254".to_owned(),
        enabled: true,
        kept: BTreeMap::new(),
    }
}

pub fn network_of(adapter: &str) -> String {
    format!("HostInterfaceNetworking-{adapter}")
}

fn missing(name: &str) -> Answer {
    Answer::refused(
        &format!("The host network interface named '{name}' could not be found"),
        INVALID,
        "HostWrap, interface IHost, callee nsISupports",
    )
}

pub fn remove_net(store: &mut Store, name: &str) -> Answer {
    let before = store.all.nets.len();
    store.all.nets.retain(|net| net.name != name);
    if store.all.nets.len() == before {
        return Answer::error(&format!("Host-only network '{name}' could not be found"));
    }
    Answer::nothing()
}

pub fn add_net(store: &mut Store, rest: &[&str]) -> Answer {
    let option = |name: &str| {
        let found = rest
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().to_owned()
    };
    store.all.nets.push(Net {
        name: option("--name"),
        mask: option("--netmask"),
        lower: option("--lower-ip"),
        upper: option("--upper-ip"),
    });
    Answer::nothing()
}

pub fn server(store: &mut Store, wishes: &Wishes, verb: &str, rest: &[&str]) -> Answer {
    let option = |names: &[&str]| {
        let at = rest.iter().position(|word| names.contains(word))?;
        rest.get(at + 1).map(|value| (*value).to_owned())
    };
    let card = option(&["--mac-address"]);
    if wishes.old && card.is_some() {
        return usage(1, "Unknown option: --mac-address");
    }
    let network = option(&["--netname", "--network"]).unwrap_or_default();
    let at = store.all.servers.iter().position(|s| s.network == network);
    let no_server = || {
        let words = format!("Failed to find DHCP server for network '{network}'");
        Answer::error(&words)
    };
    let place = match (verb, at) {
        ("remove", Some(at)) => {
            store.all.servers.remove(at);
            return Answer::nothing();
        }
        ("restart", Some(_)) => {
            let runs = store.all.vms.iter().any(|vm| {
                let adapter = vm.settings.get("hostonlyadapter2");
                vm.state == "running" && adapter.is_some_and(|a| network_of(a) == network)
            });
            return if runs {
                Answer::nothing()
            } else {
                Answer::refused(
                    "Failed to restart the server\nVBoxManage: error: not running",
                    FAILURE,
                    "DHCPServerWrap, interface IDHCPServer, callee nsISupports",
                )
            };
        }
        ("modify", None) => {
            return Answer {
                exit: 2,
                ..Answer::error("DHCP server does not exist")
            };
        }
        ("remove" | "restart", None) => return no_server(),
        ("add", Some(_)) => {
            return Answer {
                exit: 2,
                ..Answer::error("DHCP server already exists")
            };
        }
        ("add", None) => {
            store.all.servers.push(Server {
                network: network.clone(),
                ..first_server("")
            });
            store.all.servers.len() - 1
        }
        (_, at) => at.unwrap_or_default(),
    };
    let Some(server) = store.all.servers.get_mut(place) else {
        return no_server();
    };
    for (names, field) in [
        (["--ip", "--server-ip"], &mut server.address),
        (["--netmask", "--netmask"], &mut server.mask),
        (["--lowerip", "--lower-ip"], &mut server.lower),
        (["--upperip", "--upper-ip"], &mut server.upper),
    ] {
        if let Some(value) = option(&names) {
            *field = value;
        }
    }
    server.enabled |= rest.contains(&"--enable");
    server.enabled &= !rest.contains(&"--disable");
    if let Some(card) = card {
        if rest.contains(&"--remove-config") {
            server.kept.remove(&card);
        } else if let Some(address) = option(&["--fixed-address"]) {
            server.kept.insert(card, address);
        }
    }
    Answer::nothing()
}
