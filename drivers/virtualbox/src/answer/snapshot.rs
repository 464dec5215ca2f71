use super::vm::field;

/// What stands before the place of a snapshot among the others.
const NAME: &str = "SnapshotName";
const ID: &str = "SnapshotUUID";
const CURRENT: &str = "CurrentSnapshotUUID";

/// A snapshot of a VM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VmSnapshot {
    /// What VirtualBox knows it by, whatever it is called.
    pub id: String,
    /// Its name; two can have the same.
    pub name: String,
    /// Whether the VM goes on from it.
    pub current: bool,
}

/// Reads `snapshot list --machinereadable`: a tree, each snapshot before those that came after it.
pub fn snapshots(text: &str) -> Vec<VmSnapshot> {
    let fields: Vec<(String, String)> = text.lines().filter_map(field).collect();
    let of = |key: &str| {
        let found = fields.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    };
    let read = |(key, name): &(String, String)| {
        // `SnapshotName`, `SnapshotName-1`, `SnapshotName-1-2`.
        let place = key.strip_prefix(NAME)?;
        let id = of(&format!("{ID}{place}"))?;
        Some(VmSnapshot {
            id: id.to_owned(),
            name: name.clone(),
            current: of(CURRENT) == Some(id),
        })
    };
    fields.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_as_a_list() {
        let text = "SnapshotName=\"clean\"\nSnapshotUUID=\"1\"\nSnapshotName-1=\"a \\\"b\\\"\"\n\
            SnapshotUUID-1=\"2\"\nSnapshotDescription-1=\"of\nseveral lines\"\n\
            SnapshotName-1-1=\"clean\"\nSnapshotUUID-1-1=\"3\"\nSnapshotName-2=\"c\"\n\
            SnapshotUUID-2=\"4\"\nCurrentSnapshotName=\"clean\"\nCurrentSnapshotUUID=\"3\"\n\
            CurrentSnapshotNode=\"SnapshotName-1-1\"\n";
        let read = snapshots(text);
        let told: Vec<(&str, &str, bool)> = read
            .iter()
            .map(|s| (s.id.as_str(), s.name.as_str(), s.current))
            .collect();
        assert_eq!(
            told,
            [
                ("1", "clean", false),
                ("2", "a \"b\"", false),
                ("3", "clean", true),
                ("4", "c", false)
            ]
        );
        assert!(snapshots("This machine does not have any snapshots\n").is_empty());
    }
}
