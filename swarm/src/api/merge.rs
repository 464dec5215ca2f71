//! One answer made of those of several engines. Pure.

use serde_json::Value;

/// Puts one engine's answer to those of others: lists are joined, numbers added up, objects merged
/// key by key. What only one has stays.
pub fn merge(into: &mut Value, other: Value) {
    match (into, other) {
        (Value::Array(into), Value::Array(other)) => into.extend(other),
        (Value::Object(into), Value::Object(other)) => {
            for (key, value) in other {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Number(into), Value::Number(other)) => {
            if let (Some(a), Some(b)) = (into.as_i64(), other.as_i64()) {
                *into = a.saturating_add(b).into();
            } else if let (Some(a), Some(b)) = (into.as_u64(), other.as_u64()) {
                *into = a.saturating_add(b).into();
            }
        }
        (into @ Value::Null, other) => *into = other,
        _ => {}
    }
}

/// Shows in an engine's disk usage what belongs to its node, as the lists of the cluster do.
pub fn name_nodes(usage: &mut Value, node: &str) {
    let prefix = |name: &mut Value| {
        if let Value::String(name) = name {
            *name = format!("/{node}/{}", name.trim_start_matches('/'));
        }
    };
    for containers in [
        "/Containers",
        "/ContainerUsage/Items",
        "/ContainersDiskUsage/Items",
    ] {
        for container in list(usage, containers) {
            let names = container.get_mut("Names").and_then(Value::as_array_mut);
            names.into_iter().flatten().for_each(prefix);
        }
    }
    for volumes in ["/Volumes", "/VolumeUsage/Items", "/VolumesDiskUsage/Items"] {
        for volume in list(usage, volumes) {
            if volume["Driver"] == "local"
                && let Some(Value::String(name)) = volume.get_mut("Name")
            {
                *name = format!("{node}/{name}");
            }
        }
    }
}

fn list<'a>(value: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    let list = value.pointer_mut(pointer).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_added_up() {
        for (a, b, sum) in [
            (
                json!({"ContainersDeleted": ["a"], "SpaceReclaimed": 1}),
                json!({"ContainersDeleted": ["b"], "SpaceReclaimed": 2}),
                json!({"ContainersDeleted": ["a", "b"], "SpaceReclaimed": 3}),
            ),
            (
                json!({"ImagesDeleted": null, "SpaceReclaimed": 0}),
                json!({"ImagesDeleted": [{"Untagged": "x"}], "SpaceReclaimed": 5}),
                json!({"ImagesDeleted": [{"Untagged": "x"}], "SpaceReclaimed": 5}),
            ),
            (
                json!({"ImageUsage": {"TotalCount": 1, "Items": [1]}}),
                json!({"ImageUsage": {"TotalCount": 2, "Items": [2]}, "LayersSize": 3}),
                json!({"ImageUsage": {"TotalCount": 3, "Items": [1, 2]}, "LayersSize": 3}),
            ),
            (json!(null), json!({"a": 1}), json!({"a": 1})),
            (json!({"a": [1]}), json!({"a": null}), json!({"a": [1]})),
            (json!({"a": "x"}), json!({"a": "y"}), json!({"a": "x"})),
        ] {
            let mut merged = a;
            merge(&mut merged, b);
            assert_eq!(merged, sum);
        }
    }

    #[test]
    fn disk_usage_tells_the_node() {
        let mut usage = json!({
            "Containers": [{"Names": ["/web"]}, {"Names": null}],
            "Volumes": [{"Name": "v", "Driver": "local"}, {"Name": "n", "Driver": "nfs"}],
            "Images": null,
        });
        name_nodes(&mut usage, "node-1");
        assert_eq!(
            usage,
            json!({
                "Containers": [{"Names": ["/node-1/web"]}, {"Names": null}],
                "Volumes": [{"Name": "node-1/v", "Driver": "local"}, {"Name": "n", "Driver": "nfs"}],
                "Images": null,
            })
        );
    }
}
