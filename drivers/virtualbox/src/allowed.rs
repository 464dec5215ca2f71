use crate::answer::Version;
use crate::subnet::Subnet;

/// Where VirtualBox reads which host-only addresses are allowed, except on Windows.
pub const FILE: &str = "/etc/vbox/networks.conf";

/// What VirtualBox allows where nobody has written that file.
const WITHOUT_FILE: &str = "192.168.56.0/21";

/// The first VirtualBox that has limits.
pub const SINCE: Version = Version::new(6, 1, 28);

/// The host-only addresses that VirtualBox allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allowed {
    /// Any: this system or this version has no limits, or the file says nothing that we understand.
    Any,
    /// Those in one of these networks.
    Within(Vec<Subnet>),
}

impl Allowed {
    /// What VirtualBox allows where there is no file.
    pub fn without_file() -> Self {
        WITHOUT_FILE
            .parse()
            .map_or(Self::Any, |net| Self::Within(vec![net]))
    }

    /// Reads the file: each line of `*` and networks allows these. Lines of another shape have no
    /// effect; where none has any, it is left to VirtualBox to say so.
    pub fn read(text: &str) -> Self {
        let ranges: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split('#').next()?.trim().strip_prefix('*'))
            .flat_map(str::split_whitespace)
            .collect();
        if ranges.is_empty() {
            return Self::Any;
        }
        // Networks of IPv6 are none of ours.
        Self::Within(
            ranges
                .iter()
                .filter_map(|range| range.parse().ok())
                .collect(),
        )
    }

    /// Whether a network may be made.
    pub fn allows(&self, subnet: Subnet) -> bool {
        match self {
            Self::Any => true,
            Self::Within(ranges) => ranges.iter().any(|range| range.contains(subnet)),
        }
    }

    /// The allowed ranges, as a person would list them.
    pub fn listed(&self) -> String {
        match self {
            Self::Any => "any".to_owned(),
            Self::Within(ranges) if ranges.is_empty() => "none of IPv4".to_owned(),
            Self::Within(ranges) => {
                let texts: Vec<String> = ranges.iter().map(ToString::to_string).collect();
                texts.join(" ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_a_star_count() {
        let net = |text: &str| text.parse::<Subnet>().unwrap();
        let file =
            "# ours\n* 10.0.0.0/8 192.168.99.0/24 # and more\n  * 2001::/64\n172.16.0.0/12\n";
        let allowed = Allowed::read(file);
        assert!(allowed.allows(net("10.3.4.0/24")));
        assert!(allowed.allows(net("192.168.99.0/24")));
        assert!(!allowed.allows(net("192.168.56.0/24")));
        assert!(!allowed.allows(net("172.16.0.0/24")));
        assert_eq!(allowed.listed(), "10.0.0.0/8 192.168.99.0/24");
        assert!(!Allowed::read("* fd00::/8").allows(net("10.0.0.0/24")));
        assert_eq!(Allowed::read("192.168.99.0/24\n"), Allowed::Any);
        assert!(Allowed::without_file().allows(net("192.168.63.0/24")));
        assert!(!Allowed::without_file().allows(net("192.168.99.0/24")));
        assert!(Allowed::read("* 0.0.0.0/0 ::/0").allows(net("1.2.3.0/24")));
    }
}
