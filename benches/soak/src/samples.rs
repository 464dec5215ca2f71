//! What was seen of the manager, and what follows from it.

use std::fmt;
use std::time::Duration;

use crate::load::Counts;
use crate::say;

/// How many lines the table has at most.
const LINES: u32 = 30;

/// What the manager takes of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Resident memory.
    pub kilobytes: u64,
    /// Open files.
    pub files: u64,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.kilobytes as f64 / 1024.0;
        write!(f, "{megabytes:.1} MB, {} files", self.files)
    }
}

/// All that was seen, in order.
pub struct Samples {
    warm_up: Duration,
    told: u32,
    looks: Vec<Look>,
}

impl Samples {
    /// None yet. What is seen while it warms up does not count.
    pub fn new(warm_up: Duration) -> Self {
        say("| time | resident | files | rounds | killed | failed |");
        say("| ---: | ---: | ---: | ---: | ---: | ---: |");
        Self {
            warm_up,
            told: 0,
            looks: Vec::new(),
        }
    }

    /// Adds what was seen after this time, and prints it now and then.
    pub fn add(&mut self, after: Duration, look: Look, counts: &Counts) {
        let minutes = u32::try_from(after.as_secs() / 60).unwrap_or(u32::MAX);
        // Every minute at first, then less often.
        if minutes >= self.told {
            self.told = minutes + 1 + minutes / LINES;
            tell(after, look, counts);
        }
        if after >= self.warm_up {
            self.looks.push(look);
        }
    }

    /// Whether the last third is not above the first by more than so many percent.
    pub fn verdict(&self, margin: u32) -> bool {
        let third = self.looks.len() / 3;
        if third == 0 {
            say("too short to tell");
            return false;
        }
        let (first, last) = (
            &self.looks[..third],
            &self.looks[self.looks.len() - third..],
        );
        let memory = is_flat("kB resident", first, last, margin, |look| look.kilobytes);
        let files = is_flat("open files", first, last, margin, |look| look.files);
        memory && files
    }
}

/// Prints a line of the table.
pub fn tell(after: Duration, look: Look, counts: &Counts) {
    let seconds = Duration::from_secs(after.as_secs());
    let megabytes = look.kilobytes as f64 / 1024.0;
    let (rounds, killed, failed) = counts.now();
    say(&format!(
        "| {} | {megabytes:.1} MB | {} | {rounds} | {killed} | {failed} |",
        humantime::format_duration(seconds),
        look.files,
    ));
}

fn is_flat(
    name: &str,
    first: &[Look],
    last: &[Look],
    margin: u32,
    value: fn(&Look) -> u64,
) -> bool {
    let (first, last) = (mean(first, value), mean(last, value));
    let growth = (last / first - 1.0) * 100.0;
    let is_flat = growth <= f64::from(margin);
    let verdict = if is_flat { "flat" } else { "GROWS" };
    say(&format!(
        "{name}: {first:.0} in the first third, {last:.0} in the last: {growth:+.1} %, at most \
         {margin} %: {verdict}"
    ));
    is_flat
}

fn mean(looks: &[Look], value: fn(&Look) -> u64) -> f64 {
    let sum: u64 = looks.iter().map(value).sum();
    sum as f64 / looks.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(kilobytes: impl Fn(u64) -> u64, files: impl Fn(u64) -> u64) -> Samples {
        let mut samples = Samples::new(Duration::from_secs(10));
        for second in 0..100 {
            let look = Look {
                kilobytes: kilobytes(second),
                files: files(second),
            };
            samples.add(Duration::from_secs(second), look, &Counts::default());
        }
        samples
    }

    #[test]
    fn what_grows_slowly_grows() {
        assert!(seen(|_| 20_000, |_| 50).verdict(10));
        assert!(seen(|second| 20_000 + second % 7, |second| 50 + second % 3).verdict(10));
        assert!(!seen(|second| 20_000 + 50 * second, |_| 50).verdict(10));
        assert!(!seen(|_| 20_000, |second| 50 + second / 10).verdict(10));
    }

    #[test]
    fn the_warm_up_does_not_count_and_too_little_says_nothing() {
        assert!(seen(|second| if second < 10 { 1 } else { 20_000 }, |_| 50).verdict(10));
        assert!(!Samples::new(Duration::ZERO).verdict(10));
    }
}
