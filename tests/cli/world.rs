use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rmachine_machine::{CertificateOverrides, MachineFile, Phase, Record, Store};
use rmachine_pki::{Authority, CertifiedPem, KeyType};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

/// A home directory with a store in it, and the program run there with nothing else around it.
pub struct World {
    dir: TempDir,
    pub store: Store,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    pub fn root(&self) -> PathBuf {
        self.store.layout().root().to_owned()
    }

    pub fn machine_dir(&self, name: &str) -> PathBuf {
        self.store.layout().machine_dir(&name.parse().unwrap())
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rmachine"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("SHELL", "/bin/bash")
            .env("MACHINE_STORAGE_PATH", self.root())
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// A machine of the `none` driver that is ready, with what else its record is to hold.
    pub fn machine(&self, name: &str, url: &str, change: impl FnOnce(&mut Record)) {
        let config = json!({"MachineName": name, "URL": url});
        self.machine_of("none", name, &config, change);
    }

    /// A machine of any driver that is ready.
    pub fn machine_of(
        &self,
        driver: &str,
        name: &str,
        config: &Value,
        change: impl FnOnce(&mut Record),
    ) {
        let mut record = Record::new(
            self.store.layout(),
            &self.store.certificates(&CertificateOverrides::default()),
            name.parse().unwrap(),
            driver,
            config.as_object().unwrap().clone(),
        );
        for phase in Phase::ALL {
            record.own.journal.done(phase, OffsetDateTime::now_utc());
        }
        change(&mut record);
        self.store.create(record, Duration::ZERO).unwrap();
    }

    /// Puts a client's certificates into a machine's directory.
    pub fn certificates(&self, name: &str, authority: &Authority, ca: &CertifiedPem) {
        let client = authority.issue_client("me", KeyType::Ecdsa).unwrap();
        for (file, text) in [
            (MachineFile::CaCertificate, ca.certificate.as_str()),
            (MachineFile::ClientCertificate, client.certificate.as_str()),
            (MachineFile::ClientKey, client.key.expose()),
        ] {
            fs::write(self.machine_dir(name).join(file.file_name()), text).unwrap();
        }
    }

    /// A machine whose record is no JSON.
    pub fn corrupt(&self, name: &str) {
        fs::create_dir_all(self.machine_dir(name)).unwrap();
        fs::write(self.machine_dir(name).join("config.json"), "{ half").unwrap();
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// What a run of the program left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        Self {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// The data of a run that went well and said nothing else.
    #[track_caller]
    pub fn data(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        self.out
    }

    /// The error text of a run that failed with this code and printed no data.
    #[track_caller]
    pub fn failure(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        self.err
    }
}
