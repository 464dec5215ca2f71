use rmachine_driver::CheckFailure;
use rmachine_ssh::SshError;

/// Why a host did not become what was wanted.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The plan was refused; nothing was touched.
    #[error(transparent)]
    Refused(#[from] Refusals),

    /// What the host told about itself cannot be read.
    #[error("cannot read the facts of the host: {reason}")]
    FactsUnreadable {
        /// What is missing or wrong.
        reason: String,
        /// What the host's shell said on stderr.
        stderr: String,
    },

    /// The host is too busy to tell what it is.
    #[error("the host did not answer in time: {question}")]
    Unanswered {
        /// The command that was run there.
        question: String,
    },

    /// Another run is at work on the host.
    #[error("another run is at work on the host (it holds {lock})")]
    Busy {
        /// The lock file on the host.
        lock: String,
    },

    /// A package or the install script failed.
    #[error("{command} failed on the host with status {status}")]
    PackageInstallFailed {
        /// What was run.
        command: String,
        /// Its exit status; 124 when it ran out of time.
        status: i32,
        /// The last lines of what it said.
        output: Vec<String>,
    },

    /// The new configuration was found wrong before it was put in force; nothing was changed.
    #[error("dockerd does not accept the new configuration")]
    ConfigurationInvalid {
        /// What dockerd said.
        log: Vec<String>,
    },

    /// The engine did not come up with the new configuration.
    #[error("{unit} did not start")]
    EngineDidNotStart {
        /// The service that was restarted.
        unit: String,
        /// The lines of its log that say why.
        log: Vec<String>,
        /// Whether the configuration from before is in force again.
        restored: bool,
    },

    /// There was no room for a file; nothing was changed.
    #[error("no space left on the host for {path}")]
    DiskFull {
        /// The file that could not be written.
        path: String,
    },

    /// The installation ended well, and the host still has no engine.
    #[error("the installation ended well, but the host still has no dockerd")]
    NoEngineAfterInstall,

    /// A file could not be written, or not put in its place.
    #[error("cannot write {path} on the host")]
    CannotWrite {
        /// The file.
        path: String,
        /// What the host said.
        reason: Vec<String>,
    },

    /// The host's shell ended without saying how it went.
    #[error("the host's shell ended with status {status} in the middle of {step}")]
    CutOff {
        /// The step that was running.
        step: String,
        /// The shell's exit status.
        status: i32,
        /// What it said on stderr.
        stderr: String,
    },

    /// A template of ours cannot be rendered.
    #[error("cannot render the script {name}")]
    Template {
        /// The template.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<minijinja::Error>,
    },

    /// The connection to the host failed.
    #[error(transparent)]
    Ssh(#[from] SshError),
}

/// Every reason why a host cannot become what is wanted, found before anything was touched.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", joined(.0))]
pub struct Refusals(pub Vec<CheckFailure>);

fn joined(failures: &[CheckFailure]) -> String {
    let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
