//! Commands that an engine and a cluster are both asked, and what is expected of the answers.

mod compare;

use std::path::Path;
use std::thread;

use crate::client::Client;
use crate::lab::Ran;
use compare::{Plain, lines};

/// A command, and what is expected of it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// A line for the shell. `$AT` is what puts a container on the node whose engine is of the line of
    /// the one that stands alone, `$BUILD_AT` what makes it build an image, and `$NODE` what precedes
    /// its networks and volumes.
    line: &'static str,
    expect: Expect,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Where {
    /// With an engine that stands alone.
    Engine,
    /// With a manager.
    Cluster,
}

/// `said` prints what a command prints, once it prints something.
const SAID: &str = r#"
    said() {
        for _ in $(seq 30); do
            "$@" 2>/dev/null | grep . && return
            sleep 1
        done
    }
"#;

/// Who is asked, and the directory in which that is done.
pub type Asked<'a> = (&'a Client, &'a Path);

/// Takes the steps with an engine and with a cluster, both at a time, and holds what they come to
/// against each other. The shell does `first` before each.
pub fn hold(steps: &[Step], first: &str, engine: Asked<'_>, cluster: Asked<'_>) {
    let (expected, found) = thread::scope(|scope| {
        let expected = scope.spawn(|| walk(steps, first, engine, Where::Engine));
        let found = walk(steps, first, cluster, Where::Cluster);
        (expected.join().unwrap(), found)
    });
    let mut complaints = Vec::new();
    for ((step, expected), found) in steps.iter().zip(expected).zip(found) {
        if let Err(complaint) = step.compare(expected.as_ref(), found.as_ref()) {
            complaints.push(format!("$ {}\n{complaint}", step.line));
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {} commands:\n\n{}",
        complaints.len(),
        steps.len(),
        complaints.join("\n\n")
    );
}

/// What each step came to; nothing for those that are not meant for this place.
fn walk(steps: &[Step], first: &str, (client, dir): Asked<'_>, place: Where) -> Vec<Option<Ran>> {
    let steps = steps.iter().map(|step| {
        let line = step.line_for(place)?;
        Some(client.shell(&format!("{SAID}\n{first}\n{line}"), dir))
    });
    steps.collect()
}

#[derive(Clone, Copy, Debug)]
enum Expect {
    /// The same output; all goes well.
    Same,
    /// The same output and exit code, which tells of a failure.
    Fails,
    /// The same lines: every node has its own, so they are counted once, and their order is no matter.
    Lines,
    /// The same exit code: the words are the engine's, and every line of engines has its own.
    Code,
    /// The cluster has its own words, with the exit code of an engine.
    Words(&'static [&'static str]),
    /// Only a cluster is asked: the exit code, and words that have to be there.
    Cluster(i32, &'static [&'static str]),
}

/// A step that goes well, with the same output.
pub const fn same(line: &'static str) -> Step {
    step(line, Expect::Same)
}

/// A step that fails alike.
pub const fn fails(line: &'static str) -> Step {
    step(line, Expect::Fails)
}

/// A step that goes well, with an output that is alike but for how often a line comes, and when.
pub const fn unordered(line: &'static str) -> Step {
    step(line, Expect::Lines)
}

/// A step whose exit code is alike.
pub const fn code(line: &'static str) -> Step {
    step(line, Expect::Code)
}

/// A step whose exit code is alike, and for which a cluster has its own words.
pub const fn words(line: &'static str, words: &'static [&'static str]) -> Step {
    step(line, Expect::Words(words))
}

/// A step that only a cluster knows.
pub const fn cluster(line: &'static str, code: i32, words: &'static [&'static str]) -> Step {
    step(line, Expect::Cluster(code, words))
}

const fn step(line: &'static str, expect: Expect) -> Step {
    Step { line, expect }
}

impl Step {
    /// The line as the shell gets it; nothing where it is not meant to be.
    fn line_for(&self, place: Where) -> Option<String> {
        let words = match (place, self.expect) {
            (Where::Engine, Expect::Cluster(..)) => return None,
            (Where::Engine, _) => "AT= NODE= BUILD_AT=",
            (Where::Cluster, _) => {
                "AT='-e constraint:node==node2' NODE=node2/ BUILD_AT='--build-arg constraint:node==node2'"
            }
        };
        Some(format!("{words}; {}", self.line))
    }

    /// What is wrong with what the cluster did.
    fn compare(&self, engine: Option<&Ran>, cluster: Option<&Ran>) -> Result<(), String> {
        let Some(cluster) = cluster else {
            return Err("the cluster was not asked".to_owned());
        };
        let found = Plain::of(cluster);
        let expected = engine.map(Plain::of);
        let code = match (self.expect, &expected) {
            (Expect::Cluster(code, _), _) => code,
            (_, Some(expected)) => expected.code,
            (_, None) => return Err("the engine was not asked".to_owned()),
        };
        let as_expected = found.code == code
            && match (self.expect, &expected) {
                (Expect::Same, Some(expected)) => code == 0 && found == *expected,
                (Expect::Fails, Some(expected)) => code != 0 && found == *expected,
                (Expect::Lines, Some(expected)) => {
                    code == 0
                        && lines(&found.out) == lines(&expected.out)
                        && lines(&found.err) == lines(&expected.err)
                }
                (Expect::Words(words) | Expect::Cluster(_, words), _) => {
                    let said = format!(
                        "{}
{}",
                        cluster.out, cluster.err
                    );
                    words.iter().all(|word| said.contains(word))
                }
                _ => true,
            };
        match as_expected {
            true => Ok(()),
            false => Err(format!(
                "{:?}\nengine:  {}\ncluster: {found}\nas it was: {}{}",
                self.expect,
                expected.map_or_else(String::new, |plain| plain.to_string()),
                cluster.out,
                cluster.err,
            )),
        }
    }
}
