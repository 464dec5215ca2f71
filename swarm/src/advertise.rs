//! The address that others are told.

use std::net::IpAddr;
use std::str::FromStr;

use nix::ifaddrs::getifaddrs;

/// What `--advertise` takes: `HOST:PORT`, where the host is an address, a name, or one of this
/// machine's network interfaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advertise {
    host: String,
    port: u16,
}

/// Why an address cannot be advertised.
#[derive(Debug, thiserror::Error)]
pub enum AdvertiseError {
    /// It is none.
    #[error("--advertise should be of the form ip:port or hostname:port")]
    Malformed,
    /// The interface is there, and nobody reaches it.
    #[error("the interface {0} has no address that other machines reach")]
    NoAddress(String),
    /// The interfaces of this machine are unknown.
    #[error("cannot list the network interfaces")]
    Interfaces(#[source] nix::Error),
}

impl FromStr for Advertise {
    type Err = AdvertiseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(AdvertiseError::Malformed)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let port: u16 = port.parse().map_err(|_| AdvertiseError::Malformed)?;
        let is_bare = bare.is_none() && host.contains(':');
        let malformed = bare.unwrap_or(host).is_empty() || port == 0 || is_bare;
        // Rust's numbers may have a plus before them; ports have none.
        match malformed || text.contains(":+") {
            true => Err(AdvertiseError::Malformed),
            false => Ok(Self {
                host: bare.unwrap_or(host).to_owned(),
                port,
            }),
        }
    }
}

impl Advertise {
    /// `HOST:PORT` as others are told it: an interface's name has become its address.
    ///
    /// # Errors
    /// [`AdvertiseError::NoAddress`]; [`AdvertiseError::Interfaces`].
    pub fn resolved(&self) -> Result<String, AdvertiseError> {
        let interfaces: Vec<(String, Option<IpAddr>)> = getifaddrs()
            .map_err(AdvertiseError::Interfaces)?
            .map(|interface| (interface.interface_name, interface.address.and_then(ip)))
            .collect();
        self.among(&interfaces)
    }

    fn among(&self, interfaces: &[(String, Option<IpAddr>)]) -> Result<String, AdvertiseError> {
        let of_interface: Vec<_> = interfaces
            .iter()
            .filter(|(name, _)| *name == self.host)
            .collect();
        if of_interface.is_empty() {
            return Ok(joined(&self.host, self.port));
        }
        let mut addresses: Vec<IpAddr> = of_interface
            .iter()
            .filter_map(|(_, address)| *address)
            .filter(|address| is_reached_by_others(*address))
            .collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        match addresses.first() {
            Some(address) => Ok(joined(&address.to_string(), self.port)),
            None => Err(AdvertiseError::NoAddress(self.host.clone())),
        }
    }
}

fn ip(address: nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// A link-local IPv6 address means nothing without the interface that it belongs to.
fn is_reached_by_others(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    }
}

fn joined(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_names_and_interfaces() {
        let interfaces = [
            ("lo".to_owned(), Some("127.0.0.1".parse().unwrap())),
            ("eth1".to_owned(), None),
            ("eth1".to_owned(), Some("fe80::1".parse().unwrap())),
            ("eth1".to_owned(), Some("fd00::5".parse().unwrap())),
            ("eth1".to_owned(), Some("10.0.0.5".parse().unwrap())),
            ("eth2".to_owned(), Some("fd00::6".parse().unwrap())),
            ("eth3".to_owned(), Some("fe80::1".parse().unwrap())),
        ];
        let resolved = |text: &str| {
            let advertise: Advertise = text.parse().unwrap();
            advertise
                .among(&interfaces)
                .map_err(|error| error.to_string())
        };
        for (text, expected) in [
            ("10.9.9.9:2376", "10.9.9.9:2376"),
            ("node-1.example:2376", "node-1.example:2376"),
            ("[fd00::1]:2376", "[fd00::1]:2376"),
            ("eth1:2376", "10.0.0.5:2376"),
            ("eth2:2376", "[fd00::6]:2376"),
        ] {
            assert_eq!(resolved(text).unwrap(), expected);
        }
        assert!(resolved("eth3:1").unwrap_err().contains("eth3"));
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "h",
            ":2376",
            "h:0",
            "h:65536",
            "h:x",
            "fd00::1:2376",
            "[]",
            "[]:1",
            "h:+1",
        ] {
            let error = text.parse::<Advertise>().unwrap_err();
            assert!(
                error.to_string().starts_with("--advertise should be"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_loopback_is_an_interface_of_every_machine() {
        let advertise: Advertise = "lo:2376".parse().unwrap();
        assert_eq!(advertise.resolved().unwrap(), "127.0.0.1:2376");
    }
}
