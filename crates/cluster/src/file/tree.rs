//! A YAML document as a tree in which everything knows its place.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Where something stands in a document: the way to it, in numbers and in words.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Place {
    steps: Vec<usize>,
    words: String,
    /// The name of a field, not what it holds.
    key: bool,
}

/// A part of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a part of a document is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Whole(i64),
    /// A number that is not whole, or too large to count with.
    Number,
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A text, as it was written and after the variables were put in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Text {
    /// What messages may show: a variable's value may be a secret.
    pub(crate) written: String,
    pub(crate) value: String,
}

/// A field of a map.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) node: Node,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl Text {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        let value = text.into();
        Self {
            written: value.clone(),
            value,
        }
    }
}

impl Node {
    /// Reads a document.
    pub(crate) fn read(text: &str) -> Result<Self, serde_yaml::Error> {
        Build(Place::default()).deserialize(serde_yaml::Deserializer::from_str(text))
    }

    /// The field of this name; one without a value counts as absent.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let entry = self.entries().iter().find(|entry| entry.key == name)?;
        Some(&entry.node).filter(|node| !node.is_null())
    }

    /// The fields of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Whether nothing stands there.
    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    pub(crate) fn text(&self) -> Option<&Text> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn whole(&self) -> Option<i64> {
        match &self.value {
            Value::Whole(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn switch(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(on) => Some(*on),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(crate) fn what(&self) -> String {
        match &self.value {
            Value::Null => "empty".to_owned(),
            Value::Bool(on) => on.to_string(),
            Value::Whole(number) => number.to_string(),
            Value::Number => "a number".to_owned(),
            Value::Text(text) => format!("{:?}", text.written),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

impl Place {
    /// The field in words.
    pub(crate) fn field(&self) -> String {
        self.words.clone()
    }

    fn child(&self, index: usize, words: String, key: bool) -> Self {
        let mut steps = self.steps.clone();
        steps.push(index);
        Self { steps, words, key }
    }

    fn of_field(&self, index: usize, name: &str, key: bool) -> Self {
        let words = match self.words.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.words),
        };
        self.child(index, words, key)
    }

    fn of_item(&self, index: usize) -> Self {
        self.child(index, format!("{}[{index}]", self.words), false)
    }

    /// Line and column, from 1.
    pub(crate) fn locate(&self, text: &str) -> (usize, usize) {
        self.look(text, &Cell::default())
    }

    /// What stands there, letter by letter: a version such as `1.10` is no number.
    pub(crate) fn scalar(&self, text: &str) -> Option<String> {
        let found = Cell::default();
        self.look(text, &found);
        found.take()
    }

    /// The reader tells places in its errors alone, so it goes to the place and fails there.
    fn look(&self, text: &str, found: &Cell<Option<String>>) -> (usize, usize) {
        let walk = Walk {
            steps: &self.steps,
            key: self.key,
            found,
        };
        let ended = walk.deserialize(serde_yaml::Deserializer::from_str(text));
        let place = ended.err().and_then(|error| error.location());
        place.map_or((1, 1), |place| (place.line(), place.column()))
    }
}

/// Builds a node at its place.
struct Build(Place);

impl<'de> DeserializeSeed<'de> for Build {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let place = self.0.clone();
        let value = deserializer.deserialize_any(self)?;
        Ok(Node { place, value })
    }
}

impl<'de> Visitor<'de> for Build {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, on: bool) -> Result<Value, E> {
        Ok(Value::Bool(on))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Number, Value::Whole))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(Text::plain(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Build(self.0.of_item(items.len())))? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let at = |is_key| self.0.of_field(entries.len(), &key, is_key);
            let (key_place, place) = (at(true), at(false));
            let node = map.next_value_seed(Build(place))?;
            entries.push(Entry {
                key,
                key_place,
                node,
            });
        }
        Ok(Value::Map(entries))
    }
}

/// Goes to a place and fails there, with what stands there noted.
struct Walk<'a> {
    steps: &'a [usize],
    key: bool,
    found: &'a Cell<Option<String>>,
}

const HERE: &str = "here";

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.steps.is_empty() {
            true => deserializer.deserialize_str(self),
            false => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the place")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.found.set(Some(text.to_owned()));
        Err(E::custom(HERE))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            return Err(A::Error::custom(HERE));
        };
        for _ in 0..*step {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(Walk {
            steps: rest,
            ..self
        })?;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            return Err(A::Error::custom(HERE));
        };
        for _ in 0..*step {
            map.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        let walk = Walk {
            steps: rest,
            ..self
        };
        match rest.is_empty() && walk.key {
            true => {
                map.next_key_seed(walk)?;
                Ok(())
            }
            false => {
                map.next_key::<IgnoredAny>()?;
                map.next_value_seed(walk)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment
name: demo
groups:
  node:   # three of them
    count: 3
    names: [a, 'b',
      1.10]
";

    fn node(path: &[&str]) -> Node {
        let root = Node::read(TEXT).unwrap();
        path.iter()
            .fold(root, |node, name| node.field(name).unwrap().clone())
    }

    #[test]
    fn everything_knows_where_it_stands() {
        let root = Node::read(TEXT).unwrap();
        assert_eq!(root.place.locate(TEXT), (2, 1));
        assert_eq!(root.entries()[1].key_place.locate(TEXT), (3, 1));
        let count = node(&["groups", "node", "count"]);
        assert_eq!(count.place.locate(TEXT), (5, 12));
        assert_eq!(count.place.field(), "groups.node.count");
        let names = node(&["groups", "node", "names"]);
        assert_eq!(names.items()[1].place.locate(TEXT), (6, 16));
        assert_eq!(names.items()[2].place.locate(TEXT), (7, 7));
        assert_eq!(names.items()[2].place.field(), "groups.node.names[2]");
    }

    #[test]
    fn numbers_can_be_read_as_they_were_written() {
        let names = node(&["groups", "node", "names"]);
        assert_eq!(names.items()[2].value, Value::Number);
        assert_eq!(names.items()[2].place.scalar(TEXT).as_deref(), Some("1.10"));
    }

    #[test]
    fn what_is_no_yaml_is_an_error_with_a_place() {
        for text in [
            "a: [",
            "a: b: c",
            "- x\nb: 1",
            "a: !secret b",
            "? [a]\n: b",
            "\t- a",
        ] {
            let error = Node::read(text).unwrap_err();
            assert!(error.location().is_some(), "{text:?}: {error}");
        }
    }
}
