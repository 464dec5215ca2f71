//! Whole processes, timed as a person feels them: from the start to the exit.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long some work takes.
pub fn elapsed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Runs a command to its end without showing what it says, and tells how long it took.
///
/// # Panics
/// When it cannot be started or fails: a time of something else would be worse than none.
pub fn time(command: &mut Command) -> Duration {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}: {said}",
        output.status
    );
    took
}

/// The times of one command.
pub struct Times(Vec<Duration>);

impl Times {
    /// The times of runs that were measured one by one.
    pub fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort();
        Self(times)
    }

    /// The middle of all times.
    pub fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }
}

/// The processor time that the whole machine spends on some work, hosts included; without the work
/// it is to be idle.
pub fn processor_time(work: impl FnOnce()) -> Duration {
    let before = busy();
    work();
    busy() - before
}

/// All time that was not idle, as `/proc/stat` counts it: user, nice, system, irq and softirq are
/// the 1st, 2nd, 3rd, 6th and 7th number of its first line, in hundredths of a second (proc(5)).
fn busy() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let first = stat.lines().next().unwrap_or_default();
    let numbers: Vec<u64> = first
        .split_whitespace()
        .skip(1)
        .map(|number| number.parse().unwrap())
        .collect();
    let ticks: u64 = [0, 1, 2, 5, 6].map(|place| numbers[place]).iter().sum();
    Duration::from_millis(ticks * 10)
}

/// Runs commands in turn, `rounds` times each and once before to warm up, so that whatever else
/// the machine does falls on all of them alike.
pub fn in_turn<const N: usize>(rounds: usize, mut commands: [Command; N]) -> [Times; N] {
    let mut times: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::new());
    for round in 0..=rounds {
        for (command, times) in commands.iter_mut().zip(&mut times) {
            let took = time(command);
            if round > 0 {
                times.push(took);
            }
        }
    }
    times.map(Times::new)
}

/// What was measured and what it is held against.
pub struct Row {
    /// What a person types.
    pub what: String,
    /// How long it took.
    pub took: Duration,
    /// What it is compared with, and how long that took here.
    pub beside: Option<(&'static str, Duration)>,
    /// docker-machine 0.16.2 on the same kind of host, where that was measured.
    pub docker_machine: Option<&'static str>,
    /// What it may take.
    pub bound: Bound,
}

/// What a time may be.
pub enum Bound {
    /// No longer than this.
    Within(Duration),
    /// No longer than the other and this.
    Beyond(Duration),
    /// No longer than the other times this.
    Times(f64),
}

impl Row {
    fn is_met(&self) -> bool {
        let beside = self.beside.map_or(Duration::ZERO, |(_, took)| took);
        self.took
            <= match self.bound {
                Bound::Within(limit) => limit,
                Bound::Beyond(more) => beside + more,
                Bound::Times(factor) => beside.mul_f64(factor),
            }
    }
}

/// A line of a Markdown table.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beside = self.beside.map_or("–".to_owned(), |(what, took)| {
            let ratio = self.took.as_secs_f64() / took.as_secs_f64();
            format!("{what}: {} (× {ratio:.2})", shown(took))
        });
        let bound = match self.bound {
            Bound::Within(limit) => shown(limit),
            Bound::Beyond(more) => format!("+ {}", shown(more)),
            Bound::Times(factor) => format!("× {factor}"),
        };
        write!(
            f,
            "| {} | {} | {beside} | {} | {bound} | {} |",
            self.what,
            shown(self.took),
            self.docker_machine.unwrap_or("–"),
            if self.is_met() { "yes" } else { "**no**" },
        )
    }
}

/// The head of the table that rows make.
pub const HEAD: &str = "| command | median | beside | docker-machine 0.16.2 | bound | met |\n\
                        | --- | --- | --- | --- | --- | --- |";

fn shown(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        ..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1000.0),
    }
}
