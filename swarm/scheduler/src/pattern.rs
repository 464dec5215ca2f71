use regex::{Regex, RegexBuilder};

/// The value of an expression, ready to be compared.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// Just this text.
    Literal(String),
    /// Any text that matches.
    Regex {
        regex: Regex,
        /// What every text that matches begins with.
        prefix: String,
    },
}

/// Whoever writes an expression decides how much is compiled: no more than this.
const COMPILED_LIMIT: usize = 1 << 20;

const SPECIAL: &[char] = &['.', '*', '?', '+', '[', ']', '(', ')', '\\', '^', '$', '|'];

impl Pattern {
    pub(crate) fn parse(value: &str) -> Result<Self, regex::Error> {
        let inner = value
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'));
        if let Some(inner) = inner {
            return Ok(Self::Regex {
                regex: compile(inner)?,
                prefix: String::new(),
            });
        }
        if !value.contains(SPECIAL) {
            return Ok(Self::Literal(value.to_owned()));
        }
        Ok(Self::Regex {
            regex: compile(&format!("^{}$", value.replace('*', ".*")))?,
            prefix: fixed_prefix(value).to_owned(),
        })
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == text,
            Self::Regex { regex, .. } => regex.is_match(text),
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_LIMIT)
        .build()
}

fn fixed_prefix(glob: &str) -> &str {
    // An alternative need not begin like the first one.
    if glob.contains('|') {
        return "";
    }
    let end = glob.find(SPECIAL).unwrap_or(glob.len());
    // `?` makes the character before it optional. Values are ASCII.
    if glob[end..].starts_with('?') {
        &glob[..end.saturating_sub(1)]
    } else {
        &glob[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_what_no_match_can_do_without() {
        let table = [
            ("nginx*", "nginx"),
            ("*nginx", ""),
            ("nginx:1.25", "nginx:1"),
            ("colou?r", "colo"),
            ("?x", ""),
            ("ab+c", "ab"),
            ("ab(c)", "ab"),
            ("a|b", ""),
            ("ab(c|d)", ""),
            ("a\\.b", "a"),
        ];
        for (glob, expected) in table {
            assert_eq!(fixed_prefix(glob), expected, "{glob}");
        }
    }

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused() {
        let greedy = format!("/{}/", r"(\pL+)+".repeat(2000));
        assert!(Pattern::parse(&greedy).is_err());
    }
}
