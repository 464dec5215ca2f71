use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Entry, InvalidEntry, pattern};

/// Where the members of a cluster are found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DiscoveryUrl {
    /// `nodes://`, or no scheme: the nodes themselves.
    Nodes(Vec<Entry>),
    /// `file://PATH`: a file with a node a line.
    File(PathBuf),
    /// `token://[HOST[/PATH]/]TOKEN`: a service for any number of clusters.
    Token {
        /// The service's URL, where the discovery names one.
        service: Option<String>,
        /// The cluster.
        token: String,
    },
    /// `etcd://`, `consul://`, `zk://`: a key-value store.
    Store(StoreUrl),
    /// `embedded://`: the membership that managers themselves keep.
    Embedded {
        /// The managers, tried in turn; none on the manager that keeps it.
        managers: Vec<Entry>,
    },
}

/// `SCHEME://HOST:PORT[,HOST:PORT…][/PREFIX]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreUrl {
    /// The kind of the store.
    pub kind: StoreKind,
    /// Its servers, tried in turn.
    pub servers: Vec<Entry>,
    /// What all keys begin with, without slashes at its ends; may be empty.
    pub prefix: String,
}

/// The key-value stores that discovery knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreKind {
    /// etcd, of version 2 or 3.
    Etcd,
    /// Consul.
    Consul,
    /// ZooKeeper.
    ZooKeeper,
}

/// Why a text is no [`DiscoveryUrl`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidUrl {
    /// Nobody knows this scheme.
    #[error("discovery service not supported: {0}://")]
    Scheme(String),
    /// A node or a server is none.
    #[error(transparent)]
    Entry(#[from] InvalidEntry),
    /// A range such as `[1:9]` is none, or has too many members.
    #[error("{0:?} is no range of addresses")]
    Range(String),
    /// There is nothing after the scheme.
    #[error("{0} names nothing")]
    Empty(String),
}

const NODES: &str = "nodes";
const FILE: &str = "file";
const TOKEN: &str = "token";
const EMBEDDED: &str = "embedded";

impl StoreKind {
    const ALL: [Self; 3] = [Self::Etcd, Self::Consul, Self::ZooKeeper];

    /// The scheme.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Consul => "consul",
            Self::ZooKeeper => "zk",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Etcd => 2379,
            Self::Consul => 8500,
            Self::ZooKeeper => 2181,
        }
    }
}

impl FromStr for DiscoveryUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or((NODES, text));
        let kind = StoreKind::ALL
            .into_iter()
            .find(|kind| kind.scheme() == scheme);
        if rest.trim_matches('/').is_empty() && scheme != EMBEDDED {
            return Err(InvalidUrl::Empty(text.to_owned()));
        }
        match (scheme, kind) {
            (_, Some(kind)) => store(kind, rest).map(Self::Store),
            (NODES, _) => match pattern::expand_all(rest)? {
                nodes if nodes.is_empty() => Err(InvalidUrl::Empty(text.to_owned())),
                nodes => Ok(Self::Nodes(nodes)),
            },
            (FILE, _) => Ok(Self::File(rest.into())),
            (TOKEN, _) => Ok(match rest.rsplit_once('/') {
                Some((service, token)) if !service.is_empty() => Self::Token {
                    service: Some(format!("https://{service}")),
                    token: token.to_owned(),
                },
                _ => Self::Token {
                    service: None,
                    token: rest.trim_start_matches('/').to_owned(),
                },
            }),
            (EMBEDDED, _) => {
                let managers = rest.split(',').filter(|manager| !manager.is_empty());
                let managers: Result<Vec<Entry>, _> = managers.map(str::parse).collect();
                Ok(Self::Embedded {
                    managers: managers?,
                })
            }
            (other, _) => Err(InvalidUrl::Scheme(other.to_owned())),
        }
    }
}

fn store(kind: StoreKind, rest: &str) -> Result<StoreUrl, InvalidUrl> {
    let (servers, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let server = |text: &str| match text.parse::<Entry>() {
        Err(InvalidEntry::NoPort(_)) => format!("{text}:{}", kind.default_port()).parse(),
        parsed => parsed,
    };
    let servers: Result<Vec<Entry>, _> = servers.split(',').map(server).collect();
    Ok(StoreUrl {
        kind,
        servers: servers?,
        prefix: prefix.trim_matches('/').to_owned(),
    })
}

impl fmt::Display for DiscoveryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(entries) => write!(f, "{NODES}://{}", joined(entries)),
            Self::File(path) => write!(f, "{FILE}://{}", path.display()),
            Self::Token { service, token } => {
                let service = service.as_deref().unwrap_or_default();
                let service = service.strip_prefix("https://").unwrap_or(service);
                let slash = if service.is_empty() { "" } else { "/" };
                write!(f, "{TOKEN}://{service}{slash}{token}")
            }
            Self::Store(store) => {
                let slash = if store.prefix.is_empty() { "" } else { "/" };
                let servers = joined(&store.servers);
                write!(
                    f,
                    "{}://{servers}{slash}{}",
                    store.kind.scheme(),
                    store.prefix
                )
            }
            Self::Embedded { managers } => write!(f, "{EMBEDDED}://{}", joined(managers)),
        }
    }
}

fn joined(entries: &[Entry]) -> String {
    let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
    entries.join(",")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_scheme() {
        for (text, shown) in [
            (
                "10.0.0.1:2375,10.0.0.2:2375",
                "nodes://10.0.0.1:2375,10.0.0.2:2375",
            ),
            (
                "nodes://10.0.0.[1:3]:2375",
                "nodes://10.0.0.1:2375,10.0.0.2:2375,10.0.0.3:2375",
            ),
            ("file:///tmp/my cluster", "file:///tmp/my cluster"),
            ("token://0123abcd", "token://0123abcd"),
            ("token://host:1/path/0123", "token://host:1/path/0123"),
            ("etcd://a:1,b", "etcd://a:1,b:2379"),
            ("etcd://a:1/x/y/", "etcd://a:1/x/y"),
            ("consul://c", "consul://c:8500"),
            ("zk://z:9,y/p", "zk://z:9,y:2181/p"),
            ("embedded://", "embedded://"),
            (
                "embedded://m:3376,[fd00::1]:3376",
                "embedded://m:3376,[fd00::1]:3376",
            ),
        ] {
            let url: DiscoveryUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(shown.parse::<DiscoveryUrl>().unwrap(), url);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<DiscoveryUrl>().unwrap_err().to_string();
        assert_eq!(
            error("redis://h:1"),
            "discovery service not supported: redis://"
        );
        assert!(error("0123456789abcdef").contains("missing token:// ?"));
        for text in ["", "\t", ",", "nodes://", "file://", "token://", "etcd://"] {
            assert!(
                error(text).contains("names nothing"),
                "{text}: {}",
                error(text)
            );
        }
        assert!(error("etcd://a b").contains("no name"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_discovery_or_none(text in "([a-z]{0,8}://)?.{0,40}") {
            if let Ok(url) = text.parse::<DiscoveryUrl>() {
                let shown = url.to_string();
                prop_assert_eq!(shown.parse::<DiscoveryUrl>().map(|url| url.to_string()), Ok(shown));
            }
        }
    }
}
