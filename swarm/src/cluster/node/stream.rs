//! What an engine tells as it happens, line by line.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use rmachine_engine::EngineBody;

use super::fetch::Trouble;

/// The longest event that is read.
const LONGEST_EVENT: usize = 1024 * 1024;

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
            Some(Ok(frame)) => self.begun.take(&frame.into_data().unwrap_or_default()),
            Some(Err(error)) => Err(Trouble::garbled("events", &error)),
            None => Err(Trouble("the engine ended its events".to_owned())),
        }
    }
}

/// Lines, of which the last may have only begun.
#[derive(Default)]
struct Lines(BytesMut);

impl Lines {
    fn take(&mut self, chunk: &[u8]) -> Result<Bytes, Trouble> {
        self.0.extend_from_slice(chunk);
        let end = self.0.iter().rposition(|byte| *byte == b'\n');
        let whole = self.0.split_to(end.map_or(0, |end| end + 1)).freeze();
        match self.0.len() > LONGEST_EVENT {
            true => Err(Trouble(
                "the engine sent an event without an end".to_owned(),
            )),
            false => Ok(whole),
        }
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
            assert_eq!(lines.take(chunk.as_bytes()).unwrap(), expected, "{chunk:?}");
        }
        let long = vec![b'x'; LONGEST_EVENT];
        assert_eq!(lines.take(&long).unwrap(), "");
        assert!(lines.take(b"y").is_err());
    }
}
