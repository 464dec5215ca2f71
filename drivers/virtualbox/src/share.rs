use std::path::{Path, PathBuf};

use crate::find::{Surroundings, System};

/// A directory of this computer that the machine sees.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Share {
    /// Where it is.
    pub directory: PathBuf,
    /// Its name, and where the machine finds it below `/`.
    pub name: String,
}

/// What a machine shares: what was asked for, as `dir:name`, or the directory of all homes, as
/// docker-machine has it.
pub fn shared(asked: &str, surroundings: &Surroundings) -> Option<Share> {
    if let Some((directory, name)) = split(asked) {
        return Some(Share {
            directory: PathBuf::from(directory),
            name: name.to_owned(),
        });
    }
    let (directory, name) = match surroundings.system {
        System::Linux => ("/home", "hosthome"),
        System::MacOs => ("/Users", "Users"),
        System::Windows => (r"\\?\c:\Users", "c/Users"),
    };
    let directory = Path::new(directory);
    (directory.is_dir() || surroundings.system == System::Windows).then(|| Share {
        directory: directory.to_owned(),
        name: name.to_owned(),
    })
}

/// The parts of `dir:name`; the directory may hold colons of its own, as on Windows. A name
/// with a blank in it is refused by VirtualBox 7.2, when the VM is there already.
pub fn split(text: &str) -> Option<(&str, &str)> {
    let (directory, name) = text.rsplit_once(':')?;
    let whole = !directory.is_empty() && !name.is_empty();
    let refused = |letter: char| letter == '\\' || letter.is_whitespace();
    (whole && !name.contains(refused)).then_some((directory, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_may_hold_colons_and_blanks() {
        assert_eq!(split(r"C:\My Files:files"), Some((r"C:\My Files", "files")));
        assert_eq!(split("/srv:srv"), Some(("/srv", "srv")));
        assert_eq!(split(r"C:\Users"), None);
        for bad in ["", ":", "a:", ":a", "none", "/srv:our data"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }

    #[test]
    fn homes_are_shared_unless_asked_otherwise() {
        let surroundings = Surroundings {
            system: System::Windows,
            ..Surroundings::default()
        };
        let share = |asked| shared(asked, &surroundings).map(|share| share.name);
        assert_eq!(share("").as_deref(), Some("c/Users"));
        assert_eq!(share("/srv:srv").as_deref(), Some("srv"));
    }
}
