use std::error::Error;
use std::path::PathBuf;

use async_trait::async_trait;
use rmachine_driver::Report;

/// Where the ISO images come from that machines boot.
#[async_trait]
pub trait IsoSource: Send + Sync {
    /// The image of this URL, or the one that machines boot unless told otherwise, as a file that
    /// is whole and does not change. Called by any number of machines at once.
    ///
    /// # Errors
    /// When there is none to be had.
    async fn obtain(
        &self,
        url: Option<&str>,
        report: &dyn Report,
    ) -> Result<PathBuf, IsoUnavailable>;

    /// Whether the image of this URL can be had, as far as this computer tells. Nothing is asked
    /// of the network, and nothing changed.
    ///
    /// # Errors
    /// When there is none to be had.
    fn look(&self, url: Option<&str>) -> Result<(), IsoUnavailable> {
        let _ = url;
        Ok(())
    }
}

/// There is no ISO image to boot from.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct IsoUnavailable {
    /// What failed.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The cause, where it is an error of its own.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}
