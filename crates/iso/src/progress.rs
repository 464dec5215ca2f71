use std::time::{Duration, Instant};

use rmachine_driver::Report;

/// Between two lines there is at least this much time, and one of these.
const PAUSE: Duration = Duration::from_secs(1);
const LONG_PAUSE: Duration = Duration::from_secs(10);
const SHARE: u64 = 5;

/// Tells how a download goes: often enough to see that it lives, seldom enough for a log.
pub(crate) struct Progress<'a> {
    report: &'a dyn Report,
    what: String,
    began: Instant,
    had: u64,
    told: Option<(Instant, u64)>,
}

impl<'a> Progress<'a> {
    /// A download of which this much is there already.
    pub(crate) fn new(report: &'a dyn Report, what: String, had: u64) -> Self {
        Self {
            report,
            what,
            began: Instant::now(),
            had,
            told: None,
        }
    }

    /// So much is there now.
    pub(crate) fn at(&mut self, got: u64, total: Option<u64>) {
        let due = match self.told {
            None => true,
            Some((when, then)) => {
                let step = total.map_or(u64::MAX, |total| total.saturating_mul(SHARE) / 100);
                let pause = when.elapsed();
                pause > LONG_PAUSE || (pause > PAUSE && got.saturating_sub(then) > step)
            }
        };
        if due {
            self.told = Some((Instant::now(), got));
            let rate = rate(got.saturating_sub(self.had), self.began.elapsed());
            self.report.step(&text(&self.what, got, total, rate));
        }
    }
}

/// Bytes a second, once there is enough to tell by.
fn rate(bytes: u64, time: Duration) -> Option<u64> {
    let milliseconds = u64::try_from(time.as_millis()).ok()?;
    (milliseconds >= 1000).then(|| bytes.saturating_mul(1000) / milliseconds)
}

fn text(what: &str, got: u64, total: Option<u64>, rate: Option<u64>) -> String {
    let mut text = match total {
        Some(total) if total > 0 => format!(
            "downloading {what}: {} % of {}",
            got.saturating_mul(100) / total,
            megabytes(total)
        ),
        _ => format!("downloading {what}: {}", megabytes(got)),
    };
    if let Some(rate) = rate.filter(|rate| *rate > 0) {
        text.push_str(&format!(", {}/s", megabytes(rate)));
        if let Some(total) = total {
            text.push_str(&format!(", {} s left", total.saturating_sub(got) / rate));
        }
    }
    text
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_much_how_fast_and_how_long() {
        for (got, total, rate, said) in [
            (0, Some(60_000_000), None, "downloading x: 0 % of 60.0 MB"),
            (
                15_000_000,
                Some(60_000_000),
                Some(1_500_000),
                "downloading x: 25 % of 60.0 MB, 1.5 MB/s, 30 s left",
            ),
            (2_340_000, None, Some(0), "downloading x: 2.3 MB"),
            (5, Some(0), None, "downloading x: 0.0 MB"),
        ] {
            assert_eq!(text("x", got, total, rate), said);
        }
        assert_eq!(rate(1_000_000, Duration::from_millis(900)), None);
        assert_eq!(rate(1_000_000, Duration::from_secs(2)), Some(500_000));
    }
}
