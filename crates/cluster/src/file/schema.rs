use serde_json::{Map, Value, json};

use super::shape::{CLUSTER, Kind, Shape};

/// What a variable looks like; editors take one wherever a text, a number or a word is asked for.
const VARIABLE: &str = r"\$\{";

/// The JSON schema of a cluster file, for editors.
pub fn schema() -> Value {
    let mut schema = record(&CLUSTER);
    if let Value::Object(fields) = &mut schema {
        let head = [
            (
                "$schema",
                json!("https://json-schema.org/draft/2020-12/schema"),
            ),
            ("title", json!("A cluster of machines for rmachine")),
        ];
        let head = head.map(|(name, value)| (name.to_owned(), value));
        let rest = std::mem::take(fields);
        *fields = head.into_iter().chain(rest).collect();
    }
    schema
}

fn record(shape: &Shape) -> Value {
    let properties: Map<String, Value> = shape
        .fields
        .iter()
        .map(|field| {
            let mut schema = of(field.kind);
            if let Value::Object(schema) = &mut schema {
                schema.insert("description".to_owned(), field.help.into());
            }
            (field.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = shape
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema["additionalProperties"] = false.into();
    schema
}

fn of(kind: Kind) -> Value {
    let or_variable =
        |schema: Value| json!({"anyOf": [schema, {"type": "string", "pattern": VARIABLE}]});
    let scalar = json!(["string", "number", "boolean"]);
    match kind {
        Kind::Text => json!({"type": scalar}),
        Kind::Name => json!({
            "type": "string",
            "pattern": r"^([A-Za-z0-9][A-Za-z0-9.-]{0,62}|.*\$\{.*)$",
        }),
        Kind::Time => json!({"type": "string"}),
        Kind::Count(most) => or_variable(json!({"type": "integer", "minimum": 1, "maximum": most})),
        Kind::Switch => or_variable(json!({"type": "boolean"})),
        Kind::Choice(words) => or_variable(json!({"enum": words})),
        Kind::Flag => json!({
            "anyOf": [{"type": scalar}, {"type": "array", "items": {"type": scalar}}],
        }),
        Kind::List(kind) => json!({"type": "array", "items": of(*kind)}),
        Kind::Map(kind) => json!({"type": ["object", "null"], "additionalProperties": of(*kind)}),
        Kind::Record(shape) => record(shape),
    }
}
