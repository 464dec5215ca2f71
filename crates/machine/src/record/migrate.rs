//! Records of docker-machine before 0.5, brought to version 3 in memory.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// Version 0 had these fields of the certificates at the top.
const FLAT_AUTH: [&str; 7] = [
    "StorePath",
    "CaCertPath",
    "PrivateKeyPath",
    "ClientCertPath",
    "ClientKeyPath",
    "ServerCertPath",
    "ServerKeyPath",
];

/// Version 0 had these fields of the cluster at the top, under these names.
const FLAT_SWARM: [(&str, &str); 3] = [
    ("SwarmMaster", "Master"),
    ("SwarmHost", "Host"),
    ("SwarmDiscovery", "Discovery"),
];

/// Brings a record of this version to the current one.
///
/// # Errors
/// What is wrong with the record, and where.
pub(super) fn to_current(record: &mut Object, version: u64) -> Result<(), String> {
    if version < 1 {
        nest_options(record)?;
    }
    if version < 2 {
        complete_auth_options(record)?;
    }
    if version < 3 {
        give_driver_the_store(record)?;
    }
    Ok(())
}

/// 0 → 1: the flat fields go under `HostOptions`.
fn nest_options(record: &mut Object) -> Result<(), String> {
    let mut auth = Object::new();
    for key in FLAT_AUTH {
        if let Some(value) = record.shift_remove(key) {
            auth.insert(key.to_owned(), value);
        }
    }
    let mut swarm = Object::new();
    for (flat, nested) in FLAT_SWARM {
        if let Some(value) = record.shift_remove(flat) {
            swarm.insert(nested.to_owned(), value);
        }
    }
    let options = section(record, "HostOptions")?;
    merge(options, "AuthOptions", auth)?;
    merge(options, "SwarmOptions", swarm)?;
    section(options, "EngineOptions")?
        .entry("InstallURL")
        .or_insert_with(|| "https://get.docker.com".into());
    Ok(())
}

/// 1 → 2: the CA's key is called so, and the directory of certificates is named.
fn complete_auth_options(record: &mut Object) -> Result<(), String> {
    let top = record.shift_remove("StorePath");
    let auth = section(section(record, "HostOptions")?, "AuthOptions")?;
    if let Some(key) = auth.shift_remove("PrivateKeyPath") {
        auth.insert("CaPrivateKeyPath".to_owned(), key);
    }
    if let (None | Some(Value::Null), Some(top)) = (auth.get("StorePath"), top) {
        auth.insert("StorePath".to_owned(), top);
    }
    if let Some(root) = store_root(auth) {
        auth.insert("CertDir".to_owned(), json!(root.join("certs")));
    }
    Ok(())
}

/// 2 → 3: the driver's settings name the store.
fn give_driver_the_store(record: &mut Object) -> Result<(), String> {
    let root = store_root(section(section(record, "HostOptions")?, "AuthOptions")?);
    if let Some(root) = root {
        section(record, "Driver")?.insert("StorePath".to_owned(), json!(root));
    }
    Ok(())
}

/// The store is two levels above the machine's directory.
fn store_root(auth: &Object) -> Option<PathBuf> {
    let machine_dir = Path::new(auth.get("StorePath")?.as_str()?);
    machine_dir.parent()?.parent().map(Path::to_owned)
}

/// The object under a key, made if it is absent.
fn section<'a>(parent: &'a mut Object, key: &str) -> Result<&'a mut Object, String> {
    let value = parent.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Object::new());
    }
    value
        .as_object_mut()
        .ok_or_else(|| format!("{key}: not an object"))
}

/// Puts fields under a key, over what is there.
fn merge(parent: &mut Object, key: &str, fields: Object) -> Result<(), String> {
    section(parent, key)?.extend(fields);
    Ok(())
}
