//! Escapes text from engines, hosts, stores and records before a terminal or a log shows it.
//!
//! Such text may hold terminal escape sequences, line breaks that forge further lines, and
//! characters that reorder or hide what a person reads. The functions here replace those characters
//! with visible escapes as Rust writes them (`\u{1b}`, `\n`) and change nothing else, so ordinary
//! text in any language stays as it is.
//!
//! Escape where text leaves the program, not where it enters: values stay exact in between.
//!
//! | where the text is printed            | function            |
//! |--------------------------------------|---------------------|
//! | one value in a line: a name, a cell  | [`line`]            |
//! | several lines: an error, a plan      | [`text`]            |
//! | the same with a prefix for each line | [`indented`]        |
//! | a whole output, plain or JSON        | [`document`]        |
//! | a log, one record at a time          | [`RecordWriter`]    |

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

/// Longest value that [`line`] returns, in bytes, without the mark that it was cut.
pub const MAX_LINE: usize = 4096;

/// Longest text that [`text`] and [`indented`] return, in bytes, without the mark that it was cut.
pub const MAX_TEXT: usize = 64 * 1024;

/// Longest record that a [`RecordWriter`] passes on, in bytes, without the mark that it was cut.
pub const MAX_RECORD: usize = 16 * 1024;

/// Follows text that was longer than its limit.
const CUT: &str = "… (cut)";

/// Returns whether a character must not reach a terminal or a log as it is: control characters
/// (C0, DEL and C1), Unicode's own line breaks, and invisible characters, among them those that
/// change the direction of writing.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'                    // soft hyphen
            | '\u{61c}'                 // Arabic letter mark
            | '\u{180e}'                // Mongolian vowel separator
            | '\u{200b}'..='\u{200f}'   // zero-width characters and direction marks
            | '\u{2028}'..='\u{202e}'   // line and paragraph separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}'   // invisible operators, isolates, deprecated formatting
            | '\u{feff}'                // zero-width no-break space
            | '\u{fff9}'..='\u{fffb}'   // interlinear annotations
            | '\u{e0000}'..='\u{e007f}' // tags
        )
}

/// Escapes a value for a single line: line breaks and tabs too. Cuts it after [`MAX_LINE`] bytes.
pub fn line(value: &str) -> Cow<'_, str> {
    escaped(value, MAX_LINE, is_unsafe)
}

/// Escapes text that may have several lines: line feeds and tabs stay. Cuts it after [`MAX_TEXT`]
/// bytes.
///
/// Use it only where a further line cannot be mistaken for one of the program's own; otherwise
/// [`indented`] or [`line`].
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, MAX_TEXT, |c| {
        !matches!(c, '\n' | '\t') && is_unsafe(c)
    })
}

/// Escapes text like [`text`] and indents every line but the first, so that a line of foreign text
/// never begins like one of the program's own.
pub fn indented(text: &str, indent: &str) -> String {
    let text = self::text(text.trim_end_matches(['\n', '\r']));
    text.replace('\n', &format!("\n{indent}"))
}

/// Escapes a whole output in JSON's way (`\u202e`), so that a JSON document keeps its meaning: such
/// characters occur in its strings only. Line feeds and tabs stay, and nothing is cut.
pub fn document(document: &str) -> Cow<'_, str> {
    let kept = |c: char| matches!(c, '\n' | '\t') || !is_unsafe(c);
    if document.chars().all(kept) {
        return Cow::Borrowed(document);
    }
    let mut out = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if kept(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

fn escaped(value: &str, limit: usize, is_unsafe: impl Fn(char) -> bool) -> Cow<'_, str> {
    if value.len() <= limit && !value.chars().any(&is_unsafe) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len().min(limit) + 16);
    for c in value.chars() {
        let start = out.len();
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > limit {
            out.truncate(start);
            out.push_str(CUT);
            break;
        }
    }
    Cow::Owned(out)
}

/// How a [`RecordWriter`] escapes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordFormat {
    /// Plain text, as [`line`] escapes it.
    Text,
    /// JSON documents, as [`document`] escapes them. They are not cut: that would break them.
    Json,
}

/// Passes log records on as one line each, whatever their fields hold.
///
/// Each call of [`write`](io::Write::write) is taken for one whole record, which is how tracing's
/// formatters write.
#[derive(Debug)]
pub struct RecordWriter<W> {
    inner: W,
    format: RecordFormat,
}

