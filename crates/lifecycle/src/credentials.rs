//! Users and passwords in URLs, which no record may hold.

use rmachine_driver::has_url_credentials;
use rmachine_machine::Record;
use serde_json::Value;

use crate::LifecycleError;

/// The engine's environment: a proxy may need a password, and the engine needs it at every
/// provisioning. It is stored, and hidden where records are shown.
const ENGINE_ENVIRONMENT: &str = "HostOptions.EngineOptions.Env";

/// Rejects a record with a URL that has a user or a password in it.
///
/// # Errors
/// [`LifecycleError::CredentialsInUrl`] naming the field.
pub(crate) fn reject_url_credentials(record: &Record) -> Result<(), LifecycleError> {
    // A record that has no JSON form cannot be stored either, and the store says why.
    let json = record.to_json().unwrap_or_default();
    match field_with_credentials(&json, "") {
        None => Ok(()),
        Some(field) => Err(LifecycleError::CredentialsInUrl { field }),
    }
}

fn field_with_credentials(value: &Value, path: &str) -> Option<String> {
    if path == ENGINE_ENVIRONMENT {
        return None;
    }
    match value {
        Value::String(text) => has_url_credentials(text).then(|| path.to_owned()),
        Value::Array(list) => list
            .iter()
            .find_map(|value| field_with_credentials(value, path)),
        Value::Object(object) => object.iter().find_map(|(key, value)| {
            let path = match path {
                "" => key.clone(),
                _ => format!("{path}.{key}"),
            };
            field_with_credentials(value, &path)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn field_with_credentials_is_named() {
        let with = |json: Value| field_with_credentials(&json, "");
        let url = "https://u:p@host/";
        assert_eq!(
            with(json!({"Driver": {"Boot2DockerURL": url}})).as_deref(),
            Some("Driver.Boot2DockerURL")
        );
        let options =
            json!({"EngineOptions": {"ArbitraryFlags": ["a", format!("cluster-store={url}")]}});
        assert_eq!(
            with(json!({"HostOptions": options})).as_deref(),
            Some("HostOptions.EngineOptions.ArbitraryFlags")
        );
        let environment = json!({"EngineOptions": {"Env": [format!("HTTP_PROXY={url}")]}});
        assert_eq!(with(json!({"HostOptions": environment})), None);
    }
}
