use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::{BlockDirections, Channel, ErrorCode};

use super::login::Line;
use crate::Output;
use crate::api::MAX_OUTPUT;
use crate::transport::InputEnd;

/// How often a wait looks whether anybody still waits for the command.
const LOOK_UP: Duration = Duration::from_millis(50);

/// How long ending a command may take before the whole connection is given up.
const HANG_UP: Duration = Duration::from_secs(2);

const CHUNK: usize = 64 * 1024;

/// A command line and what it is fed.
pub(super) struct Conversation {
    pub(super) line: String,
    pub(super) input: Vec<u8>,
    pub(super) end: InputEnd,
    pub(super) limit: Duration,
}

/// Why a conversation did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    TimedOut,
    /// Nobody waits for it any more.
    Abandoned,
    /// The command wrote more than is captured.
    TooMuchOutput,
    /// The connection is gone or in no state to go on.
    Broken(String),
}

/// Runs a command line in a channel of its own and waits for its end.
pub(super) fn converse(
    line: &Line,
    conversation: &Conversation,
    abandoned: &dyn Fn() -> bool,
) -> Result<Output, Failure> {
    let wait = Wait {
        line,
        deadline: Instant::now() + conversation.limit,
        abandoned,
    };
    let mut output = Output::default();
    let mut channel = wait
        .until(|| line.session.channel_session().map_err(refused_for_now))
        .map_err(|stop| stop.failure(&output))?;
    let outcome = wait
        .until(|| Ok(channel.exec(&conversation.line)?))
        .and_then(|()| speak(&wait, &mut channel, conversation, &mut output))
        .and_then(|()| listen(&wait, &mut channel, &mut output))
        .and_then(|()| status(&wait, &mut channel))
        .map_err(|stop| stop.failure(&output));
    match outcome {
        Ok(status) => {
            output.status = status;
            Ok(output)
        }
        Err(failure @ (Failure::TimedOut | Failure::Abandoned | Failure::TooMuchOutput)) => {
            // The host ends the command when its standard input does.
            let hang_up = Wait {
                line,
                deadline: Instant::now() + HANG_UP,
                abandoned: &|| false,
            };
            // Where even that fails, the next command meets the broken connection.
            let _ = hang_up.until(|| Ok(channel.close()?));
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// A host that allows one session may not have noticed the end of the one before: no reason to
/// stop waiting.
fn refused_for_now(error: ssh2::Error) -> io::Error {
    match error.code() {
        ErrorCode::Session(libssh2_sys::LIBSSH2_ERROR_CHANNEL_FAILURE) => {
            io::ErrorKind::WouldBlock.into()
        }
        _ => error.into(),
    }
}

/// Writes all input, then listens. What arrives meanwhile is taken too, for libssh2 knows no end
/// of a channel with something unread; it is little, since nothing the host runs for us says much
/// before it has read everything.
fn speak(
    wait: &Wait<'_>,
    channel: &mut Channel,
    conversation: &Conversation,
    output: &mut Output,
) -> Result<(), Stop> {
    let mut chunk = vec![0; CHUNK];
    let mut rest = conversation.input.as_slice();
    while !rest.is_empty() {
        let written = wait.until(|| match channel.write(rest) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match hear(channel, &mut chunk, output)? {
                    // It ended before it has read everything, and says why by its status.
                    Heard::End => Ok(rest.len()),
                    Heard::Something | Heard::Nothing => Err(error),
                }
            }
            other => other,
        })?;
        rest = rest.get(written..).unwrap_or_default();
    }
    match conversation.end {
        InputEnd::AfterInput if !channel.eof() => wait.until(|| Ok(channel.send_eof()?)),
        _ => Ok(()),
    }
}

fn listen(wait: &Wait<'_>, channel: &mut Channel, output: &mut Output) -> Result<(), Stop> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let heard = wait.until(|| {
            // A connection that is gone shows itself when something is read.
            let _ = wait.line.session.keepalive_send();
            match hear(channel, &mut chunk, output)? {
                Heard::Nothing => Err(io::ErrorKind::WouldBlock.into()),
                heard => Ok(heard),
            }
        })?;
        if let Heard::End = heard {
            return Ok(());
        }
    }
}

