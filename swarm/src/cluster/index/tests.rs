use proptest::prelude::*;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;
use crate::cluster::container::Origin;

/// A container of the model; the node's name is its address.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    id: String,
    addr: String,
    name: String,
    alias: Option<String>,
    swarm_id: Option<String>,
    created: i64,
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Plain),
    Remove(String, String),
}

impl Plain {
    fn container(&self) -> Container {
        let alias = self.alias.iter().map(|alias| format!("/{alias}"));
        let names: Vec<_> = alias.chain([format!("/{}", self.name)]).collect();
        let labels = self.swarm_id.iter();
        let labels: std::collections::BTreeMap<_, _> =
            labels.map(|id| ("com.docker.swarm.id", id)).collect();
        let item = json!({
            "Id": self.id, "Names": names, "Created": self.created, "Labels": labels,
        });
        let origin = Origin {
            addr: &self.addr.as_str().into(),
            name: &self.addr,
            ip: "10.0.0.1",
            skew: 0,
            now: 0,
        };
        Container::read(&to_raw_value(&item).unwrap(), &origin)
            .unwrap()
            .0
    }

    fn key(&self) -> (String, String) {
        (self.id.clone(), self.addr.clone())
    }

    fn is_named(&self, name: &str) -> bool {
        self.name == name || self.alias.as_deref() == Some(name)
    }
}

/// What the reference says of a name, read literally.
fn expected(model: &[Plain], text: &str) -> Option<(String, String)> {
    if text.is_empty() {
        return None;
    }
    let only = |fits: &dyn Fn(&Plain) -> bool| {
        let mut found = model.iter().filter(|plain| fits(plain));
        let first = found.next()?;
        found.next().is_none().then(|| first.key())
    };
    let same = |id: &str| id == text || (text.len() == 12 && id.starts_with(text));
    let plain_text = text.strip_prefix('/').unwrap_or(text);
    let any_named = model.iter().any(|plain| plain.is_named(plain_text));
    let by_name = |plain: &Plain| match plain_text.split_once('/') {
        Some((node, name)) if !any_named => plain.addr == node && plain.is_named(name),
        _ => plain.is_named(plain_text),
    };
    only(&|plain| same(&plain.id))
        .or_else(|| only(&|plain| plain.swarm_id.as_deref().is_some_and(same)))
        .or_else(|| only(&by_name))
        .or_else(|| {
            only(&|plain| {
                let swarm_id = plain.swarm_id.as_deref();
                plain.id.starts_with(text) || swarm_id.is_some_and(|id| id.starts_with(text))
            })
        })
}

fn plain() -> impl Strategy<Value = Plain> {
    let id = prop_oneof!["[ab]{1,3}", "[ab]{12,14}"];
    (
        id.clone(),
        "[nm]",
        "[abw]{1,2}",
        proptest::option::of("[abw]/[ab]"),
        proptest::option::of(id),
        0..3_i64,
    )
        .prop_map(|(id, addr, name, alias, swarm_id, created)| Plain {
            id,
            addr,
            name,
            alias,
            swarm_id,
            created,
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => plain().prop_map(Step::Insert),
        1 => ("[ab]{1,3}", "[nm]").prop_map(|(id, addr)| Step::Remove(id, addr)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{0,3}",
        "[ab]{11,14}",
        "/?[abw]{1,2}",
        "[nm]/[abw]{1,2}",
        "/[abw]/[ab]",
        "[nm]/[abw]/[ab]",
    ]
}

proptest! {
    #[test]
    fn names_mean_what_the_model_says(
        steps in proptest::collection::vec(step(), 0..12),
        texts in proptest::collection::vec(text(), 1..20),
    ) {
        let mut index = Index::default();
        let mut model: Vec<Plain> = Vec::new();
        for step in steps {
            let key = match &step {
                Step::Insert(plain) => plain.key(),
                Step::Remove(id, addr) => (id.clone(), addr.clone()),
            };
            model.retain(|plain| plain.key() != key);
            match step {
                Step::Insert(plain) => {
                    index.insert(plain.container());
                    model.push(plain);
                }
                Step::Remove(id, addr) => {
                    index.remove(&(id.into(), addr.into()));
                }
            }
        }
        for text in texts {
            let found = index.resolve(&text, |container, node| *container.addr == *node);
            let found = match found {
                Found::One(one) => Some((one.id.to_string(), one.addr.to_string())),
                Found::None(candidates) => {
                    prop_assert_ne!(candidates.len(), 1);
                    None
                }
            };
            prop_assert_eq!(found, expected(&model, &text), "{}", text);
        }
        let newest: Vec<_> = index.newest().map(|container| container.created).collect();
        prop_assert!(newest.is_sorted_by(|one, two| one >= two));
        prop_assert_eq!(newest.len(), model.len());
    }
}
