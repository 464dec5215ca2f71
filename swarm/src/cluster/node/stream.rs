//! What an engine tells as it happens, line by line.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use rmachine_engine::EngineBody;

use super::fetch::Trouble;
use crate::cluster::limits::MAX_EVENT;

/// The events of an engine. Engines before API 1.52 write one object behind the other, each in a
/// line.
pub(crate) struct EngineEvents {
    body: EngineBody,
    begun: Lines,
}

impl EngineEvents {
    /// The events that come in an answer.
    pub(crate) fn new(body: EngineBody) -> Self {
        Self {
            body,
            begun: Lines::default(),
        }
    }

    /// The events that come next, each in a line; none where one has only begun. A call that is
    /// given up loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Trouble> {
        match self.body.frame().await {
            Some(Ok(frame)) => {
                let skipped = self.begun.skipped;
                let lines = self.begun.take(&frame.into_data().unwrap_or_default());
                // An engine that does nothing else must not fill the log.
                if self.begun.skipped > skipped && self.begun.skipped.is_power_of_two() {
                    let count = self.begun.skipped;
                    tracing::warn!("events longer than {MAX_EVENT} bytes were skipped: {count}");
                }
                Ok(lines)
            }
            Some(Err(error)) => Err(Trouble::garbled("events", &error)),
            None => Err(Trouble("the engine ended its events".to_owned())),
        }
    }
}

/// Lines, of which the last may have only begun. Those that are too long are left out.
#[derive(Default)]
pub(super) struct Lines {
    begun: BytesMut,
    /// The line that has begun is too long: the rest of it is left out, too.
    is_skipping: bool,
    /// How many lines were left out.
    skipped: u64,
}

impl Lines {
    /// Takes what came, and returns the lines that are complete now.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Bytes {
        let mut chunk = chunk;
        if self.is_skipping {
            let Some(end) = chunk.iter().position(|byte| *byte == b'\n') else {
                return Bytes::new();
            };
            chunk = chunk.get(end + 1..).unwrap_or_default();
            self.is_skipping = false;
        }
        let end = chunk.iter().rposition(|byte| *byte == b'\n');
        let (complete, rest) = chunk.split_at(end.map_or(0, |end| end + 1));
        let mut lines = BytesMut::new();
        if !complete.is_empty() {
            self.begun.extend_from_slice(complete);
            lines = self.begun.split();
        }
        self.begun.extend_from_slice(rest);
        if self.begun.len() > MAX_EVENT {
            self.begun = BytesMut::new();
            self.is_skipping = true;
            self.skipped += 1;
        }
        lines.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut lines = Lines::default();
        for (chunk, expected) in [
            ("{1}\n{2", "{1}\n"),
            ("", ""),
            ("}", ""),
            ("\n{3}\n{4}\n{5", "{2}\n{3}\n{4}\n"),
            ("}\n", "{5}\n"),
        ] {
            assert_eq!(lines.take(chunk.as_bytes()), expected, "{chunk:?}");
        }
    }

    #[test]
    fn line_that_is_too_long_is_skipped() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(&vec![b'x'; MAX_EVENT]), "");
        assert_eq!(lines.take(b"y"), "");
        assert_eq!(lines.take(&vec![b'x'; MAX_EVENT * 2]), "");
        assert_eq!(lines.skipped, 1);
        assert_eq!(lines.take(b"z\n{1}\n{2"), "{1}\n");
        assert_eq!(lines.take(b"}\n"), "{2}\n");
    }
}
