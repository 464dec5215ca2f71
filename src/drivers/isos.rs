use std::path::PathBuf;

use async_trait::async_trait;
use rmachine_driver::Report;
use rmachine_iso::{Cache, Iso, IsoError, IsoName, Source};
use rmachine_virtualbox::{IsoSource, IsoUnavailable};

/// The cache of ISOs, as the virtualbox driver sees it.
pub struct Isos {
    cache: Cache,
    mirror: Option<String>,
}

impl Isos {
    /// The cache in this directory. The mirror is asked for boot2docker's releases before their own
    /// place.
    pub fn new(dir: PathBuf, mirror: Option<String>) -> Self {
        Self {
            cache: Cache::new(dir),
            mirror,
        }
    }
}

#[async_trait]
impl IsoSource for Isos {
    /// A URL, an absolute path, or the name of an ISO in the cache.
    async fn obtain(
        &self,
        url: Option<&str>,
        report: &dyn Report,
    ) -> Result<PathBuf, IsoUnavailable> {
        if let Some(Ok(name)) = url.map(str::parse::<IsoName>) {
            return found(self.cache.named(&name));
        }
        let source = self.source(url)?;
        match source.file() {
            Some(file) => {
                let (name, sha256) = (source.name(), source.sha256());
                found(self.cache.import(&file, name, sha256, false, report).await)
            }
            None => found(self.cache.obtain(&source, report).await),
        }
    }

    fn look(&self, url: Option<&str>) -> Result<(), IsoUnavailable> {
        if let Some(Ok(name)) = url.map(str::parse::<IsoName>) {
            return found(self.cache.named(&name)).map(drop);
        }
        match self.source(url)?.file() {
            Some(file) if !file.is_file() => Err(IsoUnavailable {
                message: format!("there is no file {}", file.display()),
                hint: Some("rmachine iso ls (shows the ISOs that there are)".to_owned()),
                source: None,
            }),
            _ => Ok(()),
        }
    }
}

impl Isos {
    fn source(&self, url: Option<&str>) -> Result<Source, IsoUnavailable> {
        let source = match url {
            Some(url) => Source::at(url),
            None => Source::boot2docker(self.mirror.as_deref()),
        };
        source.map_err(|error| IsoUnavailable {
            message: error.to_string(),
            hint: Some("--iso NAME|FILE|URL".to_owned()),
            source: None,
        })
    }
}

fn found(iso: Result<Iso, IsoError>) -> Result<PathBuf, IsoUnavailable> {
    iso.map(|iso| iso.path).map_err(|error| IsoUnavailable {
        message: error.to_string(),
        hint: Some(match &error {
            IsoError::Unknown { .. } => "rmachine iso ls".to_owned(),
            IsoError::Taken { name, .. }
            | IsoError::Checksum {
                cached: Some(name), ..
            }
            | IsoError::NotAnIso {
                cached: Some(name), ..
            } => format!("rmachine iso rm {name}"),
            _ => "rmachine iso import FILE (of an ISO that you have), or rmachine iso build"
                .to_owned(),
        }),
        source: std::error::Error::source(&error).map(|cause| cause.to_string().into()),
    })
}
