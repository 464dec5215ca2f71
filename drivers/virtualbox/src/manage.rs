use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::find::{Surroundings, vbox_manage};
use crate::said::Trouble;

/// How long a question or a change of settings may take: VirtualBox's server may have to start.
const QUICK: Duration = Duration::from_secs(120);

/// How long anything that starts, saves or removes a VM may take.
const SLOW: Duration = Duration::from_secs(300);

/// How long a disk may take to be copied, and the disks of a snapshot to become one: as long as
/// gigabytes take.
const VERY_SLOW: Duration = Duration::from_secs(3600);

/// How often a server of VirtualBox's that is not there is asked for again, and after what pause.
const SERVER_TRIES: u32 = 4;
const SERVER_PAUSE: Duration = Duration::from_secs(1);

/// How long the output of a program that has ended is waited for: what it started may hold on to it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is kept of each output; the longest known, `list ostypes`, is a twentieth of it.
const MOST: usize = 1024 * 1024;

/// The VBoxManage program.
#[derive(Clone, Debug)]
pub struct VBoxManage {
    program: PathBuf,
    locale: Option<OsString>,
}

impl VBoxManage {
    /// The program that these surroundings name.
    pub fn find(surroundings: &Surroundings) -> Result<Self, ManageError> {
        let program = vbox_manage(surroundings).ok_or(ManageError::NotInstalled)?;
        Ok(Self {
            program,
            locale: surroundings.locale.clone(),
        })
    }

    /// Asks for something, or changes settings; gives what it printed.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, ManageError> {
        self.within(QUICK, arguments).await
    }

    /// Has a VM started, ended or removed.
    pub async fn run_slow<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, ManageError> {
        self.within(SLOW, arguments).await
    }

    /// Has disks of a VM copied or put together.
    pub async fn run_very_slow<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, ManageError> {
        self.within(VERY_SLOW, arguments).await
    }

    /// VirtualBox's server goes a few seconds after its last client; who comes at that moment is
    /// refused before anything is done, and comes again.
    async fn within<A: AsRef<OsStr>>(
        &self,
        limit: Duration,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, ManageError> {
        let arguments: Vec<A> = arguments.into_iter().collect();
        let mut tries = SERVER_TRIES;
        loop {
            match self.once(limit, &arguments).await {
                Err(error) if tries > 0 && error.is(Trouble::NoServer) => {
                    tries -= 1;
                    sleep(SERVER_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn once<A: AsRef<OsStr>>(
        &self,
        limit: Duration,
        arguments: &[A],
    ) -> Result<String, ManageError> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        self.speak_english(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let asked = shown(&command);
        let began = std::time::Instant::now();
        let mut child = command.spawn().map_err(|source| ManageError::NotRun {
            program: self.program.clone(),
            source,
        })?;
        let out = Gathered::from(child.stdout.take());
        let err = Gathered::from(child.stderr.take());
        let Ok(ended) = timeout(limit, child.wait()).await else {
            return Err(ManageError::Hung { asked, limit });
        };
        let status = ended.map_err(|source| ManageError::NotRun {
            program: self.program.clone(),
            source,
        })?;
        let (out, err) = (out.text().await, err.text().await);
        tracing::debug!(%asked, %status, took = ?began.elapsed(), "VBoxManage");
        answer(asked, status, out, &err)
    }

    /// The tables that it prints for people must come in the words that we know, and file names
    /// in the encoding that the person uses.
    fn speak_english(&self, command: &mut Command) {
        if let Some(locale) = &self.locale {
            command.env("LC_CTYPE", locale).env_remove("LC_ALL");
        }
        command.env("LC_MESSAGES", "C").env_remove("LANGUAGE");
    }
}

fn answer(
    asked: String,
    status: ExitStatus,
    out: String,
    err: &str,
) -> Result<String, ManageError> {
    if status.success() {
        return Ok(out);
    }
    let trouble = Trouble::find(err)
        .or_else(|| Trouble::find(&out))
        .unwrap_or(Trouble::Other);
    let mut said = complaints(err);
    if said.is_empty() {
        said = complaints(&out);
    }
    if said.is_empty() {
        said = status.to_string();
    }
    Err(ManageError::Refused {
        asked,
        trouble,
        said,
    })
}

/// What VBoxManage complains of, in its own words: without progress, usage, and the places in its
/// source code.
fn complaints(text: &str) -> String {
    let told = text.lines().filter_map(|line| {
        let (_, said) = line.split_once("error: ")?;
        let place = said.starts_with("Context: ");
        (!place).then(|| said.trim())
    });
    told.take(4).collect::<Vec<_>>().join("; ")
}

fn shown(command: &Command) -> String {
    let arguments = command.as_std().get_args().map(OsStr::to_string_lossy);
    let words: Vec<_> = std::iter::once("VBoxManage".into())
        .chain(arguments)
        .collect();
    words.join(" ")
}

/// An output that is read while the program runs, and kept as far as it has come.
struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    reading: Option<JoinHandle<()>>,
}

impl Gathered {
    fn from(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let reading = pipe.map(|pipe| tokio::spawn(gather(pipe, Arc::clone(&bytes))));
        Self { bytes, reading }
    }

    async fn text(mut self) -> String {
        if let Some(reading) = &mut self.reading {
            // Past the limit, what has come is all there is.
            let _ = timeout(LAST_WORDS, reading).await;
        }
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

async fn gather(mut pipe: impl AsyncRead + Unpin, into: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 8192];
    while let Ok(read) = pipe.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        let mut bytes = into.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST.saturating_sub(bytes.len());
        bytes.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// Why VBoxManage gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// There is none.
    #[error("there is no VBoxManage")]
    NotInstalled,
    /// It is there, and cannot be run.
    #[error("{} cannot be run", .program.display())]
    NotRun {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It did not end.
    #[error("{asked:?} did not end within {} s", .limit.as_secs())]
    Hung {
        /// The command.
        asked: String,
        /// How long it was given.
        limit: Duration,
    },
    /// It refused.
    #[error("{asked:?} failed: {said}")]
    Refused {
        /// The command.
        asked: String,
        /// What is known about the refusal.
        trouble: Trouble,
        /// Its own words.
        said: String,
    },
}

impl ManageError {
    /// What is known about a refusal.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Refused { trouble, .. } => Some(*trouble),
            _ => None,
        }
    }

    /// Whether it is this refusal.
    pub fn is(&self, trouble: Trouble) -> bool {
        self.trouble() == Some(trouble)
    }
}
