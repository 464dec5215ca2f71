use regex::{Regex, RegexBuilder};

/// The value of an expression, ready to be compared.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// Just this text.
    Literal(String),
    /// Any of these texts.
    Literals(Vec<String>),
    /// The pieces between the `*` of a text that has no other sign of regular expressions: far
    /// quicker than one, and the most usual pattern. Unlike there, `*` spans line breaks.
    Pieces(Vec<String>),
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
        let pieces: Vec<&str> = value.split('*').collect();
        if pieces.iter().any(|piece| piece.contains(SPECIAL)) {
            return Ok(Self::Regex {
                regex: compile(&format!("^{}$", value.replace('*', ".*")))?,
                prefix: fixed_prefix(value).to_owned(),
            });
        }
        Ok(match pieces[..] {
            [literal] => Self::Literal(literal.to_owned()),
            _ => Self::Pieces(pieces.into_iter().map(str::to_owned).collect()),
        })
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == text,
            Self::Literals(literals) => literals.iter().any(|literal| literal == text),
            Self::Pieces(pieces) => has_pieces(text, pieces),
            Self::Regex { regex, .. } => regex.is_match(text),
        }
    }

    /// What every text that matches begins with.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Literals(_) => "",
            Self::Pieces(pieces) => pieces.first().map_or("", String::as_str),
            Self::Regex { prefix, .. } => prefix,
        }
    }
}

/// Whether the text begins with the first piece, ends with the last, and has the others between
/// them in their order.
fn has_pieces(text: &str, pieces: &[String]) -> bool {
    let [first, middle @ .., last] = pieces else {
        return false;
    };
    let between = text
        .strip_prefix(first.as_str())
        .and_then(|rest| rest.strip_suffix(last.as_str()));
    let Some(mut rest) = between else {
        return false;
    };
    for piece in middle {
        match rest.find(piece.as_str()) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
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
    fn pieces_are_found_in_their_order() {
        let table = [
            ("*", "", true),
            ("*", "x", true),
            ("**", "", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a*b*c", "ac", false),
            ("*b*b*", "b", false),
            ("*b*b*", "xbxbx", true),
            ("*ab*", "aab", true),
            ("a*", "a\nb", true),
        ];
        for (glob, text, expected) in table {
            let pattern = Pattern::parse(glob).expect("valid");
            assert!(matches!(pattern, Pattern::Pieces(_)), "{glob}");
            assert_eq!(pattern.is_match(text), expected, "{glob} on {text:?}");
        }
    }

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused() {
        let greedy = format!("/{}/", r"(\pL+)+".repeat(2000));
        assert!(Pattern::parse(&greedy).is_err());
    }
}
