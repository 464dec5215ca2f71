use std::fmt;
use std::net::IpAddr;

use serde_json::Value;

use crate::json::{self, Malformed};

/// The protocol of a port. Ports of different protocols never clash.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// TCP, also where none is named.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of a container: `80/tcp`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Port {
    /// The number.
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A port of the host that is forwarded to a container.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PublishedPort {
    /// The port on the host.
    pub port: Port,
    /// The address of the host; none means all addresses, IPv4 and IPv6.
    pub ip: Option<IpAddr>,
}

impl Port {
    /// Reads `80` or `80/udp`. Ranges are none.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        // Rust's numbers may have a plus before them; ports have none.
        let number = (!number.starts_with('+')).then_some(number)?;
        Some(Self {
            number: number.parse().ok()?,
            protocol: Protocol::parse(protocol)?,
        })
    }
}

impl Protocol {
    fn parse(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|protocol| text.eq_ignore_ascii_case(protocol.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl PublishedPort {
    /// Whether one engine cannot serve both.
    ///
    /// The original knew no protocols, and held `::` for one address like others. Engines bind
    /// `0.0.0.0` and `::` apart, so one of IPv4 and one of IPv6 never clash.
    pub fn clashes_with(&self, other: &Self) -> bool {
        self.port == other.port
            && match (self.ip, other.ip) {
                (Some(one), Some(two)) => {
                    one == two
                        || (one.is_ipv4() == two.is_ipv4()
                            && (one.is_unspecified() || two.is_unspecified()))
                }
                _ => true,
            }
    }

    /// The fixed ports of a map like `HostConfig.PortBindings`, sorted.
    ///
    /// Ports that the engine chooses (none, `0`, a range) are left out, and so is what no engine
    /// accepts: it is for the engine to say so.
    pub(crate) fn read(config: &Value, pointer: &'static str) -> Result<Vec<Self>, Malformed> {
        let mut published = Vec::new();
        for (key, bindings) in json::entries(config, pointer)? {
            let protocol = key.split_once('/').map_or("tcp", |(_, protocol)| protocol);
            let Some(protocol) = Protocol::parse(protocol) else {
                continue;
            };
            for binding in json::items(bindings, pointer)? {
                let number = json::text_of(binding.get("HostPort"), pointer)?;
                let ip = json::text_of(binding.get("HostIp"), pointer)?;
                if let Some(number) = number.parse().ok().filter(|number| *number != 0) {
                    published.push(Self {
                        port: Port { number, protocol },
                        ip: ip.parse().ok().map(|ip: IpAddr| ip.to_canonical()),
                    });
                }
            }
        }
        published.sort_unstable();
        published.dedup();
        Ok(published)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            None => self.port.fmt(f),
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.port),
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn published(ip: &str, port: &str) -> PublishedPort {
        PublishedPort {
            port: Port::parse(port).expect(port),
            ip: ip.parse().ok(),
        }
    }

    #[test]
    fn ports_clash_on_one_protocol_and_a_common_address() {
        let table = [
            (("", "80"), ("", "80/tcp"), true),
            (("", "80"), ("", "81"), false),
            (("", "80/tcp"), ("", "80/udp"), false),
            (("", "80/udp"), ("", "80/UDP"), true),
            (("", "80"), ("10.0.0.1", "80"), true),
            (("", "80"), ("::1", "80"), true),
            (("", "80"), ("0.0.0.0", "80"), true),
            (("", "80"), ("::", "80"), true),
            (("0.0.0.0", "80"), ("10.0.0.1", "80"), true),
            (("0.0.0.0", "80"), ("::", "80"), false),
            (("0.0.0.0", "80"), ("::1", "80"), false),
            (("::", "80"), ("::1", "80"), true),
            (("10.0.0.1", "80"), ("10.0.0.1", "80"), true),
            (("10.0.0.1", "80"), ("10.0.0.2", "80"), false),
        ];
        for ((ip, port), (other_ip, other_port), expected) in table {
            let one = published(ip, port);
            let two = published(other_ip, other_port);
            assert_eq!(one.clashes_with(&two), expected, "{one} and {two}");
            assert_eq!(two.clashes_with(&one), expected, "{two} and {one}");
        }
    }

    #[test]
    fn only_fixed_ports_are_read() {
        let config = json!({"Bindings": {
            "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "", "HostPort": "8080"}],
            "53/udp": [{"HostIp": "10.0.0.1", "HostPort": "53"}],
            "81": [{"HostIp": "::ffff:10.0.0.1", "HostPort": "81"}],
            "82/tcp": [{"HostPort": ""}, {"HostPort": "0"}, {"HostPort": "8000-8010"}, {}],
            "83/tcp": null,
            "84/ip": [{"HostPort": "84"}],
            "85/tcp": [{"HostPort": "85000"}],
        }});
        let read = PublishedPort::read(&config, "/Bindings").expect("well formed");
        assert_eq!(
            read,
            [
                published("10.0.0.1", "53/udp"),
                published("10.0.0.1", "81"),
                published("", "8080"),
            ]
        );
        assert_eq!(PublishedPort::read(&config, "/Missing"), Ok(Vec::new()));
    }

    #[test]
    fn malformed_bindings_are_told() {
        for bindings in [
            json!([]),
            json!({"80": 1}),
            json!({"80": [{"HostPort": 80}]}),
        ] {
            let config = json!({"Bindings": bindings});
            assert!(PublishedPort::read(&config, "/Bindings").is_err());
        }
    }
}
