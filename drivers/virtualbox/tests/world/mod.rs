//! What the tests of this crate need around a machine: a VirtualBox of their own, a computer below
//! it, and an ISO image.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rmachine_driver::{FlagValue, Report};
use rmachine_driver_conformance::Subject;
use rmachine_ssh::{ConnectOptions, Environment};
use rmachine_virtualbox::{IsoSource, IsoUnavailable, Surroundings, System, VirtualBoxKind};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where VirtualBox keeps what it knows.
const CONFIGURATION: &str = "home/.config/VirtualBox";

/// A VirtualBox that starts nothing, and a computer that it could run on.
pub struct World {
    directory: PathBuf,
    /// Goes with the world, unless it is another process's.
    _kept: Option<TempDir>,
}

impl World {
    /// One in which everything works; its paths have blanks and letters of many languages.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("ein Gerät ")
            .tempdir()
            .unwrap();
        let world = Self {
            directory: directory.path().to_owned(),
            _kept: Some(directory),
        };
        let places = ["box", "root/dev", "root/etc/vbox", "root/sys/module"];
        for made in places.into_iter().chain([CONFIGURATION]) {
            fs::create_dir_all(world.path(made)).unwrap();
        }
        fs::write(world.path("root/dev/vboxdrv"), "").unwrap();
        fs::write(world.path("b2d.iso"), "an image").unwrap();
        for program in [world.program(), world.path("box/ssh")] {
            symlink(env!("CARGO_BIN_EXE_vboxmanage-stand-in"), program).unwrap();
        }
        world
    }

    /// One that another process made.
    pub fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            _kept: None,
        }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn program(&self) -> PathBuf {
        self.path("box/VBoxManage")
    }

    /// The driver in this world.
    pub fn kind(&self) -> VirtualBoxKind {
        self.kind_on(System::Linux)
    }

    /// The driver in this world, on another system.
    pub fn kind_on(&self, system: System) -> VirtualBoxKind {
        let surroundings = Surroundings {
            root: self.path("root"),
            home: Some(self.path("home")),
            vbox_manage: Some(self.program()),
            system,
            ssh: ConnectOptions {
                environment: Environment {
                    search_path: Some(self.path("box").into()),
                    ..Environment::default()
                },
                ..ConnectOptions::default()
            },
            ..Surroundings::default()
        };
        VirtualBoxKind::new(surroundings, Arc::new(Image(self.path("b2d.iso"))))
    }

    /// Has VirtualBox behave otherwise from now on.
    pub fn wish(&self, wishes: Value) {
        fs::write(self.path("box/wishes.json"), wishes.to_string()).unwrap();
    }

    /// Has commands that begin like this fail with these words.
    pub fn fail(&self, begins: &str, words: &str) {
        let failure = json!({"begins": begins, "exit": 1, "err": words});
        self.wish(json!({"failures": [failure]}));
    }

    /// The calls so far, each as its words.
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("box/calls")).unwrap_or_default();
        calls
            .lines()
            .map(|line| line.replace('\u{1f}', " "))
            .collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        let _ = fs::remove_file(self.path("box/calls"));
    }

    /// What VirtualBox has.
    pub fn state(&self) -> Value {
        let text = fs::read(self.path("box/state.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Changes what VirtualBox has, behind everybody's back.
    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        change(&mut state);
        fs::write(self.path("box/state.json"), state.to_string()).unwrap();
    }

    /// How many things of a kind VirtualBox has.
    pub fn count(&self, kind: &str) -> usize {
        self.state()[kind].as_array().map_or(0, Vec::len)
    }

    /// Runs VBoxManage by hand.
    pub fn run(&self, words: &[&str]) -> std::process::Output {
        let mut command = std::process::Command::new(self.program());
        command.args(words).output().unwrap()
    }
}

/// A machine to be, in a world that shares none of this computer's directories.
pub fn subject<'a>(
    kind: &'a VirtualBoxKind,
    name: &str,
    more: impl IntoIterator<Item = (&'static str, FlagValue)>,
) -> Subject<'a> {
    let alone = [("virtualbox-no-share", FlagValue::Switch(true))];
    Subject::new(kind, name, alone.into_iter().chain(more))
}

/// A text for a flag.
pub fn text(value: &str) -> FlagValue {
    FlagValue::Text(value.to_owned())
}

/// An image that is always there.
struct Image(PathBuf);

#[async_trait]
impl IsoSource for Image {
    async fn obtain(
        &self,
        url: Option<&str>,
        _report: &dyn Report,
    ) -> Result<PathBuf, IsoUnavailable> {
        match url {
            None => Ok(self.0.clone()),
            Some(url) => Ok(Path::new(url.trim_start_matches("file://")).to_owned()),
        }
    }
}
