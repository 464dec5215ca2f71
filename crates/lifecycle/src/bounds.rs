//! How long things may take. Every wait of this crate has its bound here.

use std::time::Duration;

/// For the lock of a machine that another process works on.
pub(crate) const MACHINE_LOCK: Duration = Duration::from_secs(3);

/// For the lock of the shared certificates: as long as it may take to make RSA keys, several times.
pub(crate) const CERTIFICATE_LOCK: Duration = Duration::from_secs(30);

/// For the first connection to a host that is there already.
pub(crate) const CONNECT: Duration = Duration::from_secs(15);

/// For sshd on a host that is booting.
pub(crate) const BOOT: Duration = Duration::from_secs(180);

/// For the engine's answer over TLS once its service has started.
pub(crate) const ENGINE_ANSWER: Duration = Duration::from_secs(60);

/// Between two questions to an engine that does not answer yet.
pub(crate) const ENGINE_PAUSE: Duration = Duration::from_millis(100);

/// For one call about the companion's image and containers: an engine that is busy with its disk
/// takes long over an image.
pub(crate) const COMPANION_CALL: Duration = Duration::from_secs(60);

/// For a manager's answer over TLS once its container has started.
pub(crate) const MANAGER_ANSWER: Duration = Duration::from_secs(30);

/// For a manager to call a new node healthy. One that it could not reach it asks again within 15
/// seconds.
pub(crate) const MEMBERSHIP: Duration = Duration::from_secs(60);

/// Between two questions to a manager that does not call a node healthy yet.
pub(crate) const MEMBERSHIP_PAUSE: Duration = Duration::from_millis(100);

/// For one call about a swarm: an engine that joins one waits for 20 seconds itself.
pub(crate) const SWARM_CALL: Duration = Duration::from_secs(60);

/// For what a swarm runs on a node to end there.
pub(crate) const DRAIN: Duration = Duration::from_secs(20);

/// For what a machine that is removed may take to leave its cluster.
pub(crate) const LEAVE: Duration = Duration::from_secs(90);

/// For one question to the engine.
pub(crate) const ENGINE_CALL: Duration = Duration::from_secs(10);