/// Takes what is there for now.
fn hear(channel: &mut Channel, chunk: &mut [u8], output: &mut Output) -> io::Result<Heard> {
    let more = drain(channel, chunk, &mut output.stdout)?;
    let more_errors = drain(&mut channel.stderr(), chunk, &mut output.stderr)?;
    Ok(match more || more_errors {
        true => Heard::Something,
        false if channel.eof() => Heard::End,
        false => Heard::Nothing,
    })
}

enum Heard {
    Something,
    Nothing,
    End,
}

/// Takes what is there for now; tells whether there was anything. More than [`MAX_OUTPUT`] is an
/// error of the kind `FileTooLarge`.
fn drain(from: &mut dyn Read, chunk: &mut [u8], to: &mut Vec<u8>) -> io::Result<bool> {
    match from.read(chunk) {
        Ok(length) => {
            if to.len() + length > MAX_OUTPUT {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            to.extend_from_slice(chunk.get(..length).unwrap_or_default());
            Ok(length > 0)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// The exit status, which the host sends before it closes the channel.
fn status(wait: &Wait<'_>, channel: &mut Channel) -> Result<i32, Stop> {
    wait.until(|| Ok(channel.wait_close()?))?;
    let status = channel.exit_status().map_err(|e| Stop::Error(e.into()))?;
    let signal = channel.exit_signal().map_err(|e| Stop::Error(e.into()))?;
    Ok(match signal.exit_signal.as_deref() {
        None => status,
        Some(name) => 128 + signal_number(name),
    })
}

/// The number of a signal that the protocol names (RFC 4254, section 6.10).
fn signal_number(name: &str) -> i32 {
    match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "ABRT" => 6,
        "FPE" => 8,
        "KILL" => 9,
        "USR1" => 10,
        "SEGV" => 11,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        _ => 0,
    }
}

/// Waiting for libssh2, with a bound.
struct Wait<'a> {
    line: &'a Line,
    deadline: Instant,
    abandoned: &'a dyn Fn() -> bool,
}

/// Why a wait ended without a result.
enum Stop {
    TimedOut,
    Abandoned,
    Error(io::Error),
}

impl Wait<'_> {
    /// Repeats an operation until it does not have to wait.
    fn until<T>(&self, mut operation: impl FnMut() -> io::Result<T>) -> Result<T, Stop> {
        loop {
            if (self.abandoned)() {
                return Err(Stop::Abandoned);
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Stop::TimedOut);
            }
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Stop::Error(error)),
                Ok(value) => return Ok(value),
            }
            self.pause(left.min(LOOK_UP))?;
        }
    }

    /// Sleeps until the socket has something for libssh2, or the time is over.
    fn pause(&self, limit: Duration) -> Result<(), Stop> {
        let events = match self.line.session.block_directions() {
            BlockDirections::Outbound => PollFlags::POLLOUT,
            BlockDirections::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
            BlockDirections::Inbound | BlockDirections::None => PollFlags::POLLIN,
        };
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::ZERO);
        match poll(
            &mut [PollFd::new(self.line.socket.as_fd(), events)],
            timeout,
        ) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(Stop::Error(errno.into())),
        }
    }
}

impl Stop {
    fn failure(self, output: &Output) -> Failure {
        match self {
            Self::TimedOut => Failure::TimedOut,
            Self::Abandoned => Failure::Abandoned,
            Self::Error(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Failure::TooMuchOutput
            }
            Self::Error(error) => {
                let said = output.error_text();
                let separator = if said.is_empty() { "" } else { "\n" };
                Failure::Broken(format!("{said}{separator}{error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drain_rejects_output_beyond_the_limit() {
        let mut chunk = vec![0; CHUNK];
        let mut output = vec![0; MAX_OUTPUT - 1];
        assert!(drain(&mut &b"x"[..], &mut chunk, &mut output).unwrap());
        let error = drain(&mut &b"x"[..], &mut chunk, &mut output).unwrap_err();
        assert!(matches!(
            Stop::Error(error).failure(&Output::default()),
            Failure::TooMuchOutput
        ));
        assert_eq!(output.len(), MAX_OUTPUT);
    }

    #[test]
    fn a_broken_connection_keeps_what_was_said_before() {
        let said = |stderr: &str| {
            let output = Output {
                stderr: stderr.into(),
                ..Output::default()
            };
            match Stop::Error(io::Error::other("transport read")).failure(&output) {
                Failure::Broken(text) => text,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(said(""), "transport read");
        assert_eq!(said("half\n"), "half\ntransport read");
    }
}
