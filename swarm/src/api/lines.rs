//! Streams of JSON, one object a line.

use std::collections::VecDeque;

use http_body_util::BodyExt as _;
use rmachine_engine::EngineBody;
use serde_json::Value;

/// The longest line that is looked into.
const LONGEST_LINE: usize = 1 << 20;

/// The lines of an engine's progress.
pub struct Lines {
    body: EngineBody,
    buffer: Vec<u8>,
    ready: VecDeque<Value>,
}

impl Lines {
    /// The lines of an answer.
    pub fn new(body: EngineBody) -> Self {
        Self {
            body,
            buffer: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next line; `None` at the end. What is no JSON is left out.
    ///
    /// # Errors
    /// Why the stream broke.
    pub async fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            let Some(frame) = self.body.frame().await else {
                self.take(self.buffer.len());
                return Ok(self.ready.pop_front());
            };
            let frame = frame.map_err(|error| error.to_string())?;
            if let Ok(chunk) = frame.into_data() {
                // What came before holds no end of a line.
                let searched = self.buffer.len();
                self.buffer.extend_from_slice(&chunk);
                if let Some(newline) = chunk.iter().rposition(|byte| *byte == b'\n') {
                    self.take(searched + newline + 1);
                }
                if self.buffer.len() > LONGEST_LINE {
                    return Err(format!("a line is longer than {LONGEST_LINE} bytes"));
                }
            }
        }
    }

    /// Parses this many bytes.
    fn take(&mut self, length: usize) {
        let whole: Vec<u8> = self.buffer.drain(..length).collect();
        let values = serde_json::Deserializer::from_slice(&whole).into_iter();
        self.ready.extend(values.map_while(Result::ok));
    }
}

/// The error that a line of progress tells.
pub fn error_of(line: &Value) -> Option<&str> {
    let detail = line["errorDetail"]["message"].as_str();
    detail.or_else(|| line["error"].as_str())
}
