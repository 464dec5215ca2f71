use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use rmachine_engine::Engine;
use serde_json::{Value, json};

use crate::CompanionError;

/// What docker calls its public registry in its own configuration.
const PUBLIC: &str = "https://index.docker.io/v1/";

/// Lets an engine pull an image from its registry, with the login that docker's own configuration
/// on this computer has for it.
///
/// # Errors
/// When the name or the login cannot be read, or the engine does not get the image.
pub async fn pull(engine: &Engine, image: &str) -> Result<(), CompanionError> {
    let Some(reference) = Reference::read(image) else {
        return Err(CompanionError::ImageName(image.to_owned()));
    };
    let auth = login(reference.registry())?;
    engine
        .pull(reference.name, reference.tag, auth.as_deref(), |_| ())
        .await?;
    Ok(())
}

#[derive(Debug, Eq, PartialEq)]
struct Reference<'a> {
    name: &'a str,
    /// A tag, or a digest.
    tag: &'a str,
}

impl<'a> Reference<'a> {
    fn read(image: &'a str) -> Option<Self> {
        let (name, tag) = match image.split_once('@') {
            Some((name, digest)) => (name, digest),
            None => match image.rsplit_once(':') {
                // A colon before the last slash is that of a registry's port.
                Some((name, tag)) if !tag.contains('/') => (name, tag),
                _ => (image, "latest"),
            },
        };
        let is_word = |text: &str| {
            let allowed = |byte: u8| byte.is_ascii_graphic() && !b"?#%&".contains(&byte);
            !text.is_empty() && text.bytes().all(allowed)
        };
        (is_word(name) && is_word(tag)).then_some(Self { name, tag })
    }

    /// The first part of the name, where it is a host's.
    fn registry(&self) -> &'a str {
        match self.name.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
            _ => PUBLIC,
        }
    }
}

/// The login for a registry, as engines take it; `None` where docker has none.
fn login(registry: &str) -> Result<Option<String>, CompanionError> {
    match configuration() {
        Some(path) => login_from(&path, registry),
        None => Ok(None),
    }
}

/// Where docker keeps its configuration.
fn configuration() -> Option<PathBuf> {
    let own = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let usual = || std::env::home_dir().map(|home| home.join(".docker"));
    Some(own.or_else(usual)?.join("config.json"))
}

fn login_from(path: &Path, registry: &str) -> Result<Option<String>, CompanionError> {
    let failed = |reason: String| CompanionError::Credentials {
        registry: registry.to_owned(),
        reason: format!("{}: {reason}", path.display()),
    };
    let file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    match get_credential_from_reader(file, registry) {
        Ok(credential) => Ok(Some(encoded(&auth_config(registry, credential)))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn auth_config(registry: &str, credential: DockerCredential) -> Value {
    match credential {
        DockerCredential::IdentityToken(token) => {
            json!({"identitytoken": token, "serveraddress": registry})
        }
        DockerCredential::UsernamePassword(name, password) => {
            json!({"username": name, "password": password, "serveraddress": registry})
        }
    }
}

fn encoded(auth: &Value) -> String {
    URL_SAFE.encode(auth.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_of_images() {
        for (image, name, tag, registry) in [
            ("swarm", "swarm", "latest", PUBLIC),
            ("ann/rswarm:1", "ann/rswarm", "1", PUBLIC),
            ("r.example.org/a:1", "r.example.org/a", "1", "r.example.org"),
            (
                "localhost:5000/a",
                "localhost:5000/a",
                "latest",
                "localhost:5000",
            ),
            (
                "localhost/a@sha256:12",
                "localhost/a",
                "sha256:12",
                "localhost",
            ),
        ] {
            let reference = Reference::read(image).unwrap();
            assert_eq!(reference, Reference { name, tag }, "{image}");
            assert_eq!(reference.registry(), registry, "{image}");
        }
        for image in ["", "a b", ":1", "a:", "a?x=1"] {
            assert_eq!(Reference::read(image), None, "{image}");
        }
    }

    #[test]
    fn a_registry_without_a_login_is_asked_without_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        assert_eq!(login_from(&path, "r.example.org").unwrap(), None);
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(login_from(&path, "r.example.org").unwrap(), None);
        // ann:secret
        let auths = r#"{"auths": {"r.example.org": {"auth": "YW5uOnNlY3JldA=="}}}"#;
        std::fs::write(&path, auths).unwrap();
        assert!(login_from(&path, "r.example.org").unwrap().is_some());
        assert_eq!(login_from(&path, "s.example.org").unwrap(), None);
        std::fs::write(&path, "{").unwrap();
        let error = login_from(&path, "r.example.org").unwrap_err();
        assert!(error.to_string().contains("config.json: "), "{error}");
    }

    #[test]
    fn a_login_is_what_engines_take() {
        let credential = DockerCredential::UsernamePassword("ann".into(), "s?>".into());
        let sent = encoded(&auth_config("r.example.org", credential));
        let read = URL_SAFE.decode(sent).unwrap();
        let read: Value = serde_json::from_slice(&read).unwrap();
        assert_eq!(
            read,
            json!({"username": "ann", "password": "s?>", "serveraddress": "r.example.org"})
        );
    }
}
