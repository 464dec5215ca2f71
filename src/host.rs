//! The only door to arguments, environment, standard streams, home directory and clock.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The process as the program sees it.
///
/// Arguments and environment are a copy, so that a test can hand in its own. (Defaults of flags
/// that name an environment variable are read by clap itself.)
#[derive(Clone, Debug)]
pub struct Process {
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    home: Option<PathBuf>,
}

impl Process {
    /// The process that this program runs in.
    pub fn current() -> Self {
        Self {
            args: std::env::args_os().collect(),
            env: std::env::vars_os().collect(),
            home: dirs::home_dir(),
        }
    }

    /// The arguments, the program's own name first.
    pub fn args(&self) -> &[OsString] {
        &self.args
    }

    /// A variable's value; `None` when it is absent, empty, or not UTF-8.
    pub fn var(&self, name: &str) -> Option<&str> {
        let value = self.env.get(OsStr::new(name))?.to_str()?;
        (!value.is_empty()).then_some(value)
    }

    /// The name of the person's shell, from `$SHELL`.
    pub fn shell(&self) -> Option<String> {
        let name = Path::new(self.var("SHELL")?).file_name()?.to_str()?;
        Some(name.to_owned())
    }

    /// The whole environment, for programs that are started.
    pub fn environment(&self) -> &BTreeMap<OsString, OsString> {
        &self.env
    }

    /// The home directory.
    pub fn home(&self) -> Option<&PathBuf> {
        self.home.as_ref()
    }

    /// Where this very program lies; `None` when the system does not tell.
    pub fn executable(&self) -> Option<PathBuf> {
        let path = std::env::current_exe().ok()?;
        Some(path.canonicalize().unwrap_or(path))
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Whether a person sees standard error.
    pub fn stderr_is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether a person sees standard output.
    pub fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether a person sees standard output and types on standard input.
    pub fn stdio_is_terminal(&self) -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Writes to standard output, at once.
    ///
    /// # Errors
    /// What the system says; `BrokenPipe` when the reader has gone.
    pub fn write_out(&self, text: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text)?;
        out.flush()
    }

    /// Writes to standard error. A closed standard error is nobody's concern.
    pub fn write_err(&self, text: &[u8]) {
        let _ = io::stderr().lock().write_all(text);
    }

    /// Reads one line of standard input; `None` at its end.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_line(&self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line)?;
        Ok((read > 0).then_some(line))
    }
}

#[cfg(test)]
impl Process {
    /// A process with these arguments and this environment.
    pub(crate) fn of(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self {
            args: args.iter().map(OsString::from).collect(),
            env: env.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            home: None,
        }
    }
}
