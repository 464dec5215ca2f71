use std::io;
use std::path::{Path, PathBuf};

use crate::elf::Elf;
use crate::{Architecture, CompanionError};

/// Where the companion's program is looked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Search {
    given: Option<PathBuf>,
    dirs: Vec<PathBuf>,
}

impl Search {
    /// Looks at the file, or into the directory, that is given and nowhere else; without one beside
    /// this program, and in `lib/rmachine` next to its directory.
    pub fn new(given: Option<PathBuf>, program: &Path) -> Self {
        let beside = program.parent().map(Path::to_owned);
        let library = beside
            .as_deref()
            .and_then(Path::parent)
            .map(|prefix| prefix.join("lib/rmachine"));
        Self {
            given,
            dirs: beside.into_iter().chain(library).collect(),
        }
    }

    /// The program for machines of this kind.
    ///
    /// # Errors
    /// [`CompanionError::NoProgram`] when there is none that needs nothing of its host.
    pub fn program(&self, architecture: Architecture) -> Result<Vec<u8>, CompanionError> {
        let mut looked_at = Vec::new();
        for path in self.places(architecture) {
            match read(&path, architecture) {
                Ok(program) => return Ok(program),
                Err(why) => looked_at.push((path, why)),
            }
        }
        Err(CompanionError::NoProgram {
            architecture,
            looked_at,
        })
    }

    fn places(&self, architecture: Architecture) -> Vec<PathBuf> {
        let dirs = match &self.given {
            Some(given) if !given.is_dir() => return vec![given.clone()],
            Some(given) => std::slice::from_ref(given),
            None => &self.dirs,
        };
        let names = [format!("rswarm-{architecture}"), "rswarm".to_owned()];
        dirs.iter()
            .flat_map(|dir| names.iter().map(|name| dir.join(name)))
            .collect()
    }
}

fn read(path: &Path, architecture: Architecture) -> Result<Vec<u8>, String> {
    let program = std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => error.to_string(),
    })?;
    fits(&program, architecture)?;
    Ok(program)
}

/// Whether a program runs in an empty root on such a machine. Says why not.
fn fits(program: &[u8], architecture: Architecture) -> Result<(), String> {
    let elf = Elf::read(program)?;
    let is_for = elf.architecture()?;
    if is_for != architecture {
        return Err(format!("is for {is_for}"));
    }
    match elf.is_dynamic() {
        true => Err("needs libraries of its host, which an image has not".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use object::elf;

    use super::*;

    /// The head of a program: its header, and one segment of this type.
    fn head(machine: u16, segment: u32) -> Vec<u8> {
        let mut head = vec![0; 64 + 56];
        head[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32..40].copy_from_slice(&64_u64.to_le_bytes());
        head[52..54].copy_from_slice(&64_u16.to_le_bytes());
        head[54..56].copy_from_slice(&56_u16.to_le_bytes());
        head[56..58].copy_from_slice(&1_u16.to_le_bytes());
        head[64..68].copy_from_slice(&segment.to_le_bytes());
        head
    }

    #[test]
    fn a_program_must_be_for_the_machine_and_need_nothing_of_it() {
        let fits = |program: &[u8]| fits(program, Architecture::Amd64).err();
        assert_eq!(fits(&head(elf::EM_X86_64, elf::PT_LOAD)), None);
        for (program, why) in [
            (head(elf::EM_X86_64, elf::PT_INTERP), "needs libraries"),
            (head(elf::EM_AARCH64, elf::PT_LOAD), "is for arm64"),
            (head(elf::EM_386, elf::PT_LOAD), "another kind"),
            (b"#!/bin/sh".to_vec(), "no program"),
            (Vec::new(), "no program"),
        ] {
            let said = fits(&program).unwrap();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn the_program_for_the_machine_is_found_among_others() {
        let prefix = tempfile::tempdir().unwrap();
        let bin = prefix.path().join("bin");
        let lib = prefix.path().join("lib/rmachine");
        for dir in [&bin, &lib] {
            std::fs::create_dir_all(dir).unwrap();
        }
        let arm = head(elf::EM_AARCH64, elf::PT_LOAD);
        std::fs::write(bin.join("rswarm"), head(elf::EM_X86_64, elf::PT_LOAD)).unwrap();
        let search = Search::new(None, &bin.join("rmachine"));
        assert!(search.program(Architecture::Amd64).is_ok());
        let Err(CompanionError::NoProgram { looked_at, .. }) = search.program(Architecture::Arm64)
        else {
            panic!("there is one");
        };
        let looked_at: Vec<_> = looked_at
            .iter()
            .map(|(path, why)| {
                let path = path.strip_prefix(prefix.path()).unwrap();
                format!("{} {why}", path.display())
            })
            .collect();
        assert_eq!(
            looked_at,
            [
                "bin/rswarm-arm64 is not there",
                "bin/rswarm is for amd64",
                "lib/rmachine/rswarm-arm64 is not there",
                "lib/rmachine/rswarm is not there",
            ]
        );
        std::fs::write(lib.join("rswarm-arm64"), &arm).unwrap();
        assert_eq!(search.program(Architecture::Arm64).unwrap(), arm);
        let given = Search::new(Some(lib.join("rswarm-arm64")), &bin.join("rmachine"));
        assert!(given.program(Architecture::Arm64).is_ok());
        assert!(given.program(Architecture::Amd64).is_err());
    }
}
