//! How long things may take. Every wait of this crate has its bound here.

use std::time::Duration;

/// For the lock of a machine that another process works on.
pub(crate) const MACHINE_LOCK: Duration = Duration::from_secs(3);

/// For the lock of the shared certificates: as long as it may take to make RSA keys, several times.
pub(crate) const CERTIFICATE_LOCK: Duration = Duration::from_secs(30);

/// For the first connection to a host that is there already.
pub(crate) const CONNECT: Duration = Duration::from_secs(15);

/// For sshd on a host that is booting. A VM on a busy computer may take minutes.
pub(crate) const BOOT: Duration = Duration::from_secs(300);

/// Between two looks at whether a machine that was waited for that long still runs: half of it,
/// within bounds. A look is a call of VBoxManage, which takes its part of a busy computer.
pub(crate) fn look_pause(waited: Duration) -> Duration {
    (waited / 2).clamp(Duration::from_secs(10), Duration::from_secs(60))
}

/// For the engine's answer over TLS once its service has started.
pub(crate) const ENGINE_ANSWER: Duration = Duration::from_secs(120);

/// For one question of that wait: an engine on a slow processor takes long over its first handshake.
pub(crate) const ENGINE_FIRST_CALL: Duration = Duration::from_secs(30);

/// Between two questions to an engine, or to a manager, that was waited for that long and does not
/// answer yet: a twentieth of it, within bounds. A host that is slow to boot has other things to do
/// than to refuse connections.
pub(crate) fn engine_pause(waited: Duration) -> Duration {
    (waited / 20).clamp(Duration::from_millis(100), Duration::from_secs(1))
}

/// For other engines with a `cluster-store` to have started.
pub(crate) const ENGINE_TURN: Duration = Duration::from_secs(300);

/// Between two looks at whether they have.
pub(crate) const ENGINE_TURN_PAUSE: Duration = Duration::from_millis(50);

/// For one call about the companion's image and containers: an engine that is busy with its disk
/// takes long over an image, and one on a slow processor over the start of a container.
pub(crate) const COMPANION_CALL: Duration = Duration::from_secs(180);

/// For a manager's answer over TLS once its container has started.
pub(crate) const MANAGER_ANSWER: Duration = Duration::from_secs(60);

/// For a manager to call a new node healthy. One that it could not reach it asks again within 15
/// seconds.
pub(crate) const MEMBERSHIP: Duration = Duration::from_secs(120);

/// For a container on one machine to reach one on another; each try has ten seconds of its own.
pub(crate) const REACH: Duration = Duration::from_secs(30);

/// For a master that others wait for to be made, by this process or another one: as long as a
/// driver may take for the first image of its machines, and an installation after that. A master
/// that nobody works on any more ends the wait before.
pub(crate) const MASTER: Duration = Duration::from_secs(40 * 60);

/// Between two looks at a master that is being made.
pub(crate) const MASTER_PAUSE: Duration = Duration::from_millis(50);

/// Between two questions to a manager that does not call a node healthy yet.
pub(crate) const MEMBERSHIP_PAUSE: Duration = Duration::from_millis(100);

/// For one question to the server of a store. An etcd without its quorum answers within 7 seconds.
pub(crate) const STORE_CALL: Duration = Duration::from_secs(10);

/// For a store to take a new server: an etcd that has just taken another one refuses for a while.
pub(crate) const STORE_JOIN: Duration = Duration::from_secs(60);

/// For a server to be a full part of its store once its container has started.
pub(crate) const STORE_ANSWER: Duration = Duration::from_secs(60);

/// Between two questions to a server that is not there yet.
pub(crate) const STORE_PAUSE: Duration = Duration::from_millis(100);

/// For one call about a swarm: an engine that joins one waits for 20 seconds itself.
pub(crate) const SWARM_CALL: Duration = Duration::from_secs(60);

/// For what a swarm runs on a node to end there.
pub(crate) const DRAIN: Duration = Duration::from_secs(20);

/// For what a machine that is removed may take to leave its cluster.
pub(crate) const LEAVE: Duration = Duration::from_secs(90);

/// For the engine of an adopted host to answer before sshd is asked.
pub(crate) const HEAD_START: Duration = Duration::from_secs(1);

/// For one question to the engine.
pub(crate) const ENGINE_CALL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_the_wait() {
        for (waited, expected) in [(0, 100), (2, 100), (10, 500), (20, 1000), (90, 1000)] {
            let expected = Duration::from_millis(expected);
            assert_eq!(engine_pause(Duration::from_secs(waited)), expected);
        }
        for (waited, expected) in [(0, 10), (10, 10), (30, 15), (300, 60)] {
            let pause = look_pause(Duration::from_secs(waited));
            assert_eq!(pause, Duration::from_secs(expected));
        }
    }
}
