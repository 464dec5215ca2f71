use std::fmt;
use std::time::Duration;

/// What was measured, beside what it is to be.
#[derive(Default)]
pub struct Report(Vec<Row>);

struct Row {
    what: String,
    measured: String,
    bound: String,
    met: Option<bool>,
}

/// What a time is to be.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Whatever it is.
    None,
    /// No longer.
    AtMost(Duration),
}

impl Report {
    /// Adds a time.
    pub fn time(&mut self, what: &str, time: Duration, bound: Bound) {
        let (bound, met) = match bound {
            Bound::None => (String::new(), None),
            Bound::AtMost(most) => (format!("≤ {}", shown(most)), Some(time <= most)),
        };
        self.add(what, shown(time), bound, met);
    }

    /// Adds an amount of memory, given in bytes.
    pub fn megabytes(&mut self, what: &str, bytes: u64, most: u64) {
        let megabytes = bytes / 1_000_000;
        let bound = format!("≤ {most} MB");
        self.add(
            what,
            format!("{megabytes} MB"),
            bound,
            Some(megabytes <= most),
        );
    }

    /// Adds an amount of traffic.
    pub fn kilobytes(&mut self, what: &str, kilobytes: u64, most: u64) {
        let bound = format!("≤ {most} kB");
        let met = Some(kilobytes <= most);
        self.add(what, format!("{kilobytes} kB"), bound, met);
    }

    /// Adds how often something was done in a second; without a bound where the least is 0.
    pub fn rate(&mut self, what: &str, rate: f64, least: f64) {
        let (bound, met) = match least > 0.0 {
            true => (format!("≥ {least:.0}"), Some(rate >= least)),
            false => (String::new(), None),
        };
        self.add(what, format!("{rate:.0}"), bound, met);
    }

    /// Adds a share that is to be small.
    pub fn percent(&mut self, what: &str, percent: f64, most: f64) {
        let bound = format!("≤ {most} %");
        self.add(
            what,
            format!("{percent:.2} %"),
            bound,
            Some(percent <= most),
        );
    }

    /// Adds a share that is to be large.
    pub fn percent_at_least(&mut self, what: &str, percent: f64, least: f64) {
        let bound = format!("≥ {least} %");
        self.add(
            what,
            format!("{percent:.0} %"),
            bound,
            Some(percent >= least),
        );
    }

    fn add(&mut self, what: &str, measured: String, bound: String, met: Option<bool>) {
        self.0.push(Row {
            what: what.to_owned(),
            measured,
            bound,
            met,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| what | measured | bound | met |\n| --- | --- | --- | --- |"
        )?;
        for row in &self.0 {
            let met = match row.met {
                None => "",
                Some(true) => "yes",
                Some(false) => "**no**",
            };
            writeln!(
                f,
                "| {} | {} | {} | {met} |",
                row.what, row.measured, row.bound
            )?;
        }
        Ok(())
    }
}

fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds >= 1.0 => format!("{seconds:.1} s"),
        _ if seconds >= 0.001 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{:.0} µs", seconds * 1e6),
    }
}
