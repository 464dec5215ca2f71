//! Panics: each is logged with its location and counted, and ends only the work that it is in.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// The longest message that is logged, in characters: it may quote what was received.
const MESSAGE: usize = 500;

/// Logs panics from here on, instead of printing them.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(report));
}

/// How many panics there were.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Runs a future to its end; `None` where it panics. What the future shares with others must be in
/// a usable state at each of its steps.
pub(crate) async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(future).catch_unwind().await.ok()
}

fn report(info: &PanicHookInfo<'_>) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    let place = info.location().map(ToString::to_string);
    let place = place.as_deref().unwrap_or("an unknown location");
    let message = message(info.payload());
    tracing::error!("panicked at {place}: {message:?}");
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or_default().chars().take(MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn caught_panic_leaves_no_result() {
        assert_eq!(caught(async { 1 }).await, Some(1));
        let panicking = async {
            if count() < u64::MAX {
                panic!("planted");
            }
        };
        assert_eq!(caught(panicking).await, None);
    }

    #[test]
    fn message_is_cut_to_its_longest_length() {
        assert_eq!(message(&"short"), "short");
        assert_eq!(message(&"x".repeat(MESSAGE + 1)), "x".repeat(MESSAGE));
        assert_eq!(message(&5), "");
    }
}
