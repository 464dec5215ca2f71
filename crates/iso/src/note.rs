//! What the cache remembers of an ISO: a small file beside it.

use std::fs::{self, Metadata};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{IsoError, Sha256};

/// Where an ISO is from, and which file was looked at. It is never required: an ISO without one
/// was put there by hand.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Note {
    /// A URL, the path of the file that was imported, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its checksum, in hexadecimal digits.
    pub sha256: String,
    /// The length and the time of change of the file that had this checksum.
    pub size: u64,
    pub modified: u64,
}

impl Note {
    /// A note on a file whose checksum is this.
    pub(crate) fn of(
        path: &Path,
        sha256: Sha256,
        source: Option<String>,
    ) -> Result<Self, IsoError> {
        let metadata = fs::metadata(path).map_err(IsoError::io("read", path))?;
        Ok(Self {
            source,
            sha256: sha256.to_string(),
            size: metadata.len(),
            modified: modified(&metadata),
        })
    }

    /// The note at this path, if there is one that can be read.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes the note beside its place and renames it.
    pub(crate) fn write(&self, path: &Path) -> Result<(), IsoError> {
        let written = || {
            let dir = path.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::Builder::new().prefix(".note-").tempfile_in(dir)?;
            serde_json::to_writer_pretty(&mut file, self).map_err(io::Error::other)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error).map(drop)
        };
        written().map_err(IsoError::io("write", path))
    }

    /// The checksum that the file had when it was looked at.
    pub(crate) fn sha256(&self) -> Option<Sha256> {
        self.sha256.parse().ok()
    }

    /// The checksum, if the file is still the one that was looked at.
    pub(crate) fn sha256_of(&self, metadata: &Metadata) -> Option<Sha256> {
        let same = metadata.len() == self.size && modified(metadata) == self.modified;
        same.then(|| self.sha256())?
    }
}

/// In milliseconds since 1970: as much as every file system keeps.
fn modified(metadata: &Metadata) -> u64 {
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
    metadata
        .modified()
        .ok()
        .and_then(since)
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}
