//! Everything that a person or a script sees: data on standard output, all else on standard error.

mod progress;
mod prompt;
mod table;
mod template;

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, OnceLock};

use indicatif::MultiProgress;
use rmachine_core::printable;

pub use progress::{Line, ProgressMode};
pub use table::{row, tabulated};
pub use template::{Template, escaped, indented};

use crate::Process;
use crate::error::{CommandError, ErrorKind, Status};
use prompt::Answers;

/// The way out of the program.
pub struct Ui {
    process: Arc<Process>,
    mode: ProgressMode,
    bars: OnceLock<MultiProgress>,
    answers: Answers,
}

impl Ui {
    /// A way out that shows progress like this.
    pub fn new(process: Arc<Process>, mode: ProgressMode) -> Self {
        let mode = mode.settled(process.stderr_is_terminal());
        Self {
            process,
            mode,
            bars: OnceLock::new(),
            answers: Answers::default(),
        }
    }

    /// Writes data to standard output, control and formatting characters escaped.
    ///
    /// # Errors
    /// [`ErrorKind::BrokenPipe`] when the reader has gone.
    pub fn data(&self, text: &str) -> Result<(), CommandError> {
        self.bytes(printable::document(text).as_bytes())
    }

    /// Writes text that another program reads byte for byte to standard output: shell code, or
    /// what a template rendered from values that are [`escaped`] where a terminal shows them.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub fn exact(&self, text: &str) -> Result<(), CommandError> {
        self.bytes(text.as_bytes())
    }

    /// Passes on what another program wrote.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub fn passed_on(&self, out: &[u8], err: &[u8]) -> Result<(), CommandError> {
        self.process.write_err(err);
        self.bytes(out)
    }

    fn bytes(&self, bytes: &[u8]) -> Result<(), CommandError> {
        self.process
            .write_out(bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => {
                    CommandError::new(ErrorKind::BrokenPipe, "standard output is closed")
                }
                _ => CommandError::failed("cannot write to standard output").caused_by(&error),
            })
    }

    /// Tells a person something that is not data.
    pub fn note(&self, text: &str) {
        match self.mode {
            ProgressMode::Json => self.event(&serde_json::json!({"event": "note", "text": text})),
            _ => self.aside(&format!("{}\n", printable::indented(text, "  "))),
        }
    }

    /// Tells of something that a person should know and that stops nothing.
    pub fn warn(&self, text: &str) {
        match self.mode {
            ProgressMode::Json => {
                self.event(&serde_json::json!({"event": "warning", "text": text}));
            }
            _ => self.aside(&format!("warning: {}\n", printable::indented(text, "  "))),
        }
    }

    /// Shows an error.
    pub fn error(&self, error: &CommandError) {
        match self.mode {
            _ if error.kind == ErrorKind::BrokenPipe => {}
            ProgressMode::Json => self.event(&serde_json::json!({
                "event": "error",
                "text": error.message,
                "causes": error.causes,
                "hints": error.hints,
                "exit_code": error.kind.exit_code(),
            })),
            _ => self.aside(&error.to_text()),
        }
    }

    /// Shows several errors and returns the code to exit with: theirs where they agree, else 1.
    pub fn errors(&self, errors: &[CommandError]) -> Status {
        for error in errors {
            self.error(error);
        }
        let mut codes = errors.iter().map(|error| error.kind.exit_code());
        let Some(first) = codes.next() else {
            return Status::OK;
        };
        match codes.all(|code| code == first) {
            true => Status(first),
            false => Status(ErrorKind::Failed.exit_code()),
        }
    }

    /// The line that shows how the work on one machine goes.
    pub fn line(&self, machine: &str) -> Line<'_> {
        Line::new(self, machine)
    }

    fn bars(&self) -> &MultiProgress {
        self.bars.get_or_init(MultiProgress::new)
    }

    /// Writes to standard error, above the lines that are being redrawn.
    fn aside(&self, text: &str) {
        match self.bars.get() {
            Some(bars) => bars.suspend(|| self.process.write_err(text.as_bytes())),
            None => self.process.write_err(text.as_bytes()),
        }
    }

    fn event(&self, event: &serde_json::Value) {
        let event = event.to_string();
        let mut line = printable::document(&event).into_owned();
        let _ = line.write_char('\n');
        self.process.write_err(line.as_bytes());
    }
}
