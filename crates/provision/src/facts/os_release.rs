use serde::{Deserialize, Serialize};

/// What `/etc/os-release` says.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct OsRelease {
    /// `ID`: `debian`.
    pub id: String,
    /// `ID_LIKE`: the closest relatives, the nearest first.
    pub id_like: Vec<String>,
    /// `VERSION_ID`; empty for rolling releases.
    pub version_id: String,
    /// `PRETTY_NAME`, for people.
    pub pretty_name: String,
}

impl OsRelease {
    /// Reads the file's text: shell assignments, quoted or not.
    pub fn parse(text: &str) -> Self {
        let mut os = Self::default();
        for line in text.lines() {
            let line = line.trim();
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            let value = unquote(value);
            match name {
                "ID" => os.id = value,
                "ID_LIKE" => {
                    os.id_like = value.split_whitespace().map(str::to_owned).collect();
                }
                "VERSION_ID" => os.version_id = value,
                "PRETTY_NAME" => os.pretty_name = value,
                _ => {}
            }
        }
        if os.id.is_empty() {
            os.id = "linux".to_owned();
        }
        if os.pretty_name.is_empty() {
            os.pretty_name = format!("{} {}", os.id, os.version_id).trim().to_owned();
        }
        os
    }

    /// The number before the first dot of the version.
    pub fn major(&self) -> Option<u32> {
        self.version_id.split('.').next()?.parse().ok()
    }
}

/// A shell word without its quotes. A word that a shell could not read is kept as it stands.
fn unquote(value: &str) -> String {
    match shlex::split(value) {
        Some(words) => words.join(" "),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind_of_quoting() {
        let os = OsRelease::parse(
            "# comment\n\
             NAME='O\"S'\n\
             PRETTY_NAME=\"A \\\"good\\\" system (a=b)\"\n\
             ID=centos\n\
             ID_LIKE='rhel fedora'\n\
             VERSION_ID=\"7\"\n\
             CPE_NAME=\"cpe:/o:centos:centos:7\"\n\
             HOME_URL=https://example.org/?a=b=c\n",
        );
        assert_eq!(os.id, "centos");
        assert_eq!(os.id_like, ["rhel", "fedora"]);
        assert_eq!(os.major(), Some(7));
        assert_eq!(os.pretty_name, "A \"good\" system (a=b)");
    }

    #[test]
    fn a_system_without_the_file_has_the_specified_defaults() {
        let os = OsRelease::parse("");
        assert_eq!(
            (os.id.as_str(), os.pretty_name.as_str()),
            ("linux", "linux")
        );
        assert_eq!(os.major(), None);
    }
}
