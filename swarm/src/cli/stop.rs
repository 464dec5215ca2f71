use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Failure;

/// Is cancelled by SIGTERM and SIGINT; a second one ends the program at once, with what a shell
/// makes of the signal.
///
/// # Errors
/// When signals cannot be waited for.
pub fn on_signal() -> Result<CancellationToken, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            let (name, code) = tokio::select! {
                _ = terminate.recv() => ("SIGTERM", 143),
                _ = interrupt.recv() => ("SIGINT", 130),
            };
            if told.is_cancelled() {
                std::process::exit(code);
            }
            tracing::info!("{name}: stopping");
            told.cancel();
        }
    });
    Ok(stop)
}