impl<W: io::Write> RecordWriter<W> {
    /// Creates a writer on top of another one.
    pub fn new(inner: W, format: RecordFormat) -> Self {
        Self { inner, format }
    }
}

impl<W: io::Write> io::Write for RecordWriter<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        let (text, end) = match text.strip_suffix('\n') {
            Some(text) => (text, "\n"),
            None => (&*text, ""),
        };
        let mut safe = match self.format {
            RecordFormat::Text => escaped(text, MAX_RECORD, is_unsafe),
            RecordFormat::Json => document(text),
        }
        .into_owned();
        safe.push_str(end);
        self.inner.write_all(safe.as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_text_stays_borrowed() {
        for value in [
            "",
            "v26.1.5",
            "größer 日本語 ünïcode ✓",
            "a\\nb",
            "[::1]:2376",
        ] {
            assert!(matches!(line(value), Cow::Borrowed(same) if same == value));
            assert!(matches!(text(value), Cow::Borrowed(same) if same == value));
            assert!(matches!(document(value), Cow::Borrowed(same) if same == value));
        }
        assert_eq!(text("a\tb\nc"), "a\tb\nc");
    }

    #[test]
    fn line_escapes_what_a_terminal_interprets() {
        for (value, shown) in [
            ("\x1b]0;owned\x07", r"\u{1b}]0;owned\u{7}"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("a\rb\nc\td", r"a\rb\nc\td"),
            ("x\x7f\x08\x00", r"x\u{7f}\u{8}\u{0}"),
            ("gpj\u{202e}exe", r"gpj\u{202e}exe"),
            ("a\u{2066}b\u{2069}", r"a\u{2066}b\u{2069}"),
            ("a\u{2028}b\u{2029}c", r"a\u{2028}b\u{2029}c"),
            ("node\u{200b}1\u{feff}", r"node\u{200b}1\u{feff}"),
            ("n\u{e0041}", r"n\u{e0041}"),
        ] {
            assert_eq!(line(value), shown, "{value:?}");
        }
    }

    #[test]
    fn text_keeps_line_feeds_only_and_indents_on_request() {
        assert_eq!(text("a\r\nb\x1b[2J"), "a\\r\nb\\u{1b}[2J");
        assert_eq!(
            indented("first\nerror: forged\r\nhint: rm -rf /\n\n", "  "),
            "first\n  error: forged\\r\n  hint: rm -rf /"
        );
    }

    #[test]
    fn long_values_are_cut_at_a_whole_character() {
        let long = "é".repeat(MAX_LINE);
        let shown = line(&long);
        assert_eq!(shown, "é".repeat(MAX_LINE / 2) + CUT);
        let long = "\x1b".repeat(MAX_LINE);
        assert!(line(&long).len() <= MAX_LINE + CUT.len());
        assert!(text(&"a\n".repeat(MAX_TEXT)).len() <= MAX_TEXT + CUT.len());
    }

    #[test]
    fn json_document_keeps_its_meaning() {
        assert_eq!(
            document("{\"a\": \"\u{202e}x\u{9b}\u{e0041}\x7f\"\n}"),
            "{\"a\": \"\\u202ex\\u009b\\udb40\\udc41\\u007f\"\n}"
        );
    }

    #[test]
    fn record_writer_keeps_a_record_in_one_line() {
        let written = |format, record: &str| {
            let mut out = Vec::new();
            let mut writer = RecordWriter::new(&mut out, format);
            writer.write_all(record.as_bytes()).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(RecordFormat::Text, "INFO node=a\nINFO forged\x1b[2J\r\n"),
            "INFO node=a\\nINFO forged\\u{1b}[2J\\r\n"
        );
        assert_eq!(
            written(RecordFormat::Json, "{\"node\":\"a\\n\u{9b}\"}\n"),
            "{\"node\":\"a\\n\\u009b\"}\n"
        );
        let long = written(RecordFormat::Text, &format!("{}\n", "x".repeat(1 << 20)));
        assert_eq!(long.len(), MAX_RECORD + CUT.len() + 1);
        assert!(long.ends_with('\n'));
    }

    proptest! {
        #[test]
        fn nothing_unsafe_passes(value in any::<String>()) {
            prop_assert!(!line(&value).chars().any(is_unsafe));
            prop_assert!(!text(&value).chars().any(|c| c != '\n' && c != '\t' && is_unsafe(c)));
            let document = document(&value);
            prop_assert!(!document.chars().any(|c| c != '\n' && c != '\t' && is_unsafe(c)));
        }
    }
}
