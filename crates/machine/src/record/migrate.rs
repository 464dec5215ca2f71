//! Records of docker-machine before 0.5, brought to version 3 in memory.

use rmachine_driver::MachineName;
use serde_json::{Map, Value, json};

use super::reroot::store_root;

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
pub(super) fn to_current(
    record: &mut Object,
    name: &MachineName,
    version: u64,
) -> Result<(), String> {
    if version < 1 {
        nest_options(record)?;
    }
    if version < 2 {
        complete_auth_options(record, name)?;
    }
    if version < 3 {
        give_driver_the_store(record, name)?;
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
fn complete_auth_options(record: &mut Object, name: &MachineName) -> Result<(), String> {
    let top = record.shift_remove("StorePath");
    let auth = section(section(record, "HostOptions")?, "AuthOptions")?;
    if let Some(key) = auth.shift_remove("PrivateKeyPath") {
        auth.insert("CaPrivateKeyPath".to_owned(), key);
    }
    let named = auth.get("StorePath").and_then(Value::as_str);
    if let (None | Some(""), Some(top)) = (named, top) {
        auth.insert("StorePath".to_owned(), top);
    }
    if let Some(root) = store_root(record, name) {
        let auth = section(section(record, "HostOptions")?, "AuthOptions")?;
        auth.insert("CertDir".to_owned(), json!(root.join("certs")));
    }
    Ok(())
}

/// 2 → 3: the driver's settings name the store.
fn give_driver_the_store(record: &mut Object, name: &MachineName) -> Result<(), String> {
    if let Some(root) = store_root(record, name) {
        section(record, "Driver")?.insert("StorePath".to_owned(), json!(root));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated(record: Value, version: u64) -> Value {
        let Value::Object(mut record) = record else {
            panic!("not an object");
        };
        to_current(&mut record, &"n1".parse().unwrap(), version).unwrap();
        Value::Object(record)
    }

    #[test]
    fn version_0_was_flat() {
        let old = json!({
            "DriverName": "virtualbox",
            "Driver": { "Memory": 1024 },
            "CaCertPath": "/s/certs/ca.pem",
            "PrivateKeyPath": "/s/certs/ca-key.pem",
            "ServerCertPath": "/s/machines/n1/server.pem",
            "StorePath": "/s/machines/n1",
            "SwarmMaster": true,
            "SwarmHost": "tcp://0.0.0.0:3376",
            "SwarmDiscovery": "token://t"
        });
        let new = json!({
            "DriverName": "virtualbox",
            "Driver": { "Memory": 1024, "StorePath": "/s" },
            "HostOptions": {
                "AuthOptions": {
                    "StorePath": "/s/machines/n1",
                    "CaCertPath": "/s/certs/ca.pem",
                    "CaPrivateKeyPath": "/s/certs/ca-key.pem",
                    "ServerCertPath": "/s/machines/n1/server.pem",
                    "CertDir": "/s/certs"
                },
                "SwarmOptions": {
                    "Master": true, "Host": "tcp://0.0.0.0:3376", "Discovery": "token://t"
                },
                "EngineOptions": { "InstallURL": "https://get.docker.com" }
            }
        });
        assert_eq!(migrated(old, 0), new);
    }

    #[test]
    fn version_1_had_the_store_at_the_top() {
        let old = json!({
            "ConfigVersion": 1,
            "Driver": { "CPU": 2 },
            "StorePath": "/s/machines/n1",
            "HostOptions": {
                "EngineOptions": { "Labels": ["a=b"] },
                "AuthOptions": { "StorePath": "", "PrivateKeyPath": "/k/ca-key.pem" }
            }
        });
        let new = json!({
            "ConfigVersion": 1,
            "Driver": { "CPU": 2, "StorePath": "/s" },
            "HostOptions": {
                "EngineOptions": { "Labels": ["a=b"] },
                "AuthOptions": {
                    "StorePath": "/s/machines/n1",
                    "CaPrivateKeyPath": "/k/ca-key.pem",
                    "CertDir": "/s/certs"
                }
            }
        });
        assert_eq!(migrated(old, 1), new);
    }

    #[test]
    fn version_2_had_no_store_in_the_driver() {
        for store_path in ["/s/machines/n1", "/s"] {
            let auth = json!({ "AuthOptions": { "StorePath": store_path } });
            let old = json!({ "Driver": { "CPU": 2 }, "HostOptions": auth.clone() });
            let new = json!({ "Driver": { "CPU": 2, "StorePath": "/s" }, "HostOptions": auth });
            assert_eq!(migrated(old, 2), new);
        }
    }

    #[test]
    fn what_is_no_object_is_named() {
        let mut record = Object::from_iter([("HostOptions".to_owned(), json!([]))]);
        let error = to_current(&mut record, &"n1".parse().unwrap(), 0).unwrap_err();
        assert_eq!(error, "HostOptions: not an object");
    }
}
