use super::problem::Findings;
use super::tree::{Node, Value};

/// Where variables come from; `None` for one that is not set.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Puts the values of variables into the texts of a document. Names of fields stay as they are,
/// and comments are no part of the tree.
pub(crate) fn expand(node: &mut Node, variables: Variables<'_>, findings: &mut Findings) {
    match &mut node.value {
        Value::Text(text) => match expanded(&text.written, variables) {
            Ok(value) => text.value = value,
            Err(message) => findings.add_alone(&node.place, message),
        },
        Value::List(items) => {
            for item in items {
                expand(item, variables, findings);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand(&mut entry.node, variables, findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Whole(_) | Value::Number => {}
    }
}

/// `${NAME}`, `${NAME:-default}` for one that is unset or empty, and `$$` for a dollar sign.
fn expanded(text: &str, variables: Variables<'_>) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            after
        } else if let Some((inside, after)) =
            after.strip_prefix('{').and_then(|it| it.split_once('}'))
        {
            result.push_str(&value(inside, variables)?);
            after
        } else {
            return Err(
                "a '$' begins a variable, ${NAME} or ${NAME:-default}; write $$ for the sign itself"
                    .to_owned(),
            );
        };
    }
    result.push_str(rest);
    Ok(result)
}

fn value(inside: &str, variables: Variables<'_>) -> Result<String, String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(allowed)
    {
        return Err(format!(
            "${{{inside}}} is no variable: letters, digits and '_' make a name, and ':-' a default"
        ));
    }
    if default.is_some_and(|default| default.contains('$')) {
        return Err(format!("the default of ${{{name}}} cannot hold a variable"));
    }
    match (variables(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "the variable {name} is not set; ${{{name}:-default}} does without it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "ONE" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${ONE}$".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn puts_values_in_once() {
        for (text, expected) in [
            ("plain", "plain"),
            ("${ONE}", "1"),
            ("a${ONE}b${ONE}", "a1b1"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NONE:-}", ""),
            ("${NONE:-a b:-c}", "a b:-c"),
            ("$${ONE}", "${ONE}"),
            ("5$$", "5$"),
            ("${TRICKY}", "${ONE}$"),
        ] {
            assert_eq!(
                expanded(text, &variables).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_variable_is_told() {
        for (text, word) in [
            ("${NONE}", "NONE is not set"),
            ("$ONE", "$$"),
            ("cost: 5$", "$$"),
            ("${ONE", "$$"),
            ("${}", "no variable"),
            ("${1A}", "no variable"),
            ("${A-b}", "no variable"),
            ("${A:-${ONE}}", "cannot hold a variable"),
        ] {
            let error = expanded(text, &variables).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
