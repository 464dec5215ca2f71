use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How long a connection may be idle before its other side is probed.
const IDLE: Duration = Duration::from_secs(10);

/// How long after a probe without an answer the next one goes out.
const BETWEEN: Duration = Duration::from_secs(5);

/// How many probes in a row may stay without an answer.
const PROBES: u32 = 3;

/// How long what was sent, probes included, may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// Lets a TCP connection end about 20 seconds after its other side has gone without a word, as a
/// host does that loses its power, also where nothing is said for hours.
///
/// # Errors
/// What the system says.
pub fn probe_when_idle(stream: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(IDLE).with_interval(BETWEEN);
    socket.set_tcp_keepalive(&probes.with_retries(PROBES))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}
