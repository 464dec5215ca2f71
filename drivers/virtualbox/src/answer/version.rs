use std::fmt;

/// A version of VirtualBox: `7.2.22_Debianr175245` is 7.2.22.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub patch: u32,
}

impl Version {
    /// The version with these numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads `--version`, past the warning that distributions put before it.
    pub fn read(text: &str) -> Option<Self> {
        text.lines().rev().find_map(|line| of(line.trim()))
    }
}

fn of(line: &str) -> Option<Version> {
    let end = line.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let mut numbers = line[..end].split('.').map(str::parse);
    let mut next = || numbers.next()?.ok();
    let version = Version::new(next()?, next()?, next()?);
    Some(version)
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packagers_and_the_wrapper_add_to_it() {
        for (text, version) in [
            ("7.2.22_Debianr175245\n", Some(Version::new(7, 2, 22))),
            ("7.2.22r175245\n", Some(Version::new(7, 2, 22))),
            ("5.0.0_RC1r101436\n", Some(Version::new(5, 0, 0))),
            (
                "WARNING: The character device /dev/vboxdrv does not exist.\n\t 7 of\n7.0.6_Ubuntur155176\n",
                Some(Version::new(7, 0, 6)),
            ),
            ("", None),
            ("7.2\n", None),
            ("no version\n", None),
            ("99999999999.1.1r1\n", None),
        ] {
            assert_eq!(Version::read(text), version, "{text:?}");
        }
        assert!(Version::new(7, 2, 10) > Version::new(7, 2, 9));
    }
}
