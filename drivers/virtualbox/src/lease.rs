use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use rmachine_driver::{DriverError, Operation, Resource, Work};

use crate::answer::{self, DhcpServer};
use crate::attachment::Attachment;
use crate::config::WantedAddress;
use crate::machine::Machine;
use crate::manage::{ManageError, VBoxManage};
use crate::network::{self, Kind, Range};
use crate::said::Trouble;
use crate::subnet::HostCidr;
use crate::{failure, host_networks};

/// What an address that a DHCP server keeps for a machine is called; found again by the server's
/// network and the machine's card.
pub const ADDRESS: &str = "address";

/// The resource that an address kept for this card is.
pub fn resource(network: &str, card: &str) -> Resource {
    Resource::new(ADDRESS, format!("{network} {card}"))
}

/// Sets VirtualBox's DHCP server up for the network as the machine wants it, and has it give the
/// machine's card the same address for ever. Gives that address; `None` where it is not to be, or
/// this VirtualBox cannot. The caller holds the lock.
///
/// The machine needs to know nothing of this: it asks for an address as it would anyway.
pub async fn ensure(
    machine: &Machine,
    attachment: &Attachment,
    card: &str,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Option<Ipv4Addr>, DriverError> {
    if attachment.kind == Kind::Net {
        return Ok(None);
    }
    let manage = machine.manage(operation)?;
    let failed = |error| failure::manage(operation, "setting up the DHCP server", error);
    let told = manage.run(["list", "dhcpservers"]).await.map_err(failed)?;
    let servers = answer::dhcp_servers(&told);
    let server = servers.iter().find(|s| s.network == attachment.network);
    let config = &machine.config;
    if config.host_only_no_dhcp {
        if server.is_some_and(|server| server.enabled) {
            let off = [
                "dhcpserver",
                "modify",
                "--netname",
                &attachment.network,
                "--disable",
            ];
            manage.run(off).await.map_err(failed)?;
        }
        return Ok(None);
    }
    let cidr = attachment.cidr;
    let served = served(server, cidr);
    let range = served.unwrap_or_else(|| Range::of(cidr));
    let server_options = match served {
        Some(_) => Vec::new(),
        None => options(&range, attachment),
    };
    let verb = if server.is_some() { "modify" } else { "add" };
    let command = [verb, "--netname", &attachment.network].map(str::to_owned);
    let command: Vec<String> = std::iter::once("dhcpserver".to_owned())
        .chain(command)
        .collect();

    if config.wants_kept_address() {
        let kept = kept_for(server, card);
        if let Some(kept) = kept
            && served.is_some()
            && cidr.subnet.holds(kept)
        {
            return Ok(Some(kept));
        }
        let address = choose(machine, attachment, server, &range, card, operation)?;
        work.resources
            .about_to_make(&resource(&attachment.network, card))?;
        let keep = [
            "--mac-address",
            card,
            "--fixed-address",
            &address.to_string(),
        ]
        .map(str::to_owned);
        let all = command.iter().chain(&server_options).chain(&keep);
        match manage.run(all).await {
            Ok(_) => {
                tell(&manage, attachment).await;
                return Ok(Some(address));
            }
            // Before 6.1 a DHCP server keeps no addresses.
            Err(error) if error.is(Trouble::Unknown) => {
                work.resources
                    .removed(&resource(&attachment.network, card))?;
                work.report.warn(
                    "this VirtualBox cannot keep an address for the machine: it may get another one at each start",
                );
            }
            Err(error) => return Err(failed(error)),
        }
    }
    if !server_options.is_empty() {
        let all = command.iter().chain(&server_options);
        manage.run(all).await.map_err(failed)?;
        tell(&manage, attachment).await;
    }
    Ok(None)
}

/// A server that is running has read its settings and must read them again; one that is not
/// refuses, and needs not.
async fn tell(manage: &VBoxManage, attachment: &Attachment) {
    if !attachment.fresh {
        let restart = ["dhcpserver", "restart", "--network", &attachment.network];
        if let Err(error) = manage.run(restart).await {
            tracing::debug!(%error, "the DHCP server was not restarted");
        }
    }
}

fn options(range: &Range, attachment: &Attachment) -> Vec<String> {
    let mask = attachment.cidr.subnet.mask();
    let given = [
        ("--ip", range.server),
        ("--netmask", mask),
        ("--lowerip", range.lower),
        ("--upperip", range.upper),
    ];
    let given = given.into_iter();
    let mut options: Vec<String> = given
        .flat_map(|(option, address)| [option.to_owned(), address.to_string()])
        .collect();
    options.push("--enable".to_owned());
    options
}

fn kept_for(server: Option<&DhcpServer>, card: &str) -> Option<Ipv4Addr> {
    let reserved = &server?.reserved;
    let ours = |of: &str| of.eq_ignore_ascii_case(card);
    reserved
        .iter()
        .find(|reserved| reserved.card.as_deref().is_some_and(ours))
        .map(|reserved| reserved.address)
}

/// The range that a server gives to anybody, if there is one and it is on.
pub fn served(server: Option<&DhcpServer>, cidr: HostCidr) -> Option<Range> {
    Range::served(server.filter(|server| server.enabled)?, cidr)
}

/// The addresses that are others' on an adapter's network: kept for other cards than this, or met
/// there.
pub fn taken(
    machine: &Machine,
    adapter: &str,
    server: Option<&DhcpServer>,
    card: &str,
) -> BTreeSet<Ipv4Addr> {
    let reserved = server.into_iter().flat_map(|server| &server.reserved);
    let others = reserved.filter(|reserved| reserved.card.as_deref() != Some(card));
    others
        .map(|reserved| reserved.address)
        .chain(host_networks::met(
            &machine.surroundings.root,
            adapter,
            card,
        ))
        .collect()
}

fn choose(
    machine: &Machine,
    attachment: &Attachment,
    server: Option<&DhcpServer>,
    range: &Range,
    card: &str,
    operation: Operation,
) -> Result<Ipv4Addr, DriverError> {
    let taken = taken(machine, &attachment.name, server, card);
    let asked = match machine.config.host_only_address {
        Some(WantedAddress::Is(address)) => Some(address),
        _ => None,
    };
    let wished = asked.or(machine.config.ip_address);
    let chosen = network::address(attachment.cidr, range, &taken, wished);
    match (chosen, asked) {
        (Some(chosen), Some(asked)) if chosen != asked => Err(failure::backend_with_hint(
            operation,
            format!(
                "the machine cannot have the address {asked} on {}: it is another's, or among those that the DHCP server gives to anybody ({} to {})",
                attachment.cidr.subnet, range.lower, range.upper
            ),
            "choose another with --virtualbox-hostonly-address, or leave the choice to rmachine",
        )),
        (Some(chosen), _) => Ok(chosen),
        (None, _) => Err(failure::backend_with_hint(
            operation,
            format!("there is no free address on {}", attachment.cidr.subnet),
            "remove machines, or choose another network with --virtualbox-hostonly-cidr",
        )),
    }
}

/// Gives a kept address back.
pub async fn release(manage: &VBoxManage, id: &str) -> Result<(), ManageError> {
    let Some((network, card)) = id.rsplit_once(' ') else {
        return Ok(());
    };
    let remove = [
        "dhcpserver",
        "modify",
        "--netname",
        network,
        "--mac-address",
        card,
        "--remove-config",
    ];
    match manage.run(remove).await {
        Ok(_) => Ok(()),
        // The server went with its network, or keeps none for this card.
        Err(error) if error.is(Trouble::NotFound) || error.is(Trouble::Unknown) => Ok(()),
        Err(error) => Err(error),
    }
}
