use std::process::Command;
use std::sync::OnceLock;

use crate::lab::{Network, Ran, lab};
use crate::program;

/// What is written nowhere, for nobody in particular, without any power.
const BARE: [&str; 3] = [
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
];

/// How long the engine may take for one call.
const LIMIT: u32 = 60;

/// The image, loaded into the lab's engine. It stays there: the next run's is mostly the same.
pub struct Loaded {
    name: String,
}

/// A container of the image. Goes when it is dropped.
pub struct Running {
    name: String,
}

impl Loaded {
    /// Loads the image once; nothing where there is no lab.
    pub fn get() -> Option<&'static Self> {
        static LOADED: OnceLock<Option<Loaded>> = OnceLock::new();
        // Each test that finds no lab has to say so itself.
        lab()?;
        LOADED.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        let lab = lab()?;
        let name = "rmachine-lab/rswarm:latest".to_owned();
        let files = tempfile::tempdir().unwrap();
        let archive = files.path().join("image.tar");
        let archive = archive.to_str().unwrap();
        program::output(&["image", "--tag", &name, "--output", archive]);
        let loaded = lab.engine_ok(LIMIT, ["load", "--input", archive]);
        // An earlier run may have left another one of that name.
        assert!(
            loaded.ends_with(&format!("Loaded image: {name}")),
            "{loaded}"
        );
        Some(Self { name })
    }

    /// The image's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the engine knows of the image.
    pub fn inspect(&self, format: &str) -> String {
        engine(&["image", "inspect", "--format", format, &self.name]).ok()
    }

    /// Runs the program with these arguments, and these options of the container.
    pub fn try_run(&self, options: &[&str], args: &[&str]) -> Ran {
        let run = ["run", "--rm", "--label", &label()];
        engine(&[&run, &BARE[..], options, &[&self.name], args].concat())
    }

    /// As [`Loaded::try_run`]; what it prints, trimmed.
    #[track_caller]
    pub fn run(&self, options: &[&str], args: &[&str]) -> String {
        self.try_run(options, args).ok()
    }

    /// Leaves the program running.
    pub fn start(&self, options: &[&str], args: &[&str]) -> Running {
        let name = format!("lab-rswarm-{}-{}", std::process::id(), args[0]);
        let run = ["run", "--detach", "--label", &label(), "--name", &name];
        engine(&[&run, &BARE[..], options, &[&self.name], args].concat()).ok();
        Running { name }
    }
}

impl Running {
    /// Its name, for others on its network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on this network.
    pub fn ip_on(&self, network: &Network) -> String {
        let network = format!(
            "{{{{(index .NetworkSettings.Networks {:?}).IPAddress}}}}",
            network.name()
        );
        engine(&["inspect", "--format", &network, &self.name]).ok()
    }

    /// Runs a program in it.
    pub fn exec(&self, args: &[&str]) -> Ran {
        engine(&[&["exec", &self.name], args].concat())
    }

    /// Stops it in order; its exit code.
    pub fn stopped(&self) -> String {
        engine(&["stop", "--time", "30", &self.name]).ok();
        engine(&["inspect", "--format", "{{.State.ExitCode}}", &self.name]).ok()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        engine(&["logs", &self.name]).err
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        engine(&["rm", "--force", &self.name]);
    }
}

/// As the lab has it: what a run that was cut off has left goes with the next one.
fn label() -> String {
    format!("rmachine-lab.run={}", std::process::id())
}

fn engine(args: &[&str]) -> Ran {
    match lab() {
        Some(lab) => lab.engine(LIMIT, args.iter().copied()),
        None => Ran::of(&mut Command::new("false")),
    }
}
