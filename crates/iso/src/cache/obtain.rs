//! The ISO of a source: the one that is there, or a download.

use std::path::Path;

use rmachine_driver::Report;

use super::{Cache, Iso};
use crate::download::{self, Download};
use crate::image::Head;
use crate::note::Note;
use crate::source::public;
use crate::{IsoError, IsoName, Sha256, Source};

/// What was found in the cache.
enum Found {
    Iso(Iso),
    /// Nothing, or nothing that could be booted from.
    Nothing,
}

impl Cache {
    /// The ISO of a source. What lies in the cache is taken; else it is downloaded, once for any
    /// number of processes, and goes on where it broke off. A file of this computer is taken where
    /// it lies.
    ///
    /// # Errors
    /// [`IsoError`], by what went wrong; what has come of a download is kept for the next attempt.
    pub async fn obtain(&self, source: &Source, report: &dyn Report) -> Result<Iso, IsoError> {
        if let Some(file) = source.file() {
            return self.of_file(&file, source, report).await;
        }
        // Most of the time it is there, and nobody need wait for anybody.
        if let Some(iso) = self.settled(source)? {
            return Ok(iso);
        }
        let _lock = self.lock(source.name(), report).await?;
        match self.found(source, report).await? {
            Found::Iso(iso) => Ok(iso),
            Found::Nothing => self.download(source, report).await,
        }
    }

    /// Downloads the ISO of a source anew, whatever the cache has.
    ///
    /// # Errors
    /// As [`Cache::obtain`]; the ISO that was there stays then.
    pub async fn obtain_anew(&self, source: &Source, report: &dyn Report) -> Result<Iso, IsoError> {
        if let Some(file) = source.file() {
            return self.of_file(&file, source, report).await;
        }
        let _lock = self.lock(source.name(), report).await?;
        self.download(source, report).await
    }

    /// A file of this computer.
    async fn of_file(
        &self,
        file: &Path,
        source: &Source,
        report: &dyn Report,
    ) -> Result<Iso, IsoError> {
        let head = Head::read(file)?;
        let metadata = std::fs::metadata(file).map_err(IsoError::io("read", file))?;
        if let Some(expected) = source.sha256() {
            report.step(&format!("checking {}", file.display()));
            let actual = Sha256::of_file(file)
                .await
                .map_err(IsoError::io("read", file))?;
            same(&file.display().to_string(), None, expected, actual)?;
        }
        Ok(Iso {
            name: source.name().clone(),
            path: file.to_owned(),
            size: metadata.len(),
            label: head.label,
            source: source.urls.first().map(public),
            sha256: source.sha256(),
        })
    }

    /// The ISO, if all is known about it.
    fn settled(&self, source: &Source) -> Result<Option<Iso>, IsoError> {
        let iso = match self.named(source.name()) {
            Ok(iso) => iso,
            Err(IsoError::Unknown { .. } | IsoError::NotAnIso { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(actual) = iso.sha256 else {
            return Ok(None);
        };
        match (source.sha256(), source.by_hand) {
            (Some(expected), false) => {
                let what = iso.path.display().to_string();
                same(&what, Some(&iso.name), expected, actual).map(|()| Some(iso))
            }
            (Some(_), true) => Ok(Some(iso)),
            (None, _) => {
                let from = iso.source.as_deref();
                let known = source.urls.iter().any(|url| from == Some(&public(url)));
                match known {
                    true => Ok(Some(iso)),
                    false => Err(IsoError::Taken {
                        name: iso.name,
                        from: from
                            .map_or_else(|| "put there by hand".into(), |s| format!("from {s}")),
                    }),
                }
            }
        }
    }

    /// What is there, under the lock: a file that nobody has looked at yet is looked at.
    async fn found(&self, source: &Source, report: &dyn Report) -> Result<Found, IsoError> {
        let name = source.name();
        self.place_noted(name).await?;
        let iso = match self.named(name) {
            Ok(iso) => iso,
            Err(IsoError::Unknown { .. }) => return Ok(Found::Nothing),
            Err(error @ IsoError::NotAnIso { .. }) => {
                report.warn(&format!("{error}; it is replaced"));
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(error),
        };
        if iso.sha256.is_none() {
            report.step(&format!("checking {}", iso.path.display()));
            let actual = Sha256::of_file(&iso.path)
                .await
                .map_err(IsoError::io("read", &iso.path))?;
            // The same file with another date, as a copy of the store has it, is still from there.
            let noted = Note::read(&self.note(name)).filter(|note| note.sha256() == Some(actual));
            let as_published = source.sha256() == Some(actual);
            if source.by_hand && !as_published && noted.is_none() {
                report.warn(&format!(
                    "{} ({}) is not the published one, and is taken as it is",
                    iso.path.display(),
                    iso.label
                ));
            }
            let published = || as_published.then(|| source.urls.last().map(public))?;
            let origin = noted.and_then(|note| note.source).or_else(published);
            self.settle(name, actual, origin)?;
        }
        let settled = self.settled(source)?;
        Ok(settled.map_or(Found::Nothing, Found::Iso))
    }

    /// Downloads under the lock.
    async fn download(&self, source: &Source, report: &dyn Report) -> Result<Iso, IsoError> {
        let client = download::client(source.sha256().is_some())?;
        let part = self.part(source.name());
        let download = Download {
            what: source.name().to_string(),
            part: &part,
            checked: source.sha256().is_some(),
            report,
        };
        let mut resumed = part.exists();
        loop {
            let url = public(download.run(&client, &source.urls).await?);
            report.step(&format!("checking {}", source.name()));
            let actual = Sha256::of_file(&part)
                .await
                .map_err(IsoError::io("read", &part))?;
            let sound = match source.sha256() {
                Some(expected) => same(&url, None, expected, actual),
                None => Head::read(&part).map(drop).map_err(|error| match error {
                    IsoError::NotAnIso { reason, .. } => IsoError::NotAnIso {
                        path: url.as_str().into(),
                        reason,
                        cached: None,
                    },
                    error => error,
                }),
            };
            match sound {
                Ok(()) => {
                    let iso = self.place(&part, source.name(), actual, Some(url.clone()))?;
                    download::discard(&part).await?;
                    return Ok(iso);
                }
                Err(error) => {
                    download::discard(&part).await?;
                    // Perhaps the pieces did not belong together: once more, in one piece.
                    if !resumed {
                        return Err(error);
                    }
                    report.warn(&format!("{error}; downloading it once more"));
                    resumed = false;
                }
            }
        }
    }
}

fn same(
    what: &str,
    cached: Option<&IsoName>,
    expected: Sha256,
    actual: Sha256,
) -> Result<(), IsoError> {
    match expected == actual {
        true => Ok(()),
        false => Err(IsoError::Checksum {
            what: what.to_owned(),
            expected,
            actual,
            cached: cached.cloned(),
        }),
    }
}
