//! Credentials for registries. They belong to the request that carries them and to the pulls that it
//! causes; nothing is kept.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// The header that carries credentials.
pub const REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");

/// The credentials of a request, marked so that no log shows them.
pub fn credentials(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut header = headers
        .get(REGISTRY_AUTH)
        .filter(|it| is_login(it))?
        .clone();
    header.set_sensitive(true);
    Some(header)
}

/// Whether there is a login in the header: clients send `{}` and the like when they have none.
fn is_login(header: &HeaderValue) -> bool {
    let decoded = BASE64_URL_SAFE.decode(header.as_bytes());
    let login: Option<Value> = decoded
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    login.is_some_and(|login| {
        let fields = ["username", "auth", "identitytoken", "registrytoken"];
        fields
            .iter()
            .any(|field| login[*field].as_str().is_some_and(|text| !text.is_empty()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_those_of_the_request() {
        for (login, is_given) in [
            (json!({"username": "me", "password": "x"}), true),
            (json!({"identitytoken": "y"}), true),
            (json!({"username": ""}), false),
            (json!({}), false),
            (json!([]), false),
        ] {
            let encoded = BASE64_URL_SAFE.encode(login.to_string());
            let mut headers = HeaderMap::new();
            headers.insert(REGISTRY_AUTH, encoded.parse().unwrap());
            let given = credentials(&headers);
            assert_eq!(given.is_some(), is_given, "{login}");
            assert!(given.is_none_or(|given| given.is_sensitive()));
        }
        assert!(credentials(&HeaderMap::new()).is_none());
    }
}
