//! Limits for what an engine may report. A node that exceeds one is an error of that node only.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The most items in a list of containers, images, volumes or networks.
pub(crate) const MAX_ITEMS: usize = 65_536;

/// The most labels of all containers of a node.
pub(crate) const MAX_LABELS: usize = 1_000_000;

/// The longest name or id of an engine, in bytes. Both are repeated in each of its containers.
pub(crate) const MAX_NAME: usize = 255;

/// The longest event, in bytes. Its attributes include all labels of a container.
pub(crate) const MAX_EVENT: usize = 256 * 1024;

/// A JSON list of at most [`MAX_ITEMS`] items. A longer one is an error before all of it is read.
pub(crate) struct Items<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor(PhantomData))
    }
}

struct ItemsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ItemsVisitor<T> {
    type Value = Items<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_ITEMS} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == MAX_ITEMS {
                return Err(A::Error::custom(format_args!(
                    "more than {MAX_ITEMS} items"
                )));
            }
            items.push(item);
        }
        Ok(Items(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_beyond_the_limit_are_an_error() {
        for (count, is_read) in [(0, true), (MAX_ITEMS, true), (MAX_ITEMS + 1, false)] {
            let list = format!("[{}]", vec!["0"; count].join(","));
            let read = serde_json::from_str::<Items<u8>>(&list);
            assert_eq!(
                read.map(|items| items.0.len()).ok(),
                is_read.then_some(count)
            );
        }
        assert!(serde_json::from_str::<Items<u8>>("{}").is_err());
    }
}
