//! Reads fields of the engine API's objects. A missing field and `null` are the same.

use serde_json::Value;

/// A field that is not of the type that the engine API gives it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{} is not {expected}", field(.pointer))]
pub struct Malformed {
    pub(crate) pointer: &'static str,
    pub(crate) expected: &'static str,
}

fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

impl Malformed {
    /// The field, as in `HostConfig.Memory`.
    pub fn field(&self) -> String {
        field(self.pointer)
    }
}

pub(crate) fn number(config: &Value, pointer: &'static str) -> Result<i64, Malformed> {
    let expected = "a whole number";
    match config.pointer(pointer) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value.as_i64().ok_or(Malformed { pointer, expected }),
    }
}

pub(crate) fn text<'a>(config: &'a Value, pointer: &'static str) -> Result<&'a str, Malformed> {
    text_of(config.pointer(pointer), pointer)
}

pub(crate) fn text_of<'a>(
    value: Option<&'a Value>,
    pointer: &'static str,
) -> Result<&'a str, Malformed> {
    let expected = "a text";
    match value {
        None | Some(Value::Null) => Ok(""),
        Some(value) => value.as_str().ok_or(Malformed { pointer, expected }),
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
    let expected = "a list";
    match value {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        _ => Err(Malformed { pointer, expected }),
    }
}

pub(crate) fn entries<'a>(
    config: &'a Value,
    pointer: &'static str,
) -> Result<Vec<(&'a str, &'a Value)>, Malformed> {
    let expected = "an object";
    match config.pointer(pointer) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(map)) => Ok(map
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect()),
        Some(_) => Err(Malformed { pointer, expected }),
    }
}
