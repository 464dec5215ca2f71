use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// What is remembered of the most recent things: the oldest is forgotten for the newest.
pub struct Recent<V> {
    most: usize,
    kept: Mutex<Kept<V>>,
}

struct Kept<V> {
    values: HashMap<String, V>,
    order: VecDeque<String>,
}

impl<V: Clone> Recent<V> {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            kept: Mutex::new(Kept {
                values: HashMap::new(),
                order: VecDeque::new(),
            }),
        }
    }

    /// Remembers a value.
    pub fn put(&self, key: &str, value: V) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.values.insert(key.to_owned(), value).is_none() {
            kept.order.push_back(key.to_owned());
        }
        while kept.order.len() > self.most {
            if let Some(oldest) = kept.order.pop_front() {
                kept.values.remove(&oldest);
            }
        }
    }

    /// The value, if it is still remembered.
    pub fn get(&self, key: &str) -> Option<V> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values.get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let recent = Recent::new(2);
        for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            recent.put(key, value);
        }
        assert_eq!(recent.get("a"), None);
        assert_eq!(recent.get("b"), Some(2));
        assert_eq!(recent.get("c"), Some(4));
    }
}
