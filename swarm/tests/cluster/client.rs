use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::Ran;
use crate::party::Party;

/// Somebody with Docker's programs and a certificate, who asks one server: a manager, or an engine.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    certificates: PathBuf,
}

impl Client {
    /// Asks the server at this address.
    pub fn new(party: &Party, address: &str) -> Self {
        Self {
            url: format!("tcp://{address}"),
            certificates: party.files("client"),
        }
    }

    /// A program that asks the server, and gets a minute.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", "60"])
            .args(words)
            .env("DOCKER_HOST", &self.url)
            .env("DOCKER_TLS_VERIFY", "1")
            .env("DOCKER_CERT_PATH", &self.certificates)
            // For Python's requests, these stand above the authority that a program names.
            .env_remove("REQUESTS_CA_BUNDLE")
            .env_remove("CURL_CA_BUNDLE");
        command
    }

    /// A line for the shell, in which `docker` asks the server.
    pub fn shell(&self, line: &str, dir: &Path) -> Ran {
        // The classic builder: an engine has BuildKit to itself.
        let mut command = self.command(["sh", "-c", line]);
        Ran::of(command.current_dir(dir).env("DOCKER_BUILDKIT", "0"))
    }
}
