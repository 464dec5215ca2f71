use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rmachine_driver::Secret;
use ssh2::{ErrorCode, MethodType, Session};

use super::authenticate::authenticate;
use super::destination::Destination;
use crate::known_hosts::{pin, pinned};
use crate::options::HostKeyPolicy;
use crate::{HostKey, SshError, UnreachableReason};

/// How often a sign of life is asked for while a command runs.
const ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long what was sent may stay without an answer before the connection counts as lost.
#[cfg(target_os = "linux")]
const UNANSWERED: Duration = Duration::from_secs(30);

/// Host key algorithms that libssh2 knows, best first.
const HOST_KEY_ALGORITHMS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// A connection that is logged in.
pub(super) struct Line {
    pub(super) session: Session,
    /// The session's socket, to wait on.
    pub(super) socket: TcpStream,
}

/// Connects, checks the host's key, logs in.
pub(super) fn log_in(
    to: &Destination,
    ask: &dyn Fn(&str) -> Option<Secret>,
) -> Result<Line, SshError> {
    let pins = pinned(&to.known_hosts, &to.alias)?;
    let stream = dial(to)?;
    let local = |source| SshError::Local {
        action: "set up a socket".to_owned(),
        source,
    };
    stream.set_nodelay(true).map_err(local)?;
    notice_silence(&stream).map_err(local)?;
    let socket = stream.try_clone().map_err(local)?;
    let other = |error: ssh2::Error| to.unreachable(UnreachableReason::Other, error);
    let mut session = Session::new().map_err(other)?;
    session.set_timeout(u32::try_from(to.limit.as_millis()).unwrap_or(u32::MAX));
    session
        .method_pref(MethodType::HostKey, &preferred_algorithms(&pins))
        .map_err(other)?;
    session.set_tcp_stream(stream);
    session
        .handshake()
        .map_err(|error| to.unreachable(handshake_reason(&error, &socket), error))?;
    check_host_key(to, &session, &pins)?;
    authenticate(to, &session, ask)?;
    session.set_keepalive(true, ALIVE_INTERVAL.as_secs() as u32);
    Ok(Line { session, socket })
}

fn dial(to: &Destination) -> Result<TcpStream, SshError> {
    let begun = Instant::now();
    let addresses: Vec<SocketAddr> = (to.host_name.as_str(), to.port)
        .to_socket_addrs()
        .map_err(|error| to.unreachable(UnreachableReason::NameUnknown, error))?
        .collect();
    let mut last = to.unreachable(UnreachableReason::NameUnknown, "the name has no address");
    for address in addresses {
        let left = to.limit.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let detail = format!("{address}: {error}");
                last = to.unreachable(dial_reason(&error), detail);
            }
        }
    }
    Err(last)
}

fn dial_reason(error: &io::Error) -> UnreachableReason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => UnreachableReason::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => UnreachableReason::TimedOut,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            UnreachableReason::NoRoute
        }
        io::ErrorKind::ConnectionReset => UnreachableReason::Closed,
        _ => UnreachableReason::Other,
    }
}

fn handshake_reason(error: &ssh2::Error, socket: &TcpStream) -> UnreachableReason {
    use libssh2_sys as raw;
    match error.code() {
        ErrorCode::Session(raw::LIBSSH2_ERROR_TIMEOUT) => UnreachableReason::TimedOut,
        ErrorCode::Session(
            raw::LIBSSH2_ERROR_SOCKET_DISCONNECT
            | raw::LIBSSH2_ERROR_SOCKET_RECV
            | raw::LIBSSH2_ERROR_SOCKET_SEND
            | raw::LIBSSH2_ERROR_BANNER_RECV
            | raw::LIBSSH2_ERROR_BANNER_SEND,
        ) => UnreachableReason::Closed,
        // What libssh2 calls a host that hangs up while keys are exchanged.
        ErrorCode::Session(raw::LIBSSH2_ERROR_KEX_FAILURE) if is_closed(socket) => {
            UnreachableReason::Closed
        }
        _ => UnreachableReason::Other,
    }
}

/// Whether the other end has hung up.
fn is_closed(socket: &TcpStream) -> bool {
    let peeked = socket
        .set_nonblocking(true)
        .and_then(|()| socket.peek(&mut [0]));
    match peeked {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Asks the kernel to give a connection up whose other end does not answer.
#[cfg(target_os = "linux")]
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
    let milliseconds = UNANSWERED.as_millis() as u32;
    setsockopt(stream, TcpUserTimeout, &milliseconds).map_err(io::Error::from)
}

/// Elsewhere the commands' own limits end the wait.
#[cfg(not(target_os = "linux"))]
fn notice_silence(_stream: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// All algorithms, those of pinned keys first: a host with several keys is to show the pinned one.
fn preferred_algorithms(pins: &[HostKey]) -> String {
    let is_pinned = |name: &str| {
        let key_type = if name.starts_with("rsa-") {
            "ssh-rsa"
        } else {
            name
        };
        pins.iter().any(|pin| pin.algorithm() == key_type)
    };
    let mut names = HOST_KEY_ALGORITHMS;
    names.sort_by_key(|name| !is_pinned(name));
    names.join(",")
}

fn check_host_key(to: &Destination, session: &Session, pins: &[HostKey]) -> Result<(), SshError> {
    let shown = session
        .host_key()
        .and_then(|(blob, _)| HostKey::from_blob(blob))
        .ok_or_else(|| to.unreachable(UnreachableReason::Other, "the host shows no host key"))?;
    if pins.contains(&shown) {
        return Ok(());
    }
    match to.host_keys {
        HostKeyPolicy::PinFirst if pins.is_empty() => {
            return pin(&to.known_hosts, &to.alias, &shown);
        }
        HostKeyPolicy::AcceptOnce if pins.is_empty() => return Ok(()),
        HostKeyPolicy::PinFirst | HostKeyPolicy::AcceptOnce | HostKeyPolicy::Strict => {}
    }
    Err(SshError::HostKeyChanged {
        host: to.host.clone(),
        known_hosts: to.known_hosts.clone(),
        fingerprint: Some(shown.fingerprint()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_algorithm_is_asked_for_first_and_no_other_left_out() {
        let rsa: HostKey = "ssh-rsa AAAAB3NzaC1yc2E=".parse().unwrap();
        let names = preferred_algorithms(&[rsa]);
        assert!(names.starts_with("rsa-sha2-512,rsa-sha2-256,ssh-ed25519,"));
        assert_eq!(names.split(',').count(), HOST_KEY_ALGORITHMS.len());
        assert!(preferred_algorithms(&[]).starts_with("ssh-ed25519,"));
    }
}
