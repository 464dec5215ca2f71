use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rmachine_driver::{
    Driver, DriverConfig, DriverContext, DriverKind, FirstContact, FlagValue, FlagValues,
    MachineName, NoSecrets, Report, Work,
};
use tempfile::TempDir;

use crate::Remembered;

/// A machine to be, in a store of its own.
pub struct Subject<'a> {
    kind: &'a dyn DriverKind,
    flags: FlagValues,
    context: DriverContext,
    journal: Remembered,
    told: Told,
    _store: TempDir,
}

/// Everything that the driver reported.
#[derive(Default)]
pub struct Told(Mutex<Vec<String>>);

impl Told {
    /// The texts so far.
    pub fn texts(&self) -> Vec<String> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.clone()
    }

    fn add(&self, text: &str) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.push(text.to_owned());
    }
}

impl Report for Told {
    fn step(&self, text: &str) {
        self.add(text);
    }

    fn warn(&self, text: &str) {
        self.add(text);
    }
}

impl<'a> Subject<'a> {
    /// A machine of this name and kind, with the defaults of all flags but those given.
    pub fn new(
        kind: &'a dyn DriverKind,
        name: &str,
        given: impl IntoIterator<Item = (&'static str, FlagValue)>,
    ) -> Self {
        let name: MachineName = name.parse().expect("a machine name");
        let store = tempfile::tempdir().expect("a directory for the store");
        let machine_dir = store.path().join("machines").join(name.as_str());
        std::fs::create_dir_all(&machine_dir).expect("the machine's directory");
        let mut flags = FlagValues::defaults(kind.flags());
        for (flag, value) in given {
            assert!(
                kind.flags().iter().any(|known| known.name == flag),
                "{} has a flag --{flag}",
                kind.name()
            );
            flags.set(flag, value);
        }
        Self {
            kind,
            flags,
            context: DriverContext {
                name,
                machine_dir,
                store_dir: store.path().to_owned(),
                first_contact: FirstContact::Pin,
            },
            journal: Remembered::default(),
            told: Told::default(),
            _store: store,
        }
    }

    /// The driver's kind.
    pub fn kind(&self) -> &'a dyn DriverKind {
        self.kind
    }

    /// The driver as `create` makes it.
    pub fn configure(&self) -> Box<dyn Driver> {
        self.kind
            .configure(self.context.clone(), &self.flags)
            .expect("the flags suffice")
    }

    /// The driver as every later command makes it.
    pub fn load(&self, config: DriverConfig) -> Box<dyn Driver> {
        self.kind
            .load(self.context.clone(), config)
            .expect("what config() gave is what load() takes")
    }

    /// What the driver works with.
    pub fn work(&self) -> Work<'_> {
        Work {
            report: &self.told,
            resources: &self.journal,
            secrets: &NoSecrets,
        }
    }

    /// What the driver noted to have made.
    pub fn journal(&self) -> &Remembered {
        &self.journal
    }

    /// What the driver reported.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// The machine's name.
    pub fn name(&self) -> &MachineName {
        &self.context.name
    }

    /// The machine's directory.
    pub fn machine_dir(&self) -> &Path {
        &self.context.machine_dir
    }
}
