use std::fmt;

use rmachine_driver::{DriverConfig, MachineName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::own::OwnJson;
use super::{AuthOptions, EngineOptions, Own, SwarmOptions, migrate, reroot};
use crate::{CertificateOverrides, CertificatePaths, Layout};

const OUR_KEY: &str = "Rmachine";

type Object = Map<String, Value>;

/// A machine's record.
///
/// The fields are views of the JSON that was read. When it is written, only what was changed
/// differs: fields that nobody here knows stay, and so does the difference between `null` and an
/// empty list.
#[derive(Clone, PartialEq)]
pub struct Record {
    name: MachineName,
    driver_name: String,
    /// The driver's own settings.
    pub driver: DriverConfig,
    /// What was asked of the engine.
    pub engine: EngineOptions,
    /// What was asked of the cluster.
    pub swarm: SwarmOptions,
    /// Where the machine's certificates lie.
    pub auth: AuthOptions,
    /// What is ours alone.
    pub own: Own,
    json: Object,
    /// Whether the file still has an older version.
    pub(crate) migrated: bool,
}

/// Why a record cannot be read.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Unreadable {
    /// What is wrong, and where.
    Corrupt(String),
    /// A version that is not known.
    FromTheFuture(u64),
}

impl Record {
    /// The version of `config.json` that is written, and the newest that is read.
    pub(crate) const VERSION: u64 = 3;

    /// The record of a machine that does not exist yet, with nothing done.
    pub fn new(
        layout: &Layout,
        certificates: &CertificatePaths,
        name: MachineName,
        driver_name: impl Into<String>,
        driver: DriverConfig,
    ) -> Self {
        Self {
            driver_name: driver_name.into(),
            driver,
            engine: EngineOptions {
                tls_verify: true,
                ..EngineOptions::default()
            },
            swarm: SwarmOptions::default(),
            auth: AuthOptions::new(layout, &name, certificates),
            own: Own::default(),
            json: Object::new(),
            migrated: false,
            name,
        }
    }

    /// The machine's name.
    pub fn name(&self) -> &MachineName {
        &self.name
    }

    /// The name of the machine's driver.
    pub fn driver_name(&self) -> &str {
        &self.driver_name
    }

    /// Reads what [`Record::to_json`] or docker-machine wrote.
    pub(crate) fn parse(
        layout: &Layout,
        name: &MachineName,
        text: &[u8],
    ) -> Result<Self, Unreadable> {
        let mut json: Object =
            serde_json::from_slice(text).map_err(|error| Unreadable::Corrupt(error.to_string()))?;
        let version = match json.get("ConfigVersion") {
            None | Some(Value::Null) => 0,
            Some(version) => version.as_u64().ok_or_else(|| {
                Unreadable::Corrupt(format!("ConfigVersion: {version} is not a version"))
            })?,
        };
        if version > Self::VERSION {
            return Err(Unreadable::FromTheFuture(version));
        }
        migrate::to_current(&mut json, name, version).map_err(Unreadable::Corrupt)?;
        reroot::reroot(&mut json, layout.root(), name);
        let views = Views::read(layout, name, &json).map_err(Unreadable::Corrupt)?;
        Ok(Self {
            name: name.clone(),
            driver_name: views.driver_name,
            driver: views.driver,
            engine: views.engine,
            swarm: views.swarm,
            auth: views.auth,
            own: views.own,
            json,
            migrated: version < Self::VERSION,
        })
    }

    /// The record as it is written: docker-machine's keys in docker-machine's order, then ours.
    ///
    /// # Errors
    /// When a path is not UTF-8.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        let mut json = self.json.clone();
        json.insert("ConfigVersion".to_owned(), Self::VERSION.into());
        json.insert("Driver".to_owned(), Value::Object(self.driver.clone()));
        json.insert("DriverName".to_owned(), self.driver_name.as_str().into());

        let options = json.entry("HostOptions").or_insert(Value::Null);
        if options.is_null() {
            *options = default_host_options();
        }
        if let Value::Object(options) = options {
            lay_over(options, "EngineOptions", &self.engine)?;
            lay_over(options, "SwarmOptions", &self.swarm)?;
            lay_over(options, "AuthOptions", &self.auth)?;
        }
        json.insert("Name".to_owned(), self.name.as_str().into());

