use std::path::{Path, PathBuf};

use rmachine_driver::MachineName;
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// Makes a record's paths those of the store as it lies now.
///
/// docker-machine needs absolute paths, so a store that was moved, copied or mounted elsewhere has
/// records with paths of the old place. What lay inside the old store is taken to lie at the same
/// place inside this one; paths outside it stay.
pub(super) fn reroot(json: &mut Object, root: &Path, name: &MachineName) {
    let Some(old) = store_root(json, name).filter(|old| old != root) else {
        return;
    };
    if let Some(driver) = json.get_mut("Driver") {
        reroot_value(driver, &old, root);
    }
    let options = json.get_mut("HostOptions");
    if let Some(auth) = options.and_then(|options| options.get_mut("AuthOptions")) {
        reroot_value(auth, &old, root);
    }
}

/// Where the store lay when the record was written.
///
/// The certificates' `StorePath` is the machine's own directory. In records that docker-machine
/// migrated it is the store, and where a person renamed the directory it has another name; the
/// driver's `StorePath`, which is the store, then tells.
pub(super) fn store_root(json: &Object, name: &MachineName) -> Option<PathBuf> {
    let path = |section: Option<&Value>| {
        let text = section?.get("StorePath")?.as_str()?;
        Some(PathBuf::from(text)).filter(|path| path.is_absolute())
    };
    let options = json.get("HostOptions");
    let in_auth = path(options.and_then(|options| options.get("AuthOptions")));
    let in_driver = path(json.get("Driver"));
    let is_own = |dir: &PathBuf| dir.file_name().is_some_and(|last| last == name.as_str());
    let root = match (in_auth, in_driver) {
        (Some(dir), None) => above_machine_dir(&dir).or(Some(dir)),
        (Some(dir), Some(root)) if is_own(&dir) => above_machine_dir(&dir).or(Some(root)),
        (_, root) => root,
    };
    // A store at the root of the file system would claim every path.
    root.filter(|root| root.parent().is_some())
}

fn above_machine_dir(dir: &Path) -> Option<PathBuf> {
    let machines = dir.parent()?;
    (machines.file_name()? == "machines").then(|| machines.parent().map(Path::to_owned))?
}

fn reroot_value(value: &mut Value, old: &Path, new: &Path) {
    match value {
        Value::String(text) => {
            let Ok(inside) = Path::new(text.as_str()).strip_prefix(old) else {
                return;
            };
            let moved = if inside.as_os_str().is_empty() {
                new.to_owned()
            } else {
                new.join(inside)
            };
            if let Some(moved) = moved.to_str() {
                *text = moved.to_owned();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| reroot_value(v, old, new)),
        Value::Object(object) => object.values_mut().for_each(|v| reroot_value(v, old, new)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn moved(json: Value) -> Value {
        let Value::Object(mut record) = json else {
            panic!("not an object");
        };
        reroot(&mut record, Path::new("/new"), &"n1".parse().unwrap());
        Value::Object(record)
    }

    #[test]
    fn what_lay_in_the_old_store_lies_in_the_new_one() {
        let record = json!({
            "Driver": {
                "StorePath": "/old/store",
                "SSHKeyPath": "/old/store/machines/n1/id_rsa",
                "Disks": ["/old/store/machines/n1/disk.vmdk", "/elsewhere/disk.vmdk"],
                "SSHKey": "/old/store-of-keys/id_rsa",
                "CPU": 1
            },
            "HostOptions": { "AuthOptions": {
                "CaCertPath": "/old/store/certs/ca.pem",
                "ClientKeyPath": "/etc/pki/key.pem",
                "ServerCertRemotePath": "/etc/docker/server.pem",
                "StorePath": "/old/store/machines/n1"
            }},
            "Other": "/old/store/certs"
        });
        let expected = json!({
            "Driver": {
                "StorePath": "/new",
                "SSHKeyPath": "/new/machines/n1/id_rsa",
                "Disks": ["/new/machines/n1/disk.vmdk", "/elsewhere/disk.vmdk"],
                "SSHKey": "/old/store-of-keys/id_rsa",
                "CPU": 1
            },
            "HostOptions": { "AuthOptions": {
                "CaCertPath": "/new/certs/ca.pem",
                "ClientKeyPath": "/etc/pki/key.pem",
                "ServerCertRemotePath": "/etc/docker/server.pem",
                "StorePath": "/new/machines/n1"
            }},
            "Other": "/old/store/certs"
        });
        assert_eq!(moved(record), expected);
    }

    #[test]
    fn the_old_store_is_found_in_whatever_names_it() {
        let auth = |path: &str| json!({ "HostOptions": { "AuthOptions": { "StorePath": path } } });
        let driver = |path: &str| json!({ "Driver": { "StorePath": path } });
        let both = |dir: &str, root: &str| {
            json!({
                "Driver": { "StorePath": root },
                "HostOptions": { "AuthOptions": { "StorePath": dir } }
            })
        };
        for (record, expected) in [
            (auth("/s/machines/n1"), Some("/s")),
            (auth("/s/machines/n1/"), Some("/s")),
            (auth("/s"), Some("/s")),
            (driver("/s"), Some("/s")),
            (both("/s/machines/n1", "/s"), Some("/s")),
            (both("/s/machines/n1", "elsewhere"), Some("/s")),
            (both("/s", "/s"), Some("/s")),
            (
                both("/machines/store", "/machines/store"),
                Some("/machines/store"),
            ),
            (both("/s/machines/renamed", "/s"), Some("/s")),
            (auth("/machines/n1"), None),
            (driver("/"), None),
            (driver("relative"), None),
            (driver(""), None),
            (json!({}), None),
            (json!({ "Driver": 1, "HostOptions": [] }), None),
        ] {
            let Value::Object(object) = &record else {
                panic!("not an object");
            };
            let found = store_root(object, &"n1".parse().unwrap());
            assert_eq!(found.as_deref(), expected.map(Path::new), "{record}");
        }
    }
}
