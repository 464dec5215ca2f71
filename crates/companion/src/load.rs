use http::Method;
use rmachine_engine::{Engine, EngineError, full};
use serde_json::Value;

use crate::image::BINARY_LABEL;
use crate::{CompanionError, Image};

/// Whether an engine has this very image under this name.
///
/// # Errors
/// When the engine cannot be asked.
pub async fn has(engine: &Engine, image: &Image, tag: &str) -> Result<bool, CompanionError> {
    Ok(match shown(engine, tag).await? {
        Some(there) => is(&there, image),
        None => false,
    })
}

/// Whether an engine has any image under this name.
///
/// # Errors
/// When the engine cannot be asked.
pub async fn has_any(engine: &Engine, tag: &str) -> Result<bool, CompanionError> {
    Ok(shown(engine, tag).await?.is_some())
}

/// Sends an image to an engine, where it gets this name.
///
/// # Errors
/// When the engine refuses it.
pub async fn send(engine: &Engine, image: &Image, tag: &str) -> Result<(), CompanionError> {
    let archive = image.archive(tag);
    let archive = archive.map_err(|source| CompanionError::Archive {
        what: "the companion's image",
        source,
    })?;
    engine
        .stream(
            Method::POST,
            "/images/load?quiet=1",
            "application/x-tar",
            full(archive),
            |_| (),
        )
        .await?;
    Ok(())
}

async fn shown(engine: &Engine, tag: &str) -> Result<Option<Value>, CompanionError> {
    let path = format!("/images/{tag}/json");
    match engine.call(Method::GET, &path, None).await {
        Ok(there) => Ok(Some(there)),
        Err(EngineError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the image that an engine shows is this one.
fn is(there: &Value, image: &Image) -> bool {
    there["Id"] == *image.id() || there["Config"]["Labels"][BINARY_LABEL] == *image.binary()
}
