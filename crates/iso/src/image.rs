//! What a file must be to be booted from: the head of an ISO 9660 image.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::IsoError;

/// The sector in which an image describes itself, and what is looked at there.
const DESCRIPTOR: u64 = 16 * 2048;
const MAGIC: &[u8] = b"\x01CD001\x01";
const LABEL: std::ops::Range<usize> = 40..72;
const SECTORS: usize = 80;
const SECTOR_SIZE: usize = 128;

/// What an image says about itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    /// The volume's label; boot2docker's holds its version.
    pub label: String,
    /// How long the image is, in bytes.
    pub length: u64,
}

impl Head {
    /// Reads the head of an image that is whole.
    pub(crate) fn read(path: &Path) -> Result<Self, IsoError> {
        let refused = |reason: String| IsoError::NotAnIso {
            path: path.to_owned(),
            reason,
            cached: None,
        };
        let mut file = File::open(path).map_err(IsoError::io("read", path))?;
        let size = file.metadata().map_err(IsoError::io("read", path))?.len();
        let mut sector = [0; 2048];
        let read = file
            .seek(SeekFrom::Start(DESCRIPTOR))
            .and_then(|_| file.read_exact(&mut sector));
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(refused(format!("it has only {size} bytes")));
            }
            read => read.map_err(IsoError::io("read", path))?,
        }
        let head = Self::parse(&sector).ok_or_else(|| refused("it has no ISO 9660 head".into()))?;
        match size < head.length {
            true => Err(refused(format!(
                "it is cut off: {size} of {} bytes are there",
                head.length
            ))),
            false => Ok(head),
        }
    }

    fn parse(sector: &[u8; 2048]) -> Option<Self> {
        let number = |at: usize, length: usize| {
            let bytes = sector.get(at..at + length)?;
            let little_endian = bytes
                .iter()
                .rev()
                .fold(0, |n, byte| n << 8 | u64::from(*byte));
            Some(little_endian)
        };
        sector.starts_with(MAGIC).then_some(())?;
        let label = String::from_utf8_lossy(sector.get(LABEL)?);
        Some(Self {
            label: label.trim_end_matches([' ', '\0']).to_owned(),
            length: number(SECTORS, 4)? * number(SECTOR_SIZE, 2)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(label: &str, sectors: u32) -> [u8; 2048] {
        let mut sector = [0; 2048];
        sector[..7].copy_from_slice(MAGIC);
        sector[LABEL].fill(b' ');
        sector[LABEL][..label.len()].copy_from_slice(label.as_bytes());
        sector[SECTORS..SECTORS + 4].copy_from_slice(&sectors.to_le_bytes());
        sector[SECTOR_SIZE..SECTOR_SIZE + 2].copy_from_slice(&2048_u16.to_le_bytes());
        sector
    }

    #[test]
    fn reads_label_and_length() {
        let head = Head::parse(&sector("Boot2Docker-v19.03.12", 30)).unwrap();
        assert_eq!(head.label, "Boot2Docker-v19.03.12");
        assert_eq!(head.length, 30 * 2048);
        assert_eq!(Head::parse(&[0; 2048]), None);
    }

    #[test]
    fn a_cut_off_image_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.iso");
        let mut image = vec![0; 16 * 2048];
        image.extend(sector("X", 20));
        for (length, said) in [
            (0, "only 0 bytes"),
            (image.len(), "cut off"),
            (20 * 2048 - 1, "cut off"),
        ] {
            image.resize(length.max(image.len()), 0);
            std::fs::write(&path, &image[..length]).unwrap();
            let error = Head::read(&path).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        image.resize(20 * 2048, 0);
        std::fs::write(&path, &image).unwrap();
        assert_eq!(Head::read(&path).unwrap().label, "X");
        std::fs::write(&path, "<html>".repeat(20_000)).unwrap();
        assert!(Head::read(&path).is_err());
    }
}
