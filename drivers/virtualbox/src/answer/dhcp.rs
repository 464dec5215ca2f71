use std::net::Ipv4Addr;

use super::blocks::{blocks, value};

/// A DHCP server of VirtualBox's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DhcpServer {
    /// The network it serves: `HostInterfaceNetworking-vboxnet0`.
    pub network: String,
    /// Its own address.
    pub address: Option<Ipv4Addr>,
    /// The bits of its network.
    pub mask: Option<Ipv4Addr>,
    /// The first address that it gives to anybody.
    pub lower: Option<Ipv4Addr>,
    /// The last one.
    pub upper: Option<Ipv4Addr>,
    /// Whether it serves.
    pub enabled: bool,
    /// The addresses that it keeps for one VM each.
    pub reserved: Vec<Reserved>,
}

/// An address that a DHCP server keeps for one network card.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reserved {
    /// The card, in small letters and without colons, where the server goes by the card.
    pub card: Option<String>,
    /// The address.
    pub address: Ipv4Addr,
}

/// Reads `list dhcpservers`, with the keys of all versions: 6.1 has others than those before it.
pub fn dhcp_servers(text: &str) -> Vec<DhcpServer> {
    let read = |block: &Vec<(&str, &str)>| {
        Some(DhcpServer {
            network: value(block, &["NetworkName"])?.to_owned(),
            address: parsed(value(block, &["Dhcpd IP", "IP", "DhcpdIP"])),
            mask: parsed(value(block, &["NetworkMask"])),
            lower: parsed(value(block, &["LowerIPAddress", "lowerIPAddress"])),
            upper: parsed(value(block, &["UpperIPAddress", "upperIPAddress"])),
            enabled: value(block, &["Enabled"]).is_some_and(|v| v.eq_ignore_ascii_case("yes")),
            reserved: reserved(block),
        })
    };
    blocks(text, "NetworkName")
        .iter()
        .filter_map(read)
        .collect()
}

fn reserved(block: &[(&str, &str)]) -> Vec<Reserved> {
    let mut card = None;
    let mut reserved = Vec::new();
    for (key, value) in block {
        if key.eq_ignore_ascii_case("Individual Config") {
            card = card_in(value);
        } else if key.eq_ignore_ascii_case("Fixed Address")
            && let Ok(address) = value.parse()
        {
            reserved.push(Reserved {
                card: card.clone(),
                address,
            });
        }
    }
    reserved
}

/// The card in `MAC 08:00:27:…` or `VM NIC: … slot 1, MAC 0800…`.
fn card_in(text: &str) -> Option<String> {
    let (_, after) = text.rsplit_once("MAC ")?;
    let card: String = after
        .chars()
        .filter(char::is_ascii_hexdigit)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    (card.len() == 12).then_some(card)
}

fn parsed(text: Option<&str>) -> Option<Ipv4Addr> {
    text?.parse().ok()
}
