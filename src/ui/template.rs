//! Go templates, as `--format` takes them.

use std::collections::HashMap;

use gtmpl::{Context, FuncError, Value};
use gtmpl_value::Number;
use rmachine_core::printable;

use crate::error::CommandError;

/// What an action starts with when it prints nothing.
const KEYWORDS: &[&str] = &[
    "if", "else", "end", "range", "with", "define", "template", "block", "break", "continue",
];

/// A parsed template.
pub struct Template(gtmpl::Template);

impl Template {
    /// Parses a template. Its functions are Go's own, `json` and `prettyjson`.
    ///
    /// # Errors
    /// With the parser's words.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let mut template = gtmpl::Template::default();
        template.add_func("json", json);
        template.add_func("prettyjson", pretty_json);
        template.add_func(PRINTED, printed);
        template
            .parse(with_go_printing(text))
            .map_err(|error| bad_template(&error))?;
        Ok(Self(template))
    }

    /// Renders the template for one value. A key that a map lacks is `<no value>`.
    ///
    /// # Errors
    /// With the renderer's words.
    pub fn render(&self, value: &serde_json::Value) -> Result<String, CommandError> {
        self.rendered(from_json(value))
    }

    /// Renders the template for an object that has these fields and no others.
    ///
    /// # Errors
    /// As [`Template::render`]; when the template names another field.
    pub fn render_fields(&self, object: &serde_json::Value) -> Result<String, CommandError> {
        self.rendered(match from_json(object) {
            Value::Map(fields) => Value::Object(fields),
            other => other,
        })
    }

    fn rendered(&self, value: Value) -> Result<String, CommandError> {
        self.0
            .render(&Context::from(value))
            .map_err(|error| bad_template(&error))
    }
}

/// Escapes every string and key of a value, for rendering where a terminal or a table shows it.
pub fn escaped(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => Json::String(printable::line(&text).into_owned()),
        Json::Array(items) => items.into_iter().map(escaped).collect(),
        Json::Object(map) => map
            .into_iter()
            .map(|(key, value)| (printable::line(&key).into_owned(), escaped(value)))
            .collect(),
        other => other,
    }
}

fn bad_template(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::usage("the template of --format cannot be used").caused_by(error)
}

const PRINTED: &str = "rmachine_printed";

/// Sends what each action prints through [`printed`]: the engine itself shows lists and maps as
/// Rust does, and Go's way is what people's scripts read.
fn with_go_printing(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = action_end(from) else {
            rest = from;
            break;
        };
        let (action, after) = from.split_at(end);
        if prints(action) {
            let close = action.len() - if action.ends_with(" -}}") { 4 } else { 2 };
            out.push_str(&action[..close]);
            out.push_str(" | ");
            out.push_str(PRINTED);
            out.push_str(&action[close..]);
        } else {
            out.push_str(action);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Where an action ends, its `}}` included; strings in it may hold braces.
fn action_end(action: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in action.char_indices().skip(2) {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quote = Some(c),
            None if action[at..].starts_with("}}") => return Some(at + 2),
            None => {}
        }
    }
    None
}

fn prints(action: &str) -> bool {
    let inner = action.trim_start_matches("{{").trim_end_matches("}}");
    let inner = inner.strip_prefix("- ").unwrap_or(inner);
    let inner = inner.strip_suffix(" -").unwrap_or(inner).trim();
    let first = inner.split_whitespace().next().unwrap_or_default();
    let declares = first.starts_with('$') && inner.contains('=');
    !(inner.is_empty() || first.starts_with("/*") || KEYWORDS.contains(&first) || declares)
}

fn from_json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::Nil,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        Json::Object(map) => Value::Map(
            map.iter()
                .map(|(key, value)| (key.clone(), from_json(value)))
                .collect(),
        ),
        Json::Number(number) => Value::Number(match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Number::from(number),
            (None, Some(number)) => Number::from(number),
            (None, None) => Number::from(number.as_f64().unwrap_or_default()),
        }),
    }
}