        if json.contains_key(OUR_KEY) || self.own != Own::made_elsewhere() {
            lay_over(&mut json, OUR_KEY, &OwnJson::from(&self.own))?;
        }
        Ok(Value::Object(json))
    }
}

/// Drivers keep access keys and tokens in their settings, so only the rest is shown.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("name", &self.name)
            .field("driver_name", &self.driver_name)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

/// What [`Record`] shows of its JSON.
struct Views {
    driver_name: String,
    driver: DriverConfig,
    engine: EngineOptions,
    swarm: SwarmOptions,
    auth: AuthOptions,
    own: Own,
}

impl Views {
    fn read(layout: &Layout, name: &MachineName, json: &Object) -> Result<Self, String> {
        let driver_name = match json.get("DriverName") {
            Some(Value::String(driver)) if !driver.is_empty() => driver.clone(),
            _ => return Err("DriverName: the driver's name is missing".to_owned()),
        };
        let empty = Object::new();
        let options = object(json, "HostOptions", "HostOptions")?.unwrap_or(&empty);
        let section = |key: &str| object(options, key, &format!("HostOptions.{key}"));
        let mut auth: AuthOptions = view(section("AuthOptions")?, "HostOptions.AuthOptions")?;
        let usual = CertificatePaths::new(layout, &CertificateOverrides::default());
        auth.fill(AuthOptions::new(layout, name, &usual));
        Ok(Self {
            driver_name,
            driver: object(json, "Driver", "Driver")?
                .cloned()
                .unwrap_or_default(),
            engine: view(section("EngineOptions")?, "HostOptions.EngineOptions")?,
            swarm: view(section("SwarmOptions")?, "HostOptions.SwarmOptions")?,
            auth,
            own: match object(json, OUR_KEY, OUR_KEY)? {
                Some(own) => view::<OwnJson>(Some(own), OUR_KEY)?.into(),
                None => Own::made_elsewhere(),
            },
        })
    }
}

/// The object under a key; `null` counts as absent, as it does in Go.
fn object<'a>(parent: &'a Object, key: &str, path: &str) -> Result<Option<&'a Object>, String> {
    match parent.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(format!("{path}: not an object")),
    }
}

/// Reads a section's known fields; those that are `null` or absent have their zero value.
fn view<T: DeserializeOwned + Default>(section: Option<&Object>, path: &str) -> Result<T, String> {
    let Some(section) = section else {
        return Ok(T::default());
    };
    let given: Object = section
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    serde_json::from_value(Value::Object(given.clone())).map_err(|error| {
        // serde_json does not say which field it was in; reading them one by one tells.
        let culprit = given.into_iter().find_map(|(key, value)| {
            let alone = Object::from_iter([(key.clone(), value)]);
            let error = serde_json::from_value::<T>(Value::Object(alone)).err()?;
            Some(format!("{path}.{key}: {error}"))
        });
        culprit.unwrap_or_else(|| format!("{path}: {error}"))
    })
}

