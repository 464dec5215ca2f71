use std::path::{Path, PathBuf};

use rmachine_driver::MachineName;
use serde_json::{Map, Value};

/// Makes a record's paths those of the store as it lies now.
///
/// docker-machine needs absolute paths, so a store that was moved, copied or mounted elsewhere has
/// records with paths of the old place. What lay inside the old store is taken to lie at the same
/// place inside this one; paths outside it stay.
pub(super) fn reroot(json: &mut Map<String, Value>, root: &Path, name: &MachineName) {
    let Some(old) = old_root(json, name) else {
        return;
    };
    if old == root {
        return;
    }
    for pointer in ["/Driver", "/HostOptions/AuthOptions"] {
        let (first, rest) = pointer[1..].split_once('/').unwrap_or((&pointer[1..], ""));
        let section = match json.get_mut(first) {
            Some(section) if rest.is_empty() => Some(section),
            Some(section) => section.get_mut(rest),
            None => None,
        };
        if let Some(section) = section {
            reroot_value(section, &old, root);
        }
    }
}

/// Where the store lay when the record was written: its machine's directory is known by name.
fn old_root(json: &Map<String, Value>, name: &MachineName) -> Option<PathBuf> {
    let text = |section: &Value| section.get("StorePath")?.as_str().map(PathBuf::from);
    let machine_dir = json
        .get("HostOptions")
        .and_then(|options| text(options.get("AuthOptions")?));
    let from_machine_dir = machine_dir.and_then(|dir| {
        let machines = dir.parent()?;
        let named = dir.file_name()? == name.as_str() && machines.file_name()? == "machines";
        named.then(|| machines.parent().map(Path::to_owned))?
    });
    from_machine_dir
        .or_else(|| text(json.get("Driver")?))
        .filter(|root| root.is_absolute() && root.parent().is_some())
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
