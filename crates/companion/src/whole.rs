use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::elf::Elf;
use crate::{Architecture, CompanionError};

/// A program of this computer with all that it needs of its host: its loader and its libraries.
pub struct WholeProgram {
    architecture: Architecture,
    program: Vec<u8>,
    /// By where they are looked for.
    libraries: BTreeMap<PathBuf, Vec<u8>>,
}

impl WholeProgram {
    /// Reads a program, and what it needs, from this computer.
    ///
    /// # Errors
    /// [`CompanionError::Unusable`] for what is no program, and for one whose libraries are not
    /// here: they are named.
    pub fn read(path: &Path) -> Result<Self, CompanionError> {
        let unusable = |reason| CompanionError::Unusable {
            path: path.to_owned(),
            reason,
        };
        let program = std::fs::read(path).map_err(|error| unusable(said(&error)))?;
        let (architecture, libraries) = Self::needed(&program).map_err(unusable)?;
        Ok(Self {
            architecture,
            program,
            libraries,
        })
    }

    /// Reads an archive (tar) from its own host: the program, under its name, and what it needs,
    /// each under its path there.
    ///
    /// # Errors
    /// [`CompanionError::Unusable`] for an archive that is damaged, and for one without a program.
    pub fn unpack(archive: &[u8], name: &str) -> Result<Self, CompanionError> {
        Self::unpacked(archive, name).map_err(|reason| CompanionError::Unusable {
            path: PathBuf::from(name),
            reason,
        })
    }

    fn unpacked(archive: &[u8], name: &str) -> Result<Self, String> {
        let damaged = |error: io::Error| format!("came damaged: {error}");
        let mut libraries = BTreeMap::new();
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = Path::new("/").join(&*entry.path().map_err(damaged)?);
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(damaged)?;
            // Without the dots that tar writes.
            libraries.insert(path.components().collect(), content);
        }
        let program = libraries.remove(&Path::new("/").join(name));
        let program = program.ok_or("did not come")?;
        Ok(Self {
            architecture: Elf::read(&program)?.architecture()?,
            program,
            libraries,
        })
    }

    /// The machines that it is for.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Each file, with its path in an image in which the program has this name.
    pub(crate) fn files<'a>(&'a self, name: &'a str) -> Vec<(&'a str, &'a [u8])> {
        let libraries = self.libraries.iter().filter_map(|(path, content)| {
            let path = path.to_str()?.trim_start_matches('/');
            Some((path, content.as_slice()))
        });
        libraries.chain([(name, self.program.as_slice())]).collect()
    }

    fn needed(program: &[u8]) -> Result<(Architecture, BTreeMap<PathBuf, Vec<u8>>), String> {
        let elf = Elf::read(program)?;
        let architecture = elf.architecture()?;
        let mut libraries = BTreeMap::new();
        let Some(loader) = elf.loader()? else {
            return Ok((architecture, libraries));
        };
        let content = library(Path::new(loader), architecture)
            .ok_or_else(|| lacking(&BTreeSet::from([loader.to_owned()])))?;
        libraries.insert(PathBuf::from(loader), content);

        let mut missing = BTreeSet::new();
        // The loader is needed by name, too, and is there already.
        let mut known: BTreeSet<String> = loader.rsplit('/').take(1).map(str::to_owned).collect();
        let mut wanted = wants(&elf)?;
        while let Some((name, dirs)) = wanted.pop() {
            if !known.insert(name.clone()) {
                continue;
            }
            let dirs = dirs.iter().map(PathBuf::as_path);
            let usual = usual_dirs(architecture).into_iter().map(Path::new);
            let mut places = dirs.chain(usual).map(|dir| dir.join(&name));
            let found = places.find_map(|place| {
                let content = library(&place, architecture)?;
                Some((place, content))
            });
            match found {
                Some((place, content)) => {
                    wanted.extend(wants(&Elf::read(&content)?)?);
                    libraries.insert(place, content);
                }
                None => {
                    missing.insert(name);
                }
            }
        }
        match missing.is_empty() {
            true => Ok((architecture, libraries)),
            false => Err(lacking(&missing)),
        }
    }
}

