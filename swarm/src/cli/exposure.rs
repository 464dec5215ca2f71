use crate::listen::{ListenAddress, Listener};

/// What somebody can do who reaches a listener without TLS.
#[derive(Clone, Copy)]
pub enum Exposed {
    /// The Docker API of the cluster.
    Api,
    /// The metrics of the manager.
    Metrics,
    /// Discovery for any number of clusters.
    Discovery,
}

impl Exposed {
    fn consequence(self) -> &'static str {
        match self {
            Self::Api => {
                "whoever can connect is root on every node; use --tlsverify, --tlscacert, --tlscert \
                 and --tlskey, or listen on 127.0.0.1 or a unix socket"
            }
            Self::Metrics => {
                "whoever can connect can read how many nodes and containers there are and what they \
                 use; listen on 127.0.0.1, a unix socket or a network of your own"
            }
            Self::Discovery => {
                "whoever can connect and knows a token can add nodes to that cluster; use \
                 --tlsverify, --tlscacert, --tlscert and --tlskey, or listen on 127.0.0.1 or a \
                 unix socket"
            }
        }
    }
}

/// Warns of a listener that other machines reach without TLS.
pub fn warn_if_exposed(listener: &Listener, address: &ListenAddress, exposed: Exposed) {
    if listener.is_exposed() {
        tracing::warn!("{address} is served without TLS: {}", exposed.consequence());
    }
}