/// Writes a section's known fields over those that are there. A `null` that stands for the same
/// zero value stays `null`.
fn lay_over<T: Serialize>(
    parent: &mut Object,
    key: &str,
    section: &T,
) -> Result<(), serde_json::Error> {
    let fields = serde_json::to_value(section)?;
    let Value::Object(fields) = fields else {
        return Ok(());
    };
    if !parent.get(key).is_some_and(Value::is_object) {
        parent.insert(key.to_owned(), Value::Object(fields));
        return Ok(());
    }
    if let Some(Value::Object(present)) = parent.get_mut(key) {
        for (field, value) in fields {
            let unchanged = is_zero(&value) && present.get(&field).is_none_or(|old| old.is_null());
            if !unchanged {
                present.insert(field, value);
            }
        }
    }
    Ok(())
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

fn default_host_options() -> Value {
    json!({ "Driver": "", "Memory": 0, "Disk": 0 })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    const KNOWN: [&str; 7] = [
        "ConfigVersion",
        "Driver",
        "DriverName",
        "HostOptions",
        "Name",
        "Rmachine",
        "StorePath",
    ];

    fn layout() -> Layout {
        Layout::new(PathBuf::from("/store"))
    }

    fn name() -> MachineName {
        "n1".parse().unwrap()
    }

    /// Any JSON, a few levels deep.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn unknown_fields() -> impl Strategy<Value = Object> {
        prop::collection::btree_map("[A-Za-z]{1,8}", any_value(), 0..4)
            .prop_map(|map| map.into_iter().collect())
    }

    /// The record of this machine with more fields in each of its sections.
    fn record_with(
        top: Object,
        driver: Object,
        options: Object,
        engine: Object,
        own: Object,
    ) -> Value {
        let mut json = json!({
            "ConfigVersion": 3,
            "Driver": driver,
            "DriverName": "plugin",
            "HostOptions": {
                "EngineOptions": { "Labels": null, "Env": ["a=b"] },
                "SwarmOptions": null,
                "AuthOptions": { "StorePath": "/store/machines/n1" },
            },
            "Name": "n1",
            "Rmachine": { "Phases": [{ "Phase": "Checked", "At": "2026-01-02T03:04:05.678Z" }] },
        });
        let mut extend = |path: &str, fields: Object| {
            let section = json
                .pointer_mut(path)
                .and_then(Value::as_object_mut)
                .unwrap();
            for (key, value) in fields {
                section.entry(key).or_insert(value);
            }
        };
        extend("", top);
        extend("/HostOptions", options);
        extend("/HostOptions/EngineOptions", engine);
        extend("/Rmachine", own);
        json
    }

    fn read(json: &Value) -> Record {
        let text = serde_json::to_vec(json).unwrap();
        Record::parse(&layout(), &name(), &text).unwrap()
    }

    /// Whether every field of one object is in the other, deeply, in the same order.
    fn assert_survives(before: &Value, after: &Value, path: &str) -> Result<(), TestCaseError> {
        let (Value::Object(before), Value::Object(after)) = (before, after) else {
            prop_assert_eq!(before, after, "{}", path);
            return Ok(());
        };
        let kept: Vec<&String> = after
            .keys()
            .filter(|key| before.contains_key(*key))
            .collect();
        prop_assert_eq!(before.keys().collect::<Vec<_>>(), kept, "{}", path);
        for (key, value) in before {
            if !(path.ends_with("HostOptions") && key == "SwarmOptions") {
                assert_survives(value, &after[key], &format!("{path}/{key}"))?;
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn unknown_fields_survive(
            top in unknown_fields(),
            driver in unknown_fields(),
            options in unknown_fields(),
            engine in unknown_fields(),
            own in unknown_fields(),
        ) {
            let known = |key: &String| KNOWN.contains(&key.as_str());
            prop_assume!(!top.keys().any(known));
            let json = record_with(top, driver, options, engine, own);
            let record = read(&json);
            assert_survives(&json, &record.to_json().unwrap(), "")?;
        }

        #[test]
        fn what_was_set_is_read_again(
            labels in prop::collection::vec(".*", 0..3),
            message in ".*",
            url in ".*",
        ) {
            let certificates = CertificatePaths::new(&layout(), &CertificateOverrides::default());
            let driver = Object::from_iter([("URL".to_owned(), url.into())]);
            let mut record = Record::new(&layout(), &certificates, name(), "none", driver);
            record.engine.labels = labels;
            record.own.journal.failed(crate::Phase::Created, message, time::OffsetDateTime::UNIX_EPOCH);
            let read = read(&record.to_json().unwrap());
            prop_assert_eq!(&read.engine, &record.engine);
            prop_assert_eq!(&read.swarm, &record.swarm);
            prop_assert_eq!(&read.auth, &record.auth);
            prop_assert_eq!(&read.own, &record.own);
            prop_assert_eq!(&read.driver, &record.driver);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*", json in any_value()) {
            let json = json.to_string();
            for text in [text.as_bytes(), json.as_bytes()] {
                Record::parse(&layout(), &name(), text).ok();
            }
        }
    }
}
