use std::fmt;
use std::str::FromStr;

use crate::index::Texts;
use crate::pattern::Pattern;

/// One condition on a node: `key==value`, `key!=value`, soft with `~` after the operator.
///
/// A value between slashes is a regular expression; any other is compared as a whole, where `*`
/// stands for anything and the other signs of regular expressions keep their meaning.
///
/// One deviation from the original: a value that is no regular expression, such as `a(b`, is
/// refused. There it matched nothing (or everything, after `!=`) without a word.
#[derive(Clone, Debug)]
pub struct Expression {
    key: String,
    operator: Operator,
    value: String,
    soft: bool,
    pattern: Pattern,
}

/// How the key and the value of an [`Expression`] are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// Why a text is no [`Expression`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExpressionError {
    /// There is neither `==` nor `!=`.
    #[error("One of operator ==, != is expected")]
    NoOperator,
    /// The key is shorter than two characters, or has others than letters, digits, `-`, `_`, `.`.
    #[error("Key '{0}' is invalid")]
    Key(String),
    /// The value is empty, has a character that is not allowed, or is no regular expression.
    #[error("Value '{0}' is invalid")]
    Value(String),
}

impl Expression {
    /// Reads one expression.
    ///
    /// `==` is looked for first: `a!=b==c` has the key `a!=b`.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let (key, operator, value) = split(text).ok_or(ExpressionError::NoOperator)?;
        if !is_key(key) {
            return Err(ExpressionError::Key(key.to_owned()));
        }
        let invalid = || ExpressionError::Value(value.to_owned());
        if !is_value(value) {
            return Err(invalid());
        }
        let wanted = value.trim_start_matches('~');
        Ok(Self {
            key: key.to_owned(),
            operator,
            value: wanted.to_owned(),
            soft: value.starts_with('~'),
            pattern: Pattern::parse(wanted).map_err(|_| invalid())?,
        })
    }

    /// A hard `key==value` whose value is taken literally, whatever is in it.
    ///
    /// For what the grammar cannot say, such as an image's digest.
    pub fn literal(key: impl Into<String>, value: impl Into<String>) -> Self {
        let value = value.into();
        Self {
            key: key.into(),
            operator: Operator::Equal,
            soft: false,
            pattern: Pattern::Literal(value.clone()),
            value,
        }
    }

    /// A soft `key==value` that any of these values satisfies, each taken literally.
    ///
    /// For names that others chose: as a pattern, a node's `.*` would be every node.
    pub fn literal_soft(key: impl Into<String>, values: &[String]) -> Self {
        Self {
            key: key.into(),
            operator: Operator::Equal,
            value: values.join(", "),
            soft: true,
            pattern: Pattern::Literals(values.to_vec()),
        }
    }

    /// What is before the operator, as it was typed.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// `==` or `!=`.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What is after the operator, without `~`.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether it is a wish only, given up where it cannot be had.
    pub fn is_soft(&self) -> bool {
        self.soft
    }

    /// The expression without its `~`, as error texts show it.
    pub(crate) fn bare(&self) -> String {
        format!("{}{}{}", self.key, self.operator, self.value)
    }

    /// What follows from whether the value was found: just the opposite after `!=`.
    pub(crate) fn holds(&self, found: bool) -> bool {
        match self.operator {
            Operator::Equal => found,
            Operator::NotEqual => !found,
        }
    }

    /// Whether the value describes the text. The operator is not looked at.
    pub(crate) fn describes(&self, text: &str) -> bool {
        self.pattern.is_match(text)
    }

    /// Whether the value describes one of the texts. The operator is not looked at.
    ///
    /// A literal is looked up; a pattern sees the texts that begin like it.
    pub(crate) fn found_in(&self, texts: &impl Texts) -> bool {
        match &self.pattern {
            Pattern::Literal(text) => texts.has(text),
            Pattern::Literals(all) => all.iter().any(|text| texts.has(text)),
            pattern => texts
                .with_prefix(pattern.prefix())
                .any(|text| pattern.is_match(text)),
        }
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let soft = if self.soft { "~" } else { "" };
        write!(f, "{}{}{soft}{}", self.key, self.operator, self.value)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
        })
    }
}

fn split(text: &str) -> Option<(&str, Operator, &str)> {
    [Operator::Equal, Operator::NotEqual]
        .into_iter()
        .find_map(|operator| {
            let (key, value) = text.split_once(&operator.to_string())?;
            Some((key, operator, value))
        })
}

