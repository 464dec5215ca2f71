//! Reads fields of the engine API's objects. A missing field and `null` are the same.

use serde_json::Value;

/// A field that is not of the type that the engine API gives it, in the words of Go's decoder, as
/// engines report it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("json: cannot unmarshal {found} into Go struct field {} of type {expected}", field(.pointer))]
pub struct Malformed {
    pub(crate) pointer: &'static str,
    /// The type of the value.
    pub(crate) found: &'static str,
    /// The type in the engine API.
    pub(crate) expected: &'static str,
}

fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// Returns the name of a value's type in the messages of Go's decoder.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Malformed {
    fn new(pointer: &'static str, value: &Value, expected: &'static str) -> Self {
        Self {
            pointer,
            found: type_name(value),
            expected,
        }
    }

    /// The field, as in `HostConfig.Memory`.
    pub fn field(&self) -> String {
        field(self.pointer)
    }
}

pub(crate) fn number(config: &Value, pointer: &'static str) -> Result<i64, Malformed> {
    match config.pointer(pointer) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_i64()
            .ok_or_else(|| Malformed::new(pointer, value, "int64")),
    }
}

pub(crate) fn text<'a>(config: &'a Value, pointer: &'static str) -> Result<&'a str, Malformed> {
    text_of(config.pointer(pointer), pointer)
}

pub(crate) fn text_of<'a>(
    value: Option<&'a Value>,
    pointer: &'static str,
) -> Result<&'a str, Malformed> {
    match value {
        None | Some(Value::Null) => Ok(""),
        Some(value) => value
            .as_str()
            .ok_or_else(|| Malformed::new(pointer, value, "string")),
    }
}

pub(crate) fn texts<'a>(
    config: &'a Value,
    pointer: &'static str,
) -> Result<Vec<&'a str>, Malformed> {
    items(config.pointer(pointer).unwrap_or(&Value::Null), pointer)?
        .iter()
        .map(|item| text_of(Some(item), pointer))
        .collect()
}

pub(crate) fn items<'a>(value: &'a Value, pointer: &'static str) -> Result<&'a [Value], Malformed> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        other => Err(Malformed::new(pointer, other, "[]string")),
    }
}

pub(crate) fn entries<'a>(
    config: &'a Value,
    pointer: &'static str,
) -> Result<Vec<(&'a str, &'a Value)>, Malformed> {
    match config.pointer(pointer) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(map)) => Ok(map
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect()),
        Some(other) => Err(Malformed::new(pointer, other, "map[string]string")),
    }
}
