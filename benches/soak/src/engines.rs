//! Engines that come and go.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use simulated_engines::{Engine, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How often one goes, or comes back.
const PAUSE: Duration = Duration::from_secs(2);

/// The most that are away at once, in each way.
const AWAY: usize = 3;

/// Engines of this process, and the file that tells of them.
pub struct Engines {
    entries: PathBuf,
    first: u16,
    engines: Vec<(Arc<Engine>, JoinHandle<()>)>,
}

impl Engines {
    /// Starts so many on ports that follow each other.
    pub async fn start(number: u16, containers: usize, first: u16, dir: &Path) -> io::Result<Self> {
        let mut engines = Vec::new();
        for place in 0..number {
            let engine = Arc::new(Engine::new(place, containers));
            let listener = listener(first + place).await?;
            engines.push((Arc::clone(&engine), tokio::spawn(serve(listener, engine))));
        }
        let started = Self {
            entries: dir.join("entries"),
            first,
            engines,
        };
        started.tell(&BTreeSet::new())?;
        Ok(started)
    }

    /// The file that `file://` reads.
    pub fn entries(&self) -> PathBuf {
        self.entries.clone()
    }

    /// Lets engines die and start again, and others leave the cluster and join it, for ever.
    pub async fn come_and_go(mut self) {
        let (mut dead, mut left) = (BTreeSet::new(), BTreeSet::new());
        loop {
            tokio::time::sleep(PAUSE).await;
            let place = rand::random_range(0..self.engines.len());
            if dead.len() >= AWAY {
                if let Some(place) = dead.pop_first() {
                    self.revive(place).await;
                }
            } else if dead.insert(place) {
                self.engines[place].1.abort();
            }
            if left.len() >= AWAY {
                left.clear();
            } else {
                left.insert(rand::random_range(0..self.engines.len()));
            }
            // The next change tells of what this one could not.
            let _ = self.tell(&left);
        }
    }

    async fn revive(&mut self, place: usize) {
        let port = self.first + u16::try_from(place).unwrap_or(0);
        let (engine, serving) = &mut self.engines[place];
        let engine = Arc::clone(engine);
        *serving = tokio::spawn(async move {
            // Its last connections may still hold the port.
            loop {
                if let Ok(listener) = listener(port).await {
                    return serve(listener, engine).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }

    fn tell(&self, left: &BTreeSet<usize>) -> io::Result<()> {
        let mut entries = String::new();
        for place in (0..self.engines.len()).filter(|place| !left.contains(place)) {
            let port = usize::from(self.first) + place;
            entries.push_str(&format!("127.0.0.1:{port}\n"));
        }
        // All at once: a file that is half written tells of engines that are gone.
        let new = self.entries.with_extension("new");
        std::fs::write(&new, entries)?;
        std::fs::rename(&new, &self.entries)
    }
}

async fn listener(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await
}