/// `(?i)[a-z_][a-z0-9\-_.]+`
fn is_key(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && text.len() >= 2
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// `(?i)[=!/]?~?[a-z0-9:\-_\s.*/()?+\[\]\\^$|]+`
fn is_value(text: &str) -> bool {
    let body = text.strip_prefix(['=', '!', '/']).unwrap_or(text);
    let body = body.strip_prefix('~').unwrap_or(body);
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b":-_ \t\n\x0c\r.*/()?+[]\\^$|".contains(&byte);
    // A slash alone is a body of its own, no prefix of one.
    text == "/" || (!body.is_empty() && body.bytes().all(is_allowed))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_grammar_is_that_of_the_original() {
        use ExpressionError as Error;
        let key = |text: &str| Err(Error::Key(text.to_owned()));
        let value = |text: &str| Err(Error::Value(text.to_owned()));
        let table = [
            ("node==node-1", Ok(("node", "==", "node-1", false))),
            ("node!=node-1", Ok(("node", "!=", "node-1", false))),
            ("node==~node-1", Ok(("node", "==", "node-1", true))),
            ("node!=~node-1", Ok(("node", "!=", "node-1", true))),
            ("Region==us-*", Ok(("Region", "==", "us-*", false))),
            ("_a==b", Ok(("_a", "==", "b", false))),
            (
                "com.example.x-1_2==b",
                Ok(("com.example.x-1_2", "==", "b", false)),
            ),
            (
                "node==/node-[12]/",
                Ok(("node", "==", "/node-[12]/", false)),
            ),
            ("node==~/node/", Ok(("node", "==", "/node/", true))),
            (
                "image==a.b:5000/c:1",
                Ok(("image", "==", "a.b:5000/c:1", false)),
            ),
            (
                "os==Ubuntu 22.04 LTS",
                Ok(("os", "==", "Ubuntu 22.04 LTS", false)),
            ),
            ("ab==/", Ok(("ab", "==", "/", false))),
            ("ab==//", Ok(("ab", "==", "//", false))),
            ("ab===x", Ok(("ab", "==", "=x", false))),
            ("ab==!x", Ok(("ab", "==", "!x", false))),
            ("ab==/~x/", Ok(("ab", "==", "/~x/", false))),
            ("ab===~x", Ok(("ab", "==", "=~x", false))),
            ("node", Err(Error::NoOperator)),
            ("node=x", Err(Error::NoOperator)),
            ("node>=x", Err(Error::NoOperator)),
            ("", Err(Error::NoOperator)),
            ("a==b", key("a")),
            ("==b", key("")),
            ("1a==b", key("1a")),
            ("a b==c", key("a b")),
            ("a!=b==c", key("a!=b")),
            ("key=!=x", key("key=")),
            ("ké==c", key("ké")),
            ("ab==", value("")),
            ("ab==~", value("~")),
            ("ab==~~x", value("~~x")),
            ("ab==/~", value("/~")),
            ("ab==x@y", value("x@y")),
            ("ab==x,y", value("x,y")),
            ("ab==x%", value("x%")),
            ("ab==x=y", value("x=y")),
            ("ab==é", value("é")),
            ("ab==x{2}", value("x{2}")),
            ("ab==x(y", value("x(y")),
            ("ab==/[/", value("/[/")),
        ];
        for (text, expected) in table {
            let parsed = Expression::parse(text);
            let seen = parsed.as_ref().map(|expression| {
                (
                    expression.key(),
                    expression.operator().to_string(),
                    expression.value(),
                    expression.is_soft(),
                )
            });
            let expected = expected
                .map(|(key, operator, value, soft)| (key, operator.to_owned(), value, soft));
            assert_eq!(seen.map_err(Clone::clone), expected, "{text}");
            if let Ok(expression) = &parsed {
                assert_eq!(expression.to_string(), text);
            }
        }
    }

    #[test]
    fn errors_are_in_the_words_of_the_original() {
        let table = [
            ("x==y", "Key 'x' is invalid"),
            ("node==a@b", "Value 'a@b' is invalid"),
            ("node", "One of operator ==, != is expected"),
        ];
        for (text, expected) in table {
            let error = Expression::parse(text).expect_err(text);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn values_describe_texts() {
        let table = [
            ("ab==x", "x", true),
            ("ab==x", "xx", false),
            ("ab==x", "X", false),
            ("ab==x*", "xyz", true),
            ("ab==x*", "axyz", false),
            ("ab==*x*", "axb", true),
            ("ab==*", "", true),
            ("ab==a.c", "abc", true),
            ("ab==a.c", "a.c", true),
            ("ab==a|b", "ax", true), // `^a|b$`, as in the original
            ("ab==colou?r", "color", true),
            ("ab==/or/", "color", true),
            ("ab==/^or/", "color", false),
            ("ab==/(?i)OR/", "color", true),
            ("ab==//", "anything", true),
            ("ab==/", "/", true),
            ("ab==/", "x", false),
            ("ab==~x", "x", true),
        ];
        for (expression, text, expected) in table {
            let parsed = Expression::parse(expression).expect(expression);
            assert_eq!(parsed.describes(text), expected, "{expression} on {text:?}");
            let map = BTreeMap::from([(Arc::from("0"), ()), (Arc::from(text), ())]);
            assert!(!expected || parsed.found_in(&map), "{expression} in a map");
        }
    }

    #[test]
    fn not_equal_turns_the_answer_round() {
        let equal = Expression::parse("ab==x").expect("valid");
        let not_equal = Expression::parse("ab!=x").expect("valid");
        assert!(equal.holds(true) && !equal.holds(false));
        assert!(!not_equal.holds(true) && not_equal.holds(false));
    }

    #[test]
    fn a_literal_says_what_the_grammar_cannot() {
        let digest = Expression::literal("image", "a@sha256:0.1");
        assert!(digest.describes("a@sha256:0.1"));
        assert!(!digest.describes("a@sha256:001"));
    }

    #[test]
    fn literal_values_are_no_patterns() {
        let names = [".*", "a|b", "node(1", "*", "/x/", "a@b"].map(str::to_owned);
        let wish = Expression::literal_soft("node", &names);
        assert!(wish.is_soft());
        for name in &names {
            assert!(wish.describes(name), "{name}");
            let map = BTreeMap::from([(Arc::from(name.as_str()), ())]);
            assert!(wish.found_in(&map), "{name} in a map");
        }
        for other in ["a", "b", "node1", "x", ""] {
            assert!(!wish.describes(other), "{other}");
            let map = BTreeMap::from([(Arc::from(other), ())]);
            assert!(!wish.found_in(&map), "{other} in a map");
        }
    }
}
