//! `file://`: a file with a node, or a range of nodes, a line. It is read again when it changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::{Discovery, DiscoveryError, Entry, Update, pattern, poll};

/// How often the file is looked at. The original waited for a whole heartbeat.
const PERIOD: Duration = Duration::from_secs(1);

pub(crate) struct File {
    pub(crate) path: PathBuf,
}

#[async_trait]
impl Discovery for File {
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        read(&self.path).await
    }

    fn watch(&self) -> BoxStream<'static, Update> {
        let path = self.path.clone();
        poll::changes(PERIOD, move || {
            let path = path.clone();
            async move { read(&path).await }
        })
    }

    fn register(
        &self,
        _entry: Entry,
        heartbeat: Duration,
        _ttl: Duration,
    ) -> BoxStream<'static, Result<(), DiscoveryError>> {
        poll::rounds(heartbeat, || async { Err(DiscoveryError::Unsupported) })
    }

    async fn deregister(&self, _entry: &Entry) -> Result<(), DiscoveryError> {
        Err(DiscoveryError::Unsupported)
    }
}

async fn read(path: &Path) -> Result<BTreeSet<Entry>, DiscoveryError> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|source| DiscoveryError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(members(&text, path))
}

/// The nodes of a file. `#` begins a comment. A line that is none is told of and passed over.
fn members(text: &str, path: &Path) -> BTreeSet<Entry> {
    let mut members = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match pattern::expand_all(line) {
            Ok(entries) => members.extend(entries),
            Err(error) => {
                tracing::warn!("{}, line {}: {error}", path.display(), number + 1);
            }
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn entries(texts: &[&str]) -> BTreeSet<Entry> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_bad_line_costs_no_other() {
        let text = "# all\n10.0.0.1:1\n\n  b:2 # mine\nno entry\nc[1:2]:3\r\n10.0.0.1:1\n";
        let found = members(text, Path::new("f"));
        assert_eq!(found, entries(&["10.0.0.1:1", "b:2", "c1:3", "c2:3"]));
    }

    #[tokio::test]
    async fn a_change_of_the_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my cluster");
        let file = File { path: path.clone() };
        assert!(matches!(
            file.list().await,
            Err(DiscoveryError::File { .. })
        ));
        let mut updates = file.watch();
        assert!(matches!(updates.next().await, Some(Update::Trouble(_))));
        for members in [&["a:1"][..], &["a:1", "b:1"], &[]] {
            std::fs::write(&path, members.join("\n")).unwrap();
            let told = loop {
                match updates.next().await {
                    Some(Update::Members(told)) => break told,
                    other => assert!(matches!(other, Some(Update::Trouble(_))), "{other:?}"),
                }
            };
            assert_eq!(told, entries(members));
        }
    }
}
