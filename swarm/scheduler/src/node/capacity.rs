/// Processors and memory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Resources {
    /// Whole processors.
    pub cpus: u64,
    /// Bytes.
    pub memory: u64,
}

impl Resources {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            cpus: self.cpus.saturating_add(other.cpus),
            memory: self.memory.saturating_add(other.memory),
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            cpus: self.cpus.saturating_sub(other.cpus),
            memory: self.memory.saturating_sub(other.memory),
        }
    }
}

/// By how much more is given away than a node has: `swarm.overcommit`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Overcommit {
    percent: i64,
}

/// A ratio that would leave nothing.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("swarm.overcommit should be larger than -1, {0:.6} is invalid")]
pub struct OvercommitError(f64);

impl Overcommit {
    /// Reads the ratio: 0.05 gives away five percent more. Parts of a percent are cut off.
    pub fn from_ratio(ratio: f64) -> Result<Self, OvercommitError> {
        if ratio > -1.0 && ratio.is_finite() {
            let percent = (ratio * 100.0) as i64;
            Ok(Self { percent })
        } else {
            Err(OvercommitError(ratio))
        }
    }

    /// What there is to give away. Parts of a processor are cut off.
    pub(crate) fn apply(self, resources: Resources) -> Resources {
        let more = |amount: u64| {
            let amount = i128::from(amount);
            let all = amount + amount * i128::from(self.percent) / 100;
            u64::try_from(all).unwrap_or(u64::MAX)
        };
        Resources {
            cpus: more(resources.cpus),
            memory: more(resources.memory),
        }
    }
}

impl Default for Overcommit {
    fn default() -> Self {
        Self { percent: 5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overcommit_counts_in_whole_percents() {
        let node = Resources {
            cpus: 2,
            memory: 1000,
        };
        let table = [
            (0.05, 2, 1050),
            (0.0, 2, 1000),
            (0.5, 3, 1500),
            (1.0, 4, 2000),
            (0.019, 2, 1010),
            (-0.5, 1, 500),
            (-0.999, 1, 10),
        ];
        for (ratio, cpus, memory) in table {
            let overcommit = Overcommit::from_ratio(ratio).expect("valid");
            assert_eq!(
                overcommit.apply(node),
                Resources { cpus, memory },
                "{ratio}"
            );
        }
        assert_eq!(Overcommit::from_ratio(0.05), Ok(Overcommit::default()));
    }

    #[test]
    fn a_ratio_must_leave_something() {
        let error = Overcommit::from_ratio(-2.0).expect_err("invalid");
        assert_eq!(
            error.to_string(),
            "swarm.overcommit should be larger than -1, -2.000000 is invalid"
        );
        for ratio in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(Overcommit::from_ratio(ratio).is_err());
        }
    }
}
