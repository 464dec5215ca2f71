//! `GET /images/json`: the images of all nodes, each once.

use std::collections::{HashMap, HashSet};

use http::StatusCode;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::networks::is_called;
use crate::api::query::Filters;
use crate::api::system::text_of;
use crate::api::{ApiError, answer};
use crate::cluster::{NodeObjects, Object};
use crate::listen::Served;

pub(super) async fn list(call: Call) -> Result<Served, ApiError> {
    let mut filters = call.query.filters()?;
    // Clients below API 1.28 ask so for a repository.
    let older = call.query.text("filter");
    if !older.is_empty() {
        let wanted = filters.0.entry("reference".to_owned()).or_default();
        wanted.push(older.to_owned());
    }
    call.api.cluster().settle().await;
    let lists = call.api.cluster().images();
    let listed = listed(&lists, call.query.flag("all"), &filters)?;
    Ok(answer::json(StatusCode::OK, &listed))
}

fn listed(lists: &[NodeObjects], all: bool, filters: &Filters) -> Result<Value, ApiError> {
    let healthy = lists.iter().filter(|list| list.node.is_healthy);
    let nodes = filters.get("node");
    let lists: Vec<&NodeObjects> = healthy
        .filter(|list| nodes.is_empty() || nodes.iter().any(|name| is_called(&list.node, name)))
        .collect();
    let before = created_of(&lists, filters.get("before"))?;
    let since = created_of(&lists, filters.get("since"))?;
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut images: Vec<Value> = Vec::new();
    for list in lists {
        for image in list.objects.iter() {
            let Ok(shown) = serde_json::from_str::<Value>(image.json.get()) else {
                continue;
            };
            match places.get(&*image.id) {
                Some(&place) => {
                    if let Some(image) = images.get_mut(place) {
                        join_names(image, shown);
                    }
                }
                None => {
                    places.insert(&image.id, images.len());
                    images.push(shown);
                }
            }
        }
    }
    let parents: HashSet<String> = images
        .iter()
        .map(|image| text_of(&image["ParentId"]).to_owned())
        .collect();
    images.retain(|image| {
        let created = image["Created"].as_i64().unwrap_or(0);
        let is_step = is_dangling(image) && parents.contains(text_of(&image["Id"]));
        (all || !is_step)
            && before.is_none_or(|before| created < before)
            && since.is_none_or(|since| created > since)
            && is_wanted(image, filters)
    });
    images.sort_by_key(|image| std::cmp::Reverse(image["Created"].as_i64()));
    Ok(Value::Array(images))
}

/// Adds the names that another node has for the image.
fn join_names(image: &mut Value, other: Value) {
    let Value::Object(image) = image else {
        return;
    };
    for key in ["RepoTags", "RepoDigests"] {
        let Some(others) = other[key].as_array() else {
            continue;
        };
        let names = image.entry(key).or_insert(Value::Null);
        if names.is_null() {
            *names = json!([]);
        }
        if let Value::Array(names) = names {
            let known: HashSet<&str> = names.iter().map(text_of).collect();
            let mut new = others.clone();
            new.retain(|name| !known.contains(text_of(name)));
            names.extend(new);
            if names.len() > 1 {
                names.retain(|name| !text_of(name).starts_with("<none>"));
            }
        }
    }
}

fn created_of(lists: &[&NodeObjects], names: &[String]) -> Result<Option<i64>, ApiError> {
    let Some(name) = names.first() else {
        return Ok(None);
    };
    let mut images = lists.iter().flat_map(|list| list.objects.iter());
    let found = images.find(|image| image.is_image(name, false));
    let created = found.and_then(|image: &Object| {
        let image: Value = serde_json::from_str(image.json.get()).ok()?;
        image["Created"].as_i64()
    });
    let missing = || ApiError::not_found(crate::api::Kind::Image, name);
    created.map(Some).ok_or_else(missing)
}

fn is_dangling(image: &Value) -> bool {
    let names = ["RepoTags", "RepoDigests"].map(|key| image[key].as_array());
    let mut names = names.into_iter().flatten().flatten();
    names.all(|name| text_of(name).starts_with("<none>"))
}

fn is_wanted(image: &Value, filters: &Filters) -> bool {
    filters.0.iter().all(|(key, wanted)| match key.as_str() {
        "dangling" => wanted
            .iter()
            .all(|wanted| is_dangling(image) == matches!(wanted.as_str(), "true" | "1")),
        "label" => wanted.iter().all(|wanted| match wanted.split_once('=') {
            Some((label, value)) => image["Labels"][label] == value,
            None => image["Labels"].get(wanted).is_some(),
        }),
        "reference" => wanted.iter().any(|wanted| {
            let names = image["RepoTags"].as_array().into_iter().flatten();
            let mut names = names.map(text_of);
            names.any(|name| is_reference(name, wanted))
        }),
        _ => true,
    })
}

/// Whether a pattern such as `nginx`, `ngin*` or `*/*:1.?` describes a name with its tag. A star
/// stands for no slash.
fn is_reference(name: &str, pattern: &str) -> bool {
    let slash = name.rfind('/').map_or(0, |slash| slash + 1);
    let repository = match name[slash..].find(':') {
        Some(colon) => &name[..slash + colon],
        None => name,
    };
    is_like(name.as_bytes(), pattern.as_bytes())
        || is_like(repository.as_bytes(), pattern.as_bytes())
}

fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(of) {
            Some(b'*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(&sign) if sign == text[at] || (sign == b'?' && text[at] != b'/') => {
                at += 1;
                of += 1;
            }
            _ => match star {
                Some((place, taken)) if text[taken] != b'/' => {
                    star = Some((place, taken + 1));
                    (at, of) = (taken + 1, place + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[of..].iter().all(|sign| *sign == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_patterns() {
        for (name, pattern, like) in [
            ("nginx:1", "nginx", true),
            ("nginx:1", "nginx:1", true),
            ("nginx:1", "nginx:2", false),
            ("nginx:1", "ngin*", true),
            ("a/nginx:1", "nginx", false),
            ("a/nginx:1", "*nginx", false),
            ("a/nginx:1", "*/nginx", true),
            ("a/nginx:1.2", "*/*:1.?", true),
            ("nginx:1", "", false),
            ("nginx:1", "*", true),
        ] {
            assert_eq!(is_reference(name, pattern), like, "{name} {pattern}");
        }
    }

    #[test]
    fn names_of_several_nodes_come_together() {
        let mut image = json!({"Id": "x", "RepoTags": ["<none>:<none>"], "RepoDigests": null});
        join_names(
            &mut image,
            json!({"RepoTags": ["a:1"], "RepoDigests": ["a@sha256:1"]}),
        );
        join_names(
            &mut image,
            json!({"RepoTags": ["a:1", "b:1"], "RepoDigests": null}),
        );
        assert_eq!(
            image,
            json!({"Id": "x", "RepoTags": ["a:1", "b:1"], "RepoDigests": ["a@sha256:1"]})
        );
    }

    #[test]
    fn filters_choose_images() {
        let image = json!({"RepoTags": ["a:1"], "Labels": {"x": "y"}});
        for (filters, wanted) in [
            (r#"{"dangling":["false"]}"#, true),
            (r#"{"dangling":["true"]}"#, false),
            (r#"{"label":["x"]}"#, true),
            (r#"{"label":["x=z"]}"#, false),
            (r#"{"reference":["a"]}"#, true),
            (r#"{"reference":["b"]}"#, false),
        ] {
            let filters = Filters::parse(filters).unwrap();
            assert_eq!(is_wanted(&image, &filters), wanted, "{filters:?}");
        }
    }
}
