//! What of a node has changed since it was last read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::member::ObjectKind;

/// The most containers that are noted one by one.
const MOST: usize = 1000;

/// The longest id that is noted. Engines' ids have 64 characters.
const LONGEST_ID: usize = 128;

/// What is to be read again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Batch {
    /// The ids of containers.
    pub(crate) containers: BTreeSet<Arc<str>>,
    /// More containers than are listed above.
    pub(crate) all_containers: bool,
    /// Kinds of other things.
    pub(crate) objects: BTreeSet<ObjectKind>,
}

/// The changes of a node. What changes while it is being read is to be read once more.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    waiting: Batch,
    reading: Batch,
    since: Option<Instant>,
}

impl Changes {
    /// A container has changed.
    pub(crate) fn container(&mut self, id: &str) {
        self.since.get_or_insert_with(Instant::now);
        if self.waiting.containers.len() < MOST && id.len() <= LONGEST_ID {
            self.waiting.containers.insert(id.into());
        } else {
            self.waiting.all_containers = true;
        }
    }

    /// Something of this kind has changed.
    pub(crate) fn objects(&mut self, kind: ObjectKind) {
        self.since.get_or_insert_with(Instant::now);
        self.waiting.objects.insert(kind);
    }

    /// Takes what has changed, in order to read it.
    pub(crate) fn begin(&mut self) -> Batch {
        self.reading = std::mem::take(&mut self.waiting);
        self.reading.clone()
    }

    /// What was begun is read, or can no longer be.
    pub(crate) fn done(&mut self) {
        self.reading = Batch::default();
        self.since = (!self.waiting.is_empty()).then(Instant::now);
    }

    /// A container is known to be gone.
    pub(crate) fn forget(&mut self, id: &str) {
        self.waiting.containers.remove(id);
        self.reading.containers.remove(id);
    }

    /// Whether a container has changed since what is being read was asked for.
    pub(crate) fn is_waiting(&self, id: &str) -> bool {
        self.waiting.all_containers || self.waiting.containers.contains(id)
    }

    /// Whether something is to be read, and not since so long that its engine seems to hang.
    pub(crate) fn are_awaited(&self, patience: Duration) -> bool {
        let is_settled = self.waiting.is_empty() && self.reading.is_empty();
        !is_settled && self.since.is_some_and(|since| since.elapsed() < patience)
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.containers.is_empty() && !self.all_containers && self.objects.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3600);

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let mut changes = Changes::default();
        assert!(!changes.are_awaited(PATIENCE));
        changes.container("a");
        changes.objects(ObjectKind::Images);
        let first = changes.begin();
        assert_eq!((first.containers.len(), first.objects.len()), (1, 1));
        changes.container("a");
        changes.done();
        assert!(changes.are_awaited(PATIENCE));
        assert_eq!(changes.begin().containers.len(), 1);
        changes.done();
        assert!(!changes.are_awaited(PATIENCE));
    }

    #[test]
    fn too_many_changes_are_noted_as_one() {
        for ids in [
            (0..MOST * 2).map(|number| number.to_string()).collect(),
            vec!["x".repeat(LONGEST_ID + 1)],
        ] {
            let mut changes = Changes::default();
            for id in &ids {
                changes.container(id);
            }
            assert!(changes.is_waiting("other"));
            let batch = changes.begin();
            assert!(batch.all_containers && batch.containers.len() <= MOST);
            assert!(changes.are_awaited(PATIENCE));
            changes.done();
            assert!(!changes.is_waiting("other") && !changes.are_awaited(PATIENCE));
        }
    }

    #[test]
    fn nobody_waits_for_what_has_gone_or_hangs() {
        let mut changes = Changes::default();
        changes.container("a");
        assert!(!changes.are_awaited(Duration::ZERO));
        changes.begin();
        assert!(changes.are_awaited(PATIENCE));
        changes.forget("a");
        assert!(!changes.are_awaited(PATIENCE));
    }
}
