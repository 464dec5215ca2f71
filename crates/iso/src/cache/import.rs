//! An ISO that a person has.

use std::fs;
use std::io;
use std::path::Path;

use rmachine_driver::Report;

use super::{Cache, Iso};
use crate::image::Head;
use crate::{IsoError, IsoName, Sha256};

impl Cache {
    /// Copies an ISO into the cache. One that has the name already gives way only when it is the
    /// same or when `replace` says so.
    ///
    /// # Errors
    /// [`IsoError::NotAnIso`] when the file is none, [`IsoError::Taken`] when another has the name,
    /// [`IsoError::Checksum`] when it is not what it should be.
    pub async fn import(
        &self,
        file: &Path,
        name: &IsoName,
        expected: Option<Sha256>,
        replace: bool,
        report: &dyn Report,
    ) -> Result<Iso, IsoError> {
        Head::read(file)?;
        let _lock = self.lock(name, report).await?;
        report.step(&format!("copying {}", file.display()));
        let copy = tempfile::Builder::new()
            .prefix(".import-")
            .tempfile_in(&self.dir)
            .map_err(IsoError::io("write", &self.dir))?;
        let (from, to) = (file.to_owned(), copy.path().to_owned());
        let copied = tokio::task::spawn_blocking(move || fs::copy(from, to)).await;
        copied
            .map_err(io::Error::other)
            .and_then(|copied| copied)
            .map_err(IsoError::io("copy", file))?;
        let actual = Sha256::of_file(copy.path())
            .await
            .map_err(IsoError::io("read", copy.path()))?;
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(IsoError::Checksum {
                what: file.display().to_string(),
                expected,
                actual,
                cached: None,
            });
        }
        if !replace && self.path(name).exists() {
            let there = Sha256::of_file(&self.path(name))
                .await
                .map_err(IsoError::io("read", self.path(name)))?;
            if there != actual {
                let source = self.named(name).ok().and_then(|iso| iso.source);
                let from = source.map_or_else(|| "another one".into(), |s| format!("from {s}"));
                return Err(IsoError::Taken {
                    name: name.clone(),
                    from,
                });
            }
        }
        let source = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let path = copy.into_temp_path();
        self.place(&path, name, actual, Some(source.display().to_string()))
    }
}

impl Cache {
    /// Gives an ISO that was built in the cache's directory its name.
    pub(crate) async fn place_built(
        &self,
        file: &Path,
        name: &IsoName,
        report: &dyn Report,
    ) -> Result<Iso, IsoError> {
        Head::read(file)?;
        let sha256 = Sha256::of_file(file)
            .await
            .map_err(IsoError::io("read", file))?;
        let _lock = self.lock(name, report).await?;
        self.place(file, name, sha256, Some("built here".to_owned()))
    }
}
