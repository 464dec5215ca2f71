use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rmachine_driver::SshEndpoint;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command as Process};
use tokio::sync::{Mutex, Semaphore};

use super::words::{complaints, connect_error, session_was_refused};
use crate::api::MAX_OUTPUT;
use crate::identity::{Protection, inspect_identity};
use crate::options::{Questions, endpoint_arguments, option};
use crate::transport::{Command, InputEnd, Transport};
use crate::{ConnectOptions, Environment, Output, SshError};

/// A master that nobody uses ends by itself: it outlives this program only when that is killed.
const IDLE: Duration = Duration::from_secs(60);

/// The time a person has to answer ssh's questions: sshd gives no more.
const PERSON: Duration = Duration::from_secs(120);

/// The time the local master has to answer.
const LOCAL: Duration = Duration::from_secs(5);

/// Commands at a time over one connection: sshd allows 10 unless told otherwise.
const SESSIONS: usize = 8;

/// The pause before a refused session is asked for again.
const SESSION_PAUSE: Duration = Duration::from_millis(50);

/// A socket's path may have about 104 bytes, of which ssh needs some itself while it binds.
const LONGEST_SOCKET_DIR: usize = 70;

/// A connection through a master process of the system's ssh.
pub(crate) struct Master {
    ssh: PathBuf,
    host: String,
    dir: TempDir,
    serial: AtomicU64,
    sessions: Semaphore,
    /// Set once the host refused a session; then commands take turns.
    one_at_a_time: AtomicBool,
    turn: Mutex<()>,
    closed: AtomicBool,
}

/// What came of asking the master for a session.
enum Attempt {
    Ended(Output),
    SessionRefused,
}

impl Master {
    /// Connects and logs in.
    pub(crate) async fn open(
        ssh: PathBuf,
        endpoint: &SshEndpoint,
        options: &ConnectOptions,
    ) -> Result<Self, SshError> {
        let master = Self {
            ssh,
            host: endpoint.host.to_string(),
            dir: socket_dir(&options.environment)?,
            serial: AtomicU64::new(0),
            sessions: Semaphore::new(SESSIONS),
            one_at_a_time: AtomicBool::new(false),
            turn: Mutex::new(()),
            closed: AtomicBool::new(false),
        };
        let (questions, limit) = match options.interactive {
            true => (Questions::Person, options.limit + PERSON),
            false => (Questions::Nobody, options.limit),
        };
        let log = master.dir.path().join("master.log");
        let mut command = Process::new(&master.ssh);
        command
            .args(["-M", "-N", "-f", "-T", "-S"])
            .arg(master.socket())
            .arg("-E")
            .arg(&log)
            .args(option("ControlPersist", &IDLE.as_secs().to_string()))
            .args(option("ClearAllForwardings", "yes"))
            .args(option("RemoteCommand", "none"))
            // That a host hung up is no error to ssh: it tells of it as of any news.
            .args(option("LogLevel", "INFO"))
            .args(endpoint_arguments(
                endpoint,
                &options.environment,
                questions,
                options.limit,
            )?)
            .arg("--")
            .arg(&master.host)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // What a jump host's ssh says.
            .stderr(appended(&log)?)
            .kill_on_drop(true);
        set_agent(&mut command, &options.environment);
        let status = tokio::time::timeout(limit, command.status())
            .await
            .map_err(|_| SshError::Unreachable {
                host: master.host.clone(),
                reason: crate::UnreachableReason::TimedOut,
                detail: format!("no login within {} s", limit.as_secs_f32()),
            })?
            .map_err(starting_ssh)?;
        if status.success() {
            return Ok(master);
        }
        let words = complaints(&read_log(&log));
        let login = endpoint.user.as_deref().unwrap_or("the default user");
        let error = connect_error(endpoint, login, &words);
        if matches!(error, SshError::AuthRefused { .. })
            && let Some(key) = &endpoint.identity
            && inspect_identity(key)? == Protection::Passphrase
        {
            // ssh that may not ask offers no protected key, unless the agent holds it.
            return Err(SshError::PassphraseNeeded { key: key.clone() });
        }
        Err(error)
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// Arguments that reach the master and nothing else.
    fn client_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["-F".into(), "/dev/null".into(), "-S".into()];
        arguments.push(self.socket().into());
        arguments.extend(option("ControlMaster", "no"));
        // Without a master a client would log in by itself: it must find no way there.
        arguments.extend(option("ProxyCommand", "false"));
        arguments.extend(option("LogLevel", "ERROR"));
        arguments.extend(option("BatchMode", "yes"));
        arguments
    }

