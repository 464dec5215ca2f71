use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::{TlsConfigs, TlsError, TlsFiles};

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// The configurations, and then each newer one when the files have changed. Files that cannot be
/// used (half-written, say) are told of, and those from before stay in force.
///
/// # Errors
/// [`TlsError`] when the files cannot be used in the first place.
pub fn reloaded(files: TlsFiles) -> Result<watch::Receiver<TlsConfigs>, TlsError> {
    let mut seen = changed_at(&files);
    let (sender, receiver) = watch::channel(files.load()?);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                () = sender.closed() => return,
                _ = tick.tick() => {}
            }
            let now = changed_at(&files);
            if now == seen {
                continue;
            }
            match files.load() {
                Ok(configs) => {
                    tracing::info!("the certificates have changed and are in use");
                    sender.send_replace(configs);
                    seen = now;
                }
                Err(error) => tracing::warn!("the changed certificates are not used: {error}"),
            }
        }
    });
    Ok(receiver)
}

fn changed_at(files: &TlsFiles) -> [Option<SystemTime>; 3] {
    let paths = [
        files.ca.as_ref(),
        Some(&files.certificate),
        Some(&files.key),
    ];
    paths.map(|path| std::fs::metadata(path?).ok()?.modified().ok())
}
