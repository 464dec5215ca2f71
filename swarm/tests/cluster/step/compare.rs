//! What is left of an output without that which differs between any two engines.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use crate::lab::Ran;

/// An exit code and an output without ids, times, addresses, sizes and the names of nodes.
#[derive(Debug, Eq, PartialEq)]
pub struct Plain {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Plain {
    /// What a program left behind, plain.
    pub fn of(ran: &Ran) -> Self {
        Self {
            code: ran.code,
            out: plain(&ran.out),
            err: plain(&ran.err),
        }
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}{}", self.code, self.out, self.err)
    }
}

/// The lines of an output, each once.
pub fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().collect()
}

fn plain(text: &str) -> String {
    let text = RULES.iter().fold(text.to_owned(), |text, (rule, instead)| {
        rule.replace_all(&text, *instead).into_owned()
    });
    let lines = text.lines().map(|line| {
        // An engine publishes a port twice, for both families of addresses; a node has one address.
        let mut words: Vec<&str> = line.trim_end().split(", ").collect();
        words.dedup();
        words.join(", ") + "\n"
    });
    lines.collect()
}

static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"(?m)^node[123]: ", ""),
        (r"\bnode[123]/", ""),
        (r"\b(sha256:)?[0-9a-f]{64}\b", "ID"),
        (r"\b(sha256:)?[0-9a-f]{12}\b", "ID"),
        (
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*( ?(Z|[+-]\d\d:?\d\d)( UTC)?)?",
            "TIME",
        ),
        (
            r"(\d+ (second|minute)s?|About a minute|Less than a second)( ago)?",
            "AGE",
        ),
        (r"(\d+\.\d+\.\d+\.\d+|\[::\]|::):(\d+)", "ADDR:$2"),
        (r"\b\d+(\.\d+)? ?[kMG]?i?B\b", "SIZE"),
        // Columns are as wide as what is in them.
        (r" {2,}", "  "),
    ];
    rules
        .into_iter()
        .map(|(rule, instead)| (Regex::new(rule).unwrap(), instead))
        .collect()
});