    /// Runs a command through the master.
    async fn attempt(&self, command: &Command<'_>) -> Result<Attempt, SshError> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        // ssh's own words go to a file, so that standard error is the host's, byte for byte.
        let log = self.dir.path().join(format!("{serial}.log"));
        let child = Process::new(&self.ssh)
            .args(self.client_arguments())
            .arg("-T")
            .arg("-E")
            .arg(&log)
            .arg("--")
            .arg(&self.host)
            .arg(&command.line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for this program, which ends its commands itself.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(starting_ssh)?;
        let (status, output) =
            converse(child, &command.input, command.end)
                .await
                .map_err(|source| match source.kind() {
                    io::ErrorKind::FileTooLarge => SshError::TooMuchOutput {
                        step: command.step.to_owned(),
                        limit: MAX_OUTPUT,
                    },
                    _ => SshError::Local {
                        action: "talk to ssh".to_owned(),
                        source,
                    },
                })?;
        let words = read_log(&log);
        let _ = fs::remove_file(&log);
        if session_was_refused(&words) {
            return Ok(Attempt::SessionRefused);
        }
        // 255 is ssh's own, and may be the command's.
        let ended = match status.code() {
            Some(255) => words.is_empty() && self.answers().await,
            code => code.is_some(),
        };
        if ended {
            return Ok(Attempt::Ended(output));
        }
        Err(SshError::ConnectionLost {
            step: command.step.to_owned(),
            stderr: self.last_words(&output, &words),
        })
    }

    fn last_words(&self, output: &Output, words: &str) -> String {
        let master = complaints(&read_log(&self.dir.path().join("master.log")));
        let all = [&output.error_text(), master.trim(), words.trim()];
        let said: Vec<&str> = all.into_iter().filter(|w| !w.is_empty()).collect();
        said.join("\n")
    }

    /// Whether the master is there and thinks it is connected.
    async fn answers(&self) -> bool {
        matches!(self.control("check").await, Ok(true))
    }

    async fn control(&self, what: &str) -> io::Result<bool> {
        let mut command = Process::new(&self.ssh);
        command
            .args(self.client_arguments())
            .args(["-O", what, "--", &self.host])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        match tokio::time::timeout(LOCAL, command.status()).await {
            Ok(status) => Ok(status?.success()),
            Err(_) => Ok(false),
        }
    }

    async fn take_turns(&self, command: &Command<'_>) -> Result<Output, SshError> {
        if !self.one_at_a_time.load(Ordering::Relaxed) {
            let _session = self.sessions.acquire().await;
            match self.attempt(command).await? {
                Attempt::Ended(output) => return Ok(output),
                Attempt::SessionRefused => self.one_at_a_time.store(true, Ordering::Relaxed),
            }
        }
        let _turn = self.turn.lock().await;
        loop {
            // The sessions of those that did not take turns yet may still be open.
            match self.attempt(command).await? {
                Attempt::Ended(output) => return Ok(output),
                Attempt::SessionRefused => tokio::time::sleep(SESSION_PAUSE).await,
            }
        }
    }
}

#[async_trait]
impl Transport for Master {
    async fn execute(&self, command: Command<'_>) -> Result<Output, SshError> {
        let timed_out = || SshError::TimedOut {
            step: command.step.to_owned(),
            limit: command.limit,
        };
        tokio::time::timeout(command.limit, self.take_turns(&command))
            .await
            .map_err(|_| timed_out())?
    }

    async fn close(&self) {
        if !self.closed.swap(true, Ordering::Relaxed) {
            let _ = self.control("exit").await;
        }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if *self.closed.get_mut() {
            return;
        }
        let child = std::process::Command::new(&self.ssh)
            .args(self.client_arguments())
            .args(["-O", "exit", "--", &self.host])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        // The socket's directory goes next: by then the master must have heard of it.
        if let Ok(mut child) = child {
            let begun = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < LOCAL {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Feeds a process and collects what it says until it ends.
async fn converse(
    mut child: Child,
    input: &[u8],
    end: InputEnd,
) -> io::Result<(ExitStatus, Output)> {
    let mut stdin = child.stdin.take();
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let mut output = Output::default();
    let feed = async {
        if let Some(pipe) = &mut stdin {
            // A command that ends before it has read everything says so by its status.
            let _ = pipe.write_all(input).await;
        }
        if end == InputEnd::AfterInput {
            stdin = None;
        }
        Ok(stdin)
    };
    // The first error ends the others: a command that writes too much may never end by itself.
    let (open_stdin, (), (), status) = tokio::try_join!(
        feed,
        capture(stdout.as_mut(), &mut output.stdout),
        capture(stderr.as_mut(), &mut output.stderr),
        child.wait()
    )?;
    drop(open_stdin);
    output.status = status.code().unwrap_or_default();
    Ok((status, output))
}

/// Reads a pipe to its end. More than [`MAX_OUTPUT`] is an error of the kind `FileTooLarge`.
async fn capture(pipe: Option<impl AsyncRead + Unpin>, output: &mut Vec<u8>) -> io::Result<()> {
    let Some(pipe) = pipe else {
        return Ok(());
    };
    let limit = MAX_OUTPUT as u64 + 1;
    if pipe.take(limit).read_to_end(output).await? > MAX_OUTPUT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

fn socket_dir(environment: &Environment) -> Result<TempDir, SshError> {
    let wanted = environment.temp_dir.as_path();
    let parent = match wanted.as_os_str().len() > LONGEST_SOCKET_DIR {
        true => Path::new("/tmp"),
        false => wanted,
    };
    tempfile::Builder::new()
        .prefix("rm-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(|source| SshError::Local {
            action: format!("make a directory in {}", parent.display()),
            source,
        })
}

/// Lets ssh see the agent that this program was told of, and no other.
fn set_agent(command: &mut Process, environment: &Environment) {
    match &environment.agent_socket {
        Some(socket) => command.env("SSH_AUTH_SOCK", socket),
        None => command.env_remove("SSH_AUTH_SOCK"),
    };
}

fn starting_ssh(source: io::Error) -> SshError {
    SshError::Local {
        action: "start ssh".to_owned(),
        source,
    }
}

fn appended(log: &Path) -> Result<fs::File, SshError> {
    let mut options = fs::OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o600).open(log);
    opened.map_err(|source| SshError::Local {
        action: format!("write {}", log.display()),
        source,
    })
}

fn read_log(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
