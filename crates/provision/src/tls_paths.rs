//! The paths of the TLS files on a host; docker-machine's.

/// The authority whose clients are let in.
pub const CA: &str = "/etc/docker/ca.pem";
/// The server's certificate.
pub const CERTIFICATE: &str = "/etc/docker/server.pem";
/// The server's private key.
pub const KEY: &str = "/etc/docker/server-key.pem";
/// The authority of the engine's cluster-store.
pub const STORE_CA: &str = "/etc/docker/store-ca.pem";
/// What the engine shows its cluster-store.
pub const STORE_CERTIFICATE: &str = "/etc/docker/store.pem";
/// Its private key.
pub const STORE_KEY: &str = "/etc/docker/store-key.pem";
