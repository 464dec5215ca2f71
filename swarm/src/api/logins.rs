//! Logins to registries, remembered for the pulls that they are for. In memory only.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::image_name::{DOCKER_HUB, ImageName};
use super::recent::Recent;

/// The header that carries a login.
pub const REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");

/// How many registries are remembered.
const MOST: usize = 256;

/// The last login that worked, by registry.
pub struct Logins(Recent<HeaderValue>);

impl Default for Logins {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

impl Logins {
    /// Remembers the body of a login that the registry accepted.
    pub fn accepted(&self, login: &Value) {
        let address = login["serveraddress"].as_str().unwrap_or_default();
        let encoded = BASE64_URL_SAFE.encode(login.to_string());
        if let Ok(mut header) = HeaderValue::from_str(&encoded) {
            header.set_sensitive(true);
            self.0.put(registry_of(address), header);
        }
    }

    /// Remembers the login of a pull that worked.
    pub fn used(&self, image: &ImageName, headers: &HeaderMap) {
        if let Some(header) = headers.get(REGISTRY_AUTH).filter(|header| says_who(header)) {
            let mut header = header.clone();
            header.set_sensitive(true);
            self.0.put(image.registry(), header);
        }
    }

    /// The login for an image: the client's own, or the remembered one.
    pub fn of(&self, image: &ImageName, headers: &HeaderMap) -> Option<HeaderValue> {
        let own = headers.get(REGISTRY_AUTH).filter(|header| says_who(header));
        own.cloned().or_else(|| self.0.get(image.registry()))
    }
}

/// Clients send `{}` and the like when they have no login.
fn says_who(header: &HeaderValue) -> bool {
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

/// The registry at an address such as `https://index.docker.io/v1/`.
fn registry_of(address: &str) -> &str {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    match address.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(login: &Value) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let encoded = BASE64_URL_SAFE.encode(login.to_string());
        headers.insert(REGISTRY_AUTH, encoded.parse().unwrap());
        headers
    }

    #[test]
    fn a_login_is_for_its_registry_only() {
        let logins = Logins::default();
        let none = headers(&json!({}));
        for (address, image) in [
            ("https://index.docker.io/v1/", "busybox"),
            ("reg.io:5000", "reg.io:5000/a/b"),
            ("https://quay.io", "quay.io/a:1"),
        ] {
            let image = ImageName::read(image);
            assert!(logins.of(&image, &none).is_none());
            logins.accepted(&json!({"serveraddress": address, "username": "me", "password": "x"}));
            assert!(
                logins
                    .of(&image, &none)
                    .is_some_and(|header| header.is_sensitive())
            );
        }
        assert!(logins.of(&ImageName::read("other.io/a"), &none).is_none());
    }

    #[test]
    fn the_clients_own_login_comes_first() {
        let logins = Logins::default();
        let image = ImageName::read("busybox");
        let own = headers(&json!({"username": "me", "password": "x"}));
        logins.used(&image, &own);
        let other = headers(&json!({"identitytoken": "y"}));
        assert_eq!(logins.of(&image, &other).as_ref(), other.get(REGISTRY_AUTH));
        let used = logins.of(&image, &HeaderMap::new());
        assert_eq!(used.as_ref(), own.get(REGISTRY_AUTH));
    }
}
