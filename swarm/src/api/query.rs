use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;

use super::ApiError;

/// The parameters of a request, in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

/// What `filters=` asks for: each key with its values.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filters(pub BTreeMap<String, Vec<String>>);

impl Query {
    /// Reads what stands behind the `?`.
    pub fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self {
            pairs: pairs.into_owned().collect(),
        }
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let named = self.pairs.iter().find(|(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter, empty where it is not given.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.pairs.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on, as Docker reads switches.
    pub fn flag(&self, name: &str) -> bool {
        let value = self.text(name).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A number, where one is given.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] when it is none.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        match self.text(name) {
            "" => Ok(None),
            text => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(ApiError::Invalid(format!("{name}: {text:?} is no number"))),
            },
        }
    }

    /// The filters, none where none are given.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] when they are not the JSON that Docker's clients send.
    pub fn filters(&self) -> Result<Filters, ApiError> {
        Filters::parse(self.text("filters"))
    }

    /// Gives a parameter one value in place of those it had.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.pairs.push((name.to_owned(), value.into()));
    }

    /// Takes a parameter away.
    pub fn remove(&mut self, name: &str) {
        self.pairs.retain(|(key, _)| key != name);
    }

    /// What stands behind the `?`, encoded; `None` where there is nothing.
    pub fn encoded(&self) -> Option<String> {
        if self.pairs.is_empty() {
            return None;
        }
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(&self.pairs);
        Some(encoded.finish())
    }
}

impl Filters {
    /// Reads `{"key":["value"]}` and, as clients since API 1.22 send it, `{"key":{"value":true}}`.
    ///
    /// # Errors
    /// [`ApiError::Invalid`].
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let invalid = || ApiError::Invalid(format!("invalid filter: {text}"));
        let Ok(Value::Object(keys)) = serde_json::from_str(text) else {
            return Err(invalid());
        };
        let mut filters = BTreeMap::new();
        for (key, values) in keys {
            let values: Option<Vec<String>> = match values {
                Value::Array(values) => values
                    .into_iter()
                    .map(|value| value.as_str().map(str::to_owned))
                    .collect(),
                Value::Object(values) => values
                    .into_iter()
                    .map(|(value, on)| on.as_bool().map(|on| (value, on)))
                    .filter(|value| value.as_ref().is_none_or(|(_, on)| *on))
                    .map(|value| value.map(|(value, _)| value))
                    .collect(),
                Value::Null => Some(Vec::new()),
                _ => None,
            };
            filters.insert(key, values.ok_or_else(invalid)?);
        }
        Ok(Self(filters))
    }

    /// Refuses what is not known by that name.
    ///
    /// # Errors
    /// [`ApiError::Invalid`], in an engine's words.
    pub fn check_keys(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(ApiError::Invalid(format!("invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    /// Refuses a value that a key cannot have.
    ///
    /// # Errors
    /// [`ApiError::Invalid`], in an engine's words.
    pub fn check_values(&self, key: &str, known: &[&str]) -> Result<(), ApiError> {
        let mut values = self.get(key).iter();
        match values.find(|value| !known.contains(&value.as_str())) {
            Some(value) => Err(ApiError::Invalid(format!("invalid filter '{key}={value}'"))),
            None => Ok(()),
        }
    }

    /// The values of a key.
    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_read_as_docker_reads_them() {
        for (query, on) in [
            ("all=1", true),
            ("all=true", true),
            ("all=True", true),
            ("all=x", true),
            ("all=0", false),
            ("all=false", false),
            ("all=none", false),
            ("all=", false),
            ("all", false),
            ("", false),
        ] {
            assert_eq!(Query::parse(Some(query)).flag("all"), on, "{query}");
        }
    }

    #[test]
    fn what_is_read_is_written() {
        let mut query = Query::parse(Some("t=a%2Fb:c&x=1&x=2&e=%26"));
        assert_eq!(query.get("t"), Some("a/b:c"));
        assert_eq!(query.all("x").collect::<Vec<_>>(), ["1", "2"]);
        query.remove("x");
        query.set("e", "=");
        assert_eq!(query.encoded().as_deref(), Some("t=a%2Fb%3Ac&e=%3D"));
        assert_eq!(Query::parse(None).encoded(), None);
    }

    #[test]
    fn numbers_are_numbers() {
        let query = Query::parse(Some("limit=-1&t=x&n="));
        assert_eq!(query.number::<i64>("limit").unwrap(), Some(-1));
        assert_eq!(query.number::<i64>("n").unwrap(), None);
        assert!(query.number::<u64>("t").is_err());
    }

    #[test]
    fn both_forms_of_filters_are_read() {
        let expected = Filters([("label".to_owned(), vec!["a=b".to_owned()])].into());
        for text in [
            r#"{"label":["a=b"]}"#,
            r#"{"label":{"a=b":true}}"#,
            r#"{"label":{"a=b":true,"c":false}}"#,
        ] {
            assert_eq!(Filters::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["[]", "x", r#"{"a":1}"#, r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#] {
            assert!(Filters::parse(text).is_err(), "{text}");
        }
    }
}
