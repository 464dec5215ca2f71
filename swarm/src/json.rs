//! Access to JSON objects that clients and engines sent.
//!
//! `Value`'s mutable index panics where the value is not an object, so nothing here or elsewhere
//! uses it on what is not our own; `.ci/json-index.sh` rejects a program that contains it.

use rswarm_scheduler::type_name;
use serde_json::{Map, Value};

/// A value that is not of the type that the Docker API gives it, in the words of Go's decoder, as
/// engines report it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TypeMismatch {
    /// The whole body.
    #[error("json: cannot unmarshal {found} into Go value of type {go_type}")]
    Body {
        found: &'static str,
        go_type: &'static str,
    },
    /// A field of it.
    #[error("json: cannot unmarshal {found} into Go struct field {field} of type {go_type}")]
    Field {
        found: &'static str,
        field: &'static str,
        go_type: &'static str,
    },
}

/// A field of a request's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// The key.
    pub(crate) key: &'static str,
    /// The field's name in error messages: `VolumeCreateBody.Name`.
    pub(crate) name: &'static str,
    /// Its type in error messages: `string`.
    pub(crate) go_type: &'static str,
}

impl Field {
    fn mismatch(&self, value: &Value) -> TypeMismatch {
        TypeMismatch::Field {
            found: type_name(value),
            field: self.name,
            go_type: self.go_type,
        }
    }

    /// The text of this field, empty where it is missing or `null`.
    pub(crate) fn text<'a>(&self, object: &'a Map<String, Value>) -> Result<&'a str, TypeMismatch> {
        match object.get(self.key) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.mismatch(other)),
        }
    }

    /// The object of this field, if there is one.
    pub(crate) fn object<'a>(
        &self,
        object: &'a Map<String, Value>,
    ) -> Result<Option<&'a Map<String, Value>>, TypeMismatch> {
        match object.get(self.key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(other) => Err(self.mismatch(other)),
        }
    }

    /// The object of this field, created where it is missing or `null`.
    pub(crate) fn object_mut<'a>(
        &self,
        object: &'a mut Map<String, Value>,
    ) -> Result<&'a mut Map<String, Value>, TypeMismatch> {
        let value = object.entry(self.key).or_insert(Value::Null);
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(fields) => Ok(fields),
            other => Err(self.mismatch(other)),
        }
    }
}

/// The fields of a request's body; `null` becomes an empty object.
pub(crate) fn body<'a>(
    value: &'a mut Value,
    go_type: &'static str,
) -> Result<&'a mut Map<String, Value>, TypeMismatch> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(TypeMismatch::Body {
            found: type_name(other),
            go_type,
        }),
    }
}

/// Sets a field of an object. What is not an object stays as it is.
pub(crate) fn insert(value: &mut Value, key: &str, field: impl Into<Value>) {
    if let Value::Object(fields) = value {
        fields.insert(key.to_owned(), field.into());
    }
}

/// Changes the object of this key. Anything else of that key is replaced by an object.
pub(crate) fn update_object(
    fields: &mut Map<String, Value>,
    key: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) {
    let mut object = match fields.get_mut(key).map(Value::take) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    change(&mut object);
    fields.insert(key.to_owned(), Value::Object(object));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LABELS: Field = Field {
        key: "Labels",
        name: "VolumeCreateBody.Labels",
        go_type: "map[string]string",
    };

    #[test]
    fn type_mismatches_read_like_those_of_an_engine() {
        for (value, found) in [
            (json!([]), "array"),
            (json!("x"), "string"),
            (json!(5), "number"),
            (json!(true), "bool"),
        ] {
            let error = body(&mut value.clone(), "volume.VolumeCreateBody").unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "json: cannot unmarshal {found} into Go value of type volume.VolumeCreateBody"
                )
            );
            let mut fields = Map::from_iter([("Labels".to_owned(), value)]);
            let message = format!(
                "json: cannot unmarshal {found} into Go struct field VolumeCreateBody.Labels of \
                 type map[string]string"
            );
            assert_eq!(LABELS.object(&fields).unwrap_err().to_string(), message);
            assert_eq!(
                LABELS.object_mut(&mut fields).unwrap_err().to_string(),
                message
            );
        }
    }

    #[test]
    fn missing_and_null_are_empty() {
        for mut value in [json!(null), json!({}), json!({"Labels": null})] {
            let fields = body(&mut value, "x").unwrap();
            assert_eq!(LABELS.text(fields), Ok(""));
            assert_eq!(LABELS.object(fields), Ok(None));
            assert!(LABELS.object_mut(fields).unwrap().is_empty());
        }
    }

    #[test]
    fn insert_ignores_what_is_not_an_object() {
        for (mut value, expected) in [
            (json!({"a": 1}), json!({"a": 2})),
            (json!([1]), json!([1])),
            (json!(null), json!(null)),
        ] {
            insert(&mut value, "a", 2);
            assert_eq!(value, expected);
        }
    }

    #[test]
    fn update_object_replaces_what_is_not_an_object() {
        for (value, expected) in [
            (json!({"a": {"b": 1}}), json!({"a": {"b": 1, "c": 2}})),
            (json!({"a": [1]}), json!({"a": {"c": 2}})),
            (json!({}), json!({"a": {"c": 2}})),
        ] {
            let Value::Object(mut fields) = value else {
                panic!("{value} is no object");
            };
            update_object(&mut fields, "a", |object| {
                object.insert("c".to_owned(), json!(2));
            });
            assert_eq!(Value::Object(fields), expected);
        }
    }
}
