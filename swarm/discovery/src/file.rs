//! `file://`: a file with a node, or a range of nodes, a line. It is read again when it changes.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;

use crate::{Discovery, DiscoveryError, Entry, Update, pattern, poll};

/// How often the file is looked at. The original waited for a whole heartbeat.
const PERIOD: Duration = Duration::from_secs(1);

/// The most that is read: a file that never ends is none.
const LONGEST: u64 = 16 * 1024 * 1024;

pub(crate) struct File {
    pub(crate) path: PathBuf,
}

#[async_trait]
impl Discovery for File {
    async fn list(&self) -> Result<BTreeSet<Entry>, DiscoveryError> {
        Ok(members(&read(&self.path).await?, &self.path))
    }

    fn watch(&self) -> BoxStream<'static, Update> {
        let path = self.path.clone();
        let last: Arc<Mutex<Last>> = Arc::default();
        poll::changes(PERIOD, Duration::ZERO, move || {
            let (path, last) = (path.clone(), Arc::clone(&last));
            async move {
                let text = read(&path).await?;
                let mut last = last.lock().await;
                // What is wrong with a line is told once.
                if last.text.as_ref() != Some(&text) {
                    last.members = members(&text, &path);
                    last.text = Some(text);
                }
                Ok(last.members.clone())
            }
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

/// What was read last, and what it says.
#[derive(Default)]
struct Last {
    text: Option<String>,
    members: BTreeSet<Entry>,
}

async fn read(path: &Path) -> Result<String, DiscoveryError> {
    let mut text = String::new();
    let reading = async {
        // A pipe that nobody writes to would never end.
        if !tokio::fs::metadata(path).await?.is_file() {
            let message = "it is not a regular file";
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        let file = tokio::fs::File::open(path).await?;
        file.take(LONGEST).read_to_string(&mut text).await
    };
    match reading.await {
        Ok(read) if (read as u64) < LONGEST => Ok(text),
        Ok(_) => Err(unusable(path, ErrorKind::FileTooLarge.into())),
        Err(source) => Err(unusable(path, source)),
    }
}

fn unusable(path: &Path, source: io::Error) -> DiscoveryError {
    DiscoveryError::File {
        path: path.to_owned(),
        source,
    }
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
    async fn a_file_without_an_end_is_none() {
        let file = File {
            path: "/dev/zero".into(),
        };
        assert!(matches!(
            file.list().await,
            Err(DiscoveryError::File { .. })
        ));
    }

    #[tokio::test]
    async fn file_above_the_limit_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nodes");
        for (size, is_read) in [(LONGEST - 1, true), (LONGEST, false)] {
            std::fs::write(&path, "#".repeat(usize::try_from(size).unwrap())).unwrap();
            let file = File { path: path.clone() };
            assert_eq!(file.list().await.is_ok(), is_read, "{size}");
        }
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
