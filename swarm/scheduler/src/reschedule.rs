use std::fmt;

/// What happens to a container whose node is lost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReschedulePolicy {
    /// Nothing.
    #[default]
    Off,
    /// It is created anew on another node.
    OnNodeFailure,
}

/// Why the policies of a container are none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Only one can apply.
    #[error("too many reschedule policies")]
    TooMany,
    /// There is no such policy.
    #[error("invalid reschedule policy: {0}")]
    Invalid(String),
}

impl ReschedulePolicy {
    /// The policy of a container's list, which may have one entry at most.
    pub fn of(policies: &[String]) -> Result<Self, PolicyError> {
        match policies {
            [] => Ok(Self::default()),
            [policy] => [Self::Off, Self::OnNodeFailure]
                .into_iter()
                .find(|known| known.name() == policy)
                .ok_or_else(|| PolicyError::Invalid(policy.clone())),
            _ => Err(PolicyError::TooMany),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::OnNodeFailure => "on-node-failure",
        }
    }
}

impl fmt::Display for ReschedulePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_policy_at_most() {
        let table: [(&[&str], Result<ReschedulePolicy, &str>); 6] = [
            (&[], Ok(ReschedulePolicy::Off)),
            (&["off"], Ok(ReschedulePolicy::Off)),
            (&["on-node-failure"], Ok(ReschedulePolicy::OnNodeFailure)),
            (&["always"], Err("invalid reschedule policy: always")),
            (&[""], Err("invalid reschedule policy: ")),
            (&["off", "off"], Err("too many reschedule policies")),
        ];
        for (policies, expected) in table {
            let policies: Vec<String> = policies.iter().map(|&policy| policy.into()).collect();
            let seen = ReschedulePolicy::of(&policies).map_err(|error| error.to_string());
            assert_eq!(seen, expected.map_err(str::to_owned), "{policies:?}");
        }
    }
}
