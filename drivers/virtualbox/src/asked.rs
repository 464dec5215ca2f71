//! What was asked for by name, looked at before anything is made: an address, a directory to share.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use rmachine_driver::{CheckFailure, ResourceJournal};

use crate::answer;
use crate::config::WantedAddress;
use crate::failure::found;
use crate::lease;
use crate::machine::Machine;
use crate::manage::VBoxManage;
use crate::network::{self, Choice, Range};
use crate::share::{Share, split};
use crate::subnet::HostCidr;

/// Why the machine cannot have the address that was asked for on the network that was chosen.
pub async fn address(
    machine: &Machine,
    manage: &VBoxManage,
    resources: &dyn ResourceJournal,
    choice: Choice,
) -> Option<CheckFailure> {
    let config = &machine.config;
    let Some(WantedAddress::Is(asked)) = config.host_only_address else {
        return None;
    };
    if config.host_only_no_dhcp {
        return Some(found(
            "address",
            format!("{asked} would be kept for the machine by the DHCP server, which is not to be"),
            "leave out --virtualbox-hostonly-no-dhcp, or --virtualbox-hostonly-address",
        ));
    }
    let (adapter, cidr) = match choice {
        Choice::Adapter(adapter, cidr) => (adapter, cidr),
        Choice::Make(cidr) => return unfit(asked, cidr, &Range::of(cidr), &BTreeSet::new()),
    };
    let told = manage.run(["list", "dhcpservers"]).await.ok()?;
    let servers = answer::dhcp_servers(&told);
    let server = servers.iter().find(|s| s.network == adapter.network);
    let range = lease::served(server, cidr).unwrap_or_else(|| Range::of(cidr));
    let owned = resources.owned();
    let is_ours = |card: &&str| owned.contains(&lease::resource(&adapter.network, card));
    let mut cards = server.into_iter().flat_map(|server| &server.reserved);
    let card = cards.find_map(|reserved| reserved.card.as_deref().filter(is_ours));
    let taken = lease::taken(machine, &adapter.name, server, card.unwrap_or_default());
    unfit(asked, cidr, &range, &taken)
}

/// Why the address cannot be a machine's own on this network, where the others are taken.
fn unfit(
    asked: Ipv4Addr,
    cidr: HostCidr,
    range: &Range,
    taken: &BTreeSet<Ipv4Addr>,
) -> Option<CheckFailure> {
    let subnet = cidr.subnet;
    let free = network::address(cidr, range, taken, Some(asked));
    if free == Some(asked) {
        return None;
    }
    let finding = if !subnet.holds(asked) {
        format!("{asked} is not on the host-only network {subnet}")
    } else if asked == cidr.address {
        format!("{asked} is this computer's own on the host-only network {subnet}")
    } else if (range.lower..=range.upper).contains(&asked) {
        format!(
            "{asked} is among those that the DHCP server gives to anybody ({} to {})",
            range.lower, range.upper
        )
    } else if asked == range.server {
        format!("{asked} is the DHCP server's")
    } else if taken.contains(&asked) {
        format!("{asked} is another machine's")
    } else {
        format!("{asked} stands for all of the host-only network {subnet}")
    };
    let such_as = free.map_or_else(String::new, |free| format!(", such as {free}"));
    let remedy = format!(
        "choose another with --virtualbox-hostonly-address{such_as}, or leave the choice to rmachine"
    );
    Some(found("address", finding, &remedy))
}

/// Why the directory that was asked for cannot be shared.
pub fn share(machine: &Machine) -> Option<CheckFailure> {
    split(&machine.config.share_folder)?;
    let Share { directory, .. } = machine.share()?;
    let wrong = if !directory.is_absolute() {
        "is no absolute path"
    } else if !directory.exists() {
        "does not exist"
    } else if !directory.is_dir() {
        "is no directory"
    } else {
        return None;
    };
    Some(found(
        "shared folder",
        format!("{} {wrong}", directory.display()),
        "name a directory of this computer with --virtualbox-share-folder, as /path:name, or share none with --virtualbox-no-share",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_on_the_network_and_nobody_elses() {
        let cidr: HostCidr = "192.168.58.1/24".parse().unwrap();
        let range = Range::of(cidr);
        let taken = BTreeSet::from([Ipv4Addr::new(192, 168, 58, 7)]);
        let why = |last_bytes: [u8; 2]| {
            let [third, fourth] = last_bytes;
            let asked = Ipv4Addr::new(192, 168, third, fourth);
            unfit(asked, cidr, &range, &taken).map(|failure| failure.finding)
        };
        assert_eq!(why([58, 77]), None);
        for (asked, finding) in [
            ([59, 77], "is not on the host-only network"),
            ([58, 0], "stands for all of the host-only network"),
            ([58, 255], "stands for all of the host-only network"),
            ([58, 1], "is this computer's own"),
            ([58, 2], "is the DHCP server's"),
            (
                [58, 200],
                "gives to anybody (192.168.58.128 to 192.168.58.254)",
            ),
            ([58, 7], "is another machine's"),
        ] {
            let why = why(asked).unwrap_or_default();
            assert!(why.contains(finding), "{asked:?}: {why}");
        }
    }
}