fn to_json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::NoValue | Value::Nil | Value::Function(_) => Json::Null,
        Value::Bool(bool) => Json::Bool(*bool),
        Value::String(text) => Json::String(text.clone()),
        Value::Array(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Object(map) | Value::Map(map) => Json::Object(
            in_order(map)
                .map(|(key, value)| (key.clone(), to_json(value)))
                .collect(),
        ),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => number.into(),
            (None, Some(number), _) => number.into(),
            (None, None, number) => serde_json::json!(number),
        },
    }
}

fn in_order(map: &HashMap<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries.into_iter()
}

fn json(args: &[Value]) -> Result<Value, FuncError> {
    Ok(Value::String(to_json(only(args)?).to_string()))
}

fn pretty_json(args: &[Value]) -> Result<Value, FuncError> {
    Ok(Value::String(indented(&to_json(only(args)?))))
}

/// Writes JSON with an indent of 4, as docker-machine does.
pub fn indented(value: &serde_json::Value) -> String {
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, format);
    match serde::Serialize::serialize(value, &mut writer) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(_) => value.to_string(),
    }
}

fn printed(args: &[Value]) -> Result<Value, FuncError> {
    Ok(Value::String(as_go(only(args)?)))
}

fn as_go(value: &Value) -> String {
    match value {
        Value::NoValue | Value::Nil => "<no value>".to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(as_go_inside).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) | Value::Map(map) => {
            let entries: Vec<_> = in_order(map)
                .map(|(key, value)| format!("{key}:{}", as_go_inside(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

fn as_go_inside(value: &Value) -> String {
    match value {
        Value::NoValue | Value::Nil => "<nil>".to_owned(),
        other => as_go(other),
    }
}

fn only(args: &[Value]) -> Result<&Value, FuncError> {
    match args {
        [value] => Ok(value),
        [] => Err(FuncError::AtLeastXArgs("json".to_owned(), 1)),
        _ => Err(FuncError::ExactlyXArgs("json".to_owned(), 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(template: &str) -> String {
        let value = json!({
            "Name": "n1", "Count": 3, "On": true, "None": null,
            "Labels": ["a=b", "c=d"], "Map": {"z": 1, "a": [null]}, "Text": "}}{{",
        });
        Template::parse(template).unwrap().render(&value).unwrap()
    }

    #[test]
    fn prints_values_as_go_does() {
        for (template, text) in [
            ("{{.Name}}", "n1"),
            ("{{ .Name }}-{{.Count}}", "n1-3"),
            ("{{.On}}", "true"),
            ("{{.Missing}}", "<no value>"),
            ("{{.None}}", "<no value>"),
            ("{{.Labels}}", "[a=b c=d]"),
            ("{{.Map}}", "map[a:[<nil>] z:1]"),
            ("{{index .Labels 1}}", "c=d"),
            ("{{json .Labels}}", r#"["a=b","c=d"]"#),
            ("{{.Map | json}}", r#"{"a":[null],"z":1}"#),
            ("{{prettyjson .Labels}}", "[\n    \"a=b\",\n    \"c=d\"\n]"),
            ("{{range .Labels}}<{{.}}>{{end}}", "<a=b><c=d>"),
            ("{{if .On}}on{{else}}off{{end}}", "on"),
            ("{{if eq .Name \"n1\"}}yes{{end}}", "yes"),
            ("{{printf \"%s}}\" .Name}}", "n1}}"),
            ("{{.Text}}", "}}{{"),
            ("{{with $x := .Name}}{{$x}}{{end}}", "n1"),
            ("{{$x := .Name}}{{$x}}", "n1"),
            ("a {{- .Name -}} b", "an1b"),
            ("{{/* nothing */}}x", "x"),
            ("{{len .Labels}}", "2"),
            ("plain", "plain"),
        ] {
            assert_eq!(rendered(template), text, "{template}");
        }
    }

    #[test]
    fn escaped_values_render_without_control_characters() {
        let value = json!({"A": "\x1b[2J", "B": [{"k\n": "\u{202e}x"}], "N": 1});
        let template = Template::parse("{{.A}} {{.B}} {{.N}}").unwrap();
        assert_eq!(
            template.render(&escaped(value)).unwrap(),
            "\\u{1b}[2J [map[k\\n:\\u{202e}x]] 1"
        );
    }

    #[test]
    fn refuses_what_cannot_be_parsed() {
        for bad in ["{{", "{{.Name", "{{nosuch .Name}}", "{{if}}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
