use bytes::BytesMut;
use http::StatusCode;
use serde_json::Value;

use crate::{EngineEndpoint, EngineError};

/// The longest line of progress that is kept.
const LONGEST_LINE: usize = 1024 * 1024;

/// A streamed answer, put together line by line: JSON values, of which the last may be an error.
pub(crate) struct Progress<'a> {
    endpoint: &'a EngineEndpoint,
    path: &'a str,
    begun: BytesMut,
}

impl<'a> Progress<'a> {
    /// The answer of this engine to a request for this path.
    pub(crate) fn of(endpoint: &'a EngineEndpoint, path: &'a str) -> Self {
        Self {
            endpoint,
            path,
            begun: BytesMut::new(),
        }
    }

    /// Takes what came, and hands on the lines that are whole now.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        on_line: &mut impl FnMut(&Value),
    ) -> Result<(), EngineError> {
        // The part of a line that came before holds no end, so it is searched only once.
        let mut searched = self.begun.len();
        self.begun.extend_from_slice(chunk);
        while let Some(end) = find_end(&self.begun[searched..]) {
            let line = self.begun.split_to(searched + end + 1);
            self.line(&line, on_line)?;
            searched = 0;
        }
        match self.begun.len() > LONGEST_LINE {
            true => Err(self.garbled("a line of progress is too long")),
            false => Ok(()),
        }
    }

    /// Hands on the last line, which needs no end.
    pub(crate) fn finish(self, on_line: &mut impl FnMut(&Value)) -> Result<(), EngineError> {
        self.line(&self.begun, on_line)
    }

    fn line(&self, line: &[u8], on_line: &mut impl FnMut(&Value)) -> Result<(), EngineError> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let line: Value = serde_json::from_slice(line).map_err(|error| {
            self.garbled(&format!(
                "a line of progress is not the JSON expected: {error}"
            ))
        })?;
        match failure(&line) {
            Some((status, message)) => Err(EngineError::Refused {
                status,
                message: message.to_owned(),
                path: self.path.to_owned(),
            }),
            None => {
                on_line(&line);
                Ok(())
            }
        }
    }

    fn garbled(&self, detail: &str) -> EngineError {
        EngineError::protocol(self.endpoint, detail)
    }
}

fn find_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

/// The status and the words of a line that is an error. `error` is the older of its two forms.
fn failure(line: &Value) -> Option<(u16, &str)> {
    let detail = &line["errorDetail"];
    let message = detail["message"].as_str().or(line["error"].as_str())?;
    let code = detail["code"].as_u64();
    let status = code.and_then(|code| u16::try_from(code).ok());
    Some((
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR.as_u16()),
        message,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines handed on, and the error that ended them.
    fn read(chunks: &[&str]) -> (Vec<String>, Option<EngineError>) {
        let endpoint = EngineEndpoint::Unix("/run/docker.sock".into());
        let mut progress = Progress::of(&endpoint, "/build");
        let mut lines = Vec::new();
        let mut on_line = |line: &Value| lines.push(line["stream"].to_string());
        let pushed = chunks
            .iter()
            .try_for_each(|chunk| progress.push(chunk.as_bytes(), &mut on_line));
        let error = pushed.and_then(|()| progress.finish(&mut on_line)).err();
        (lines, error)
    }

    #[test]
    fn lines_end_where_they_end_however_they_come() {
        for chunks in [
            &["{\"stream\":1}\n{\"stream\":2}\r\n\n{\"stream\":3}"][..],
            &[
                "{\"stre",
                "am\":1}",
                "\n{\"stream\":2}\n{\"st",
                "ream\":3}\n",
            ],
            &[
                "",
                "{\"stream\":1}\n",
                "\r\n",
                "{\"stream\":2}\n{\"stream\":3}\n",
            ],
        ] {
            let (lines, error) = read(chunks);
            assert!(error.is_none(), "{error:?}");
            assert_eq!(lines, ["1", "2", "3"], "{chunks:?}");
        }
    }

    #[test]
    fn an_error_ends_them_in_either_form() {
        for (line, expected) in [
            (r#"{"error":"gone"}"#, (500, "gone")),
            (
                r#"{"errorDetail":{"code":404,"message":"gone"}}"#,
                (404, "gone"),
            ),
            (
                r#"{"errorDetail":{"code":7,"message":"the command returned 7"},"error":"x"}"#,
                (7, "the command returned 7"),
            ),
        ] {
            let (lines, error) = read(&["{\"stream\":1}\n", line]);
            assert_eq!(lines, ["1"]);
            match error {
                Some(EngineError::Refused {
                    status, message, ..
                }) => {
                    assert_eq!((status, message.as_str()), expected);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_json_is_no_progress() {
        let long = "x".repeat(LONGEST_LINE + 1);
        for garbled in ["<html>\n", "{\"stream\"", &long] {
            let (_, error) = read(&[garbled]);
            assert!(matches!(error, Some(EngineError::Protocol { .. })));
        }
    }
}