/// Where loaders look without being told.
fn usual_dirs(architecture: Architecture) -> [&'static str; 6] {
    let [debian, below_usr] = match architecture {
        Architecture::Amd64 => ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"],
        Architecture::Arm64 => ["/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu"],
    };
    [
        debian,
        below_usr,
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/lib",
    ]
}

/// A library for these machines; one for others may be in the way.
fn library(place: &Path, architecture: Architecture) -> Option<Vec<u8>> {
    let content = std::fs::read(place).ok()?;
    let is_for = Elf::read(&content).and_then(|elf| elf.architecture());
    (is_for.ok()? == architecture).then_some(content)
}

/// The libraries that are needed, each with where to look first. A directory beside the program
/// is another one in an image.
fn wants(elf: &Elf<'_>) -> Result<Vec<(String, Vec<PathBuf>)>, String> {
    let needs = elf.needs()?;
    let dirs = needs.dirs.iter().filter(|dir| dir.starts_with('/'));
    let dirs: Vec<_> = dirs.map(PathBuf::from).collect();
    let libraries = needs.libraries.iter();
    Ok(libraries
        .map(|name| ((*name).to_owned(), dirs.clone()))
        .collect())
}

fn lacking(missing: &BTreeSet<String>) -> String {
    let missing: Vec<_> = missing.iter().map(String::as_str).collect();
    format!("needs what is not here: {}", missing.join(", "))
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(content: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        match WholeProgram::read(file.path()) {
            Err(CompanionError::Unusable { reason, .. }) => reason,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it can be used"),
        }
    }

    #[test]
    fn a_program_brings_its_loader_and_its_libraries() {
        // This very program is one that needs some, on every machine that builds it.
        let this = std::env::current_exe().unwrap();
        let whole = WholeProgram::read(&this).unwrap();
        assert_eq!(Some(whole.architecture()), Architecture::current());
        let files = whole.files("test");
        let has = |end: &str| files.iter().any(|(path, _)| path.ends_with(end));
        assert!(has("libc.so.6"), "{:?}", whole.libraries.keys());
        assert!(files.iter().any(|(path, _)| path.contains("/ld-linux")));
        assert_eq!(files.last().unwrap().0, "test");
        assert!(files.iter().all(|(path, _)| !path.starts_with('/')));
        let mut paths: Vec<_> = files.iter().map(|(path, _)| *path).collect();
        let count = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), count);
    }

    #[test]
    fn a_program_that_its_host_packed_is_the_same() {
        let this = std::env::current_exe().unwrap();
        let whole = WholeProgram::read(&this).unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in whole.files("test") {
            crate::archive::add(&mut archive, &format!("./{path}"), 0o755, content).unwrap();
        }
        let archive = archive.into_inner().unwrap();
        let unpacked = WholeProgram::unpack(&archive, "test").unwrap();
        assert_eq!(unpacked.files("test"), whole.files("test"));
        assert_eq!(unpacked.architecture(), whole.architecture());
        for (archive, expected) in [
            (&archive[..], "other cannot be sent: it did not come"),
            (&archive[..700], "other cannot be sent: it came damaged: "),
        ] {
            let error = WholeProgram::unpack(archive, "other").err().unwrap();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let replaced = |from: &[u8], to: &[u8]| {
            assert_eq!(from.len(), to.len());
            let mut changed = this.clone();
            let places: Vec<_> = (0..this.len() - from.len())
                .filter(|at| this[*at..].starts_with(from))
                .collect();
            for at in places {
                changed[at..at + from.len()].copy_from_slice(to);
            }
            changed
        };
        let said = refused(&replaced(b"\0libc.so.6\0", b"\0libq.so.6\0"));
        assert_eq!(said, "needs what is not here: libq.so.6");
        let said = refused(&replaced(b"/ld-linux-", b"/ld-other-"));
        assert!(said.contains("/ld-other-"), "{said}");
        assert_eq!(refused(b"#!/bin/sh"), "is no program for Linux");
        let nowhere = WholeProgram::read(Path::new("/nowhere/etcd"));
        let error = nowhere.err().unwrap().to_string();
        assert_eq!(error, "/nowhere/etcd cannot be sent: it is not there");
    }
}
