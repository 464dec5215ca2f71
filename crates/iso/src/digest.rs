use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::str::FromStr;

use sha2::Digest as _;

/// A SHA-256 checksum.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The checksum of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The checksum of a file, computed on a thread that may wait.
    pub(crate) async fn of_file(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let computed = tokio::task::spawn_blocking(move || Self::read(&path)).await;
        computed.map_err(io::Error::other)?
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(Self(hasher.finalize().into())),
                read => hasher.update(buffer.get(..read).unwrap_or_default()),
            }
        }
    }
}

impl FromStr for Sha256 {
    type Err = InvalidSha256;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSha256(text.to_owned());
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.ok_or_else(invalid)?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        match (<[u8; 32]>::try_from(bytes), rest) {
            (Ok(bytes), []) => Ok(Self(bytes)),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no SHA-256 checksum.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no SHA-256 checksum, which has 64 hexadecimal digits")]
pub struct InvalidSha256(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let sum = Sha256::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(sum));
        for bad in [
            "",
            "ba",
            &text[1..],
            &format!("{text}00"),
            &text.replace('b', "g"),
        ] {
            assert!(bad.parse::<Sha256>().is_err(), "{bad:?}");
        }
    }
}
