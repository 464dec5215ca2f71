use std::sync::Arc;

use crate::{Label, Resident};

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const REPLACE: &str = "com.docker.compose.replace";

/// The shortest id that compose puts before the name of a container which it replaces.
const SHORT_ID: usize = 10;

/// Which containers make way for a new one.
///
/// Where nothing but such a container keeps a node from being chosen — by a port, a slot, or
/// processors and memory that it holds — the node is chosen all the same. The original counted
/// stopped containers against the ones that were to replace them, so that compose could not
/// recreate a service on a full cluster.
///
/// A container makes way when
/// 1. its id is among [`ids`](Self::ids), which the caller fills in;
/// 2. or it is the same container of the same compose service, and the request says that it
///    replaces one (compose v2 creates first and stops the old one before it starts the new);
/// 3. or it is the same container of the same compose service, is stopped, and has the same name,
///    perhaps with its own short id before it (compose v1 stops, renames, then creates).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Replacement {
    /// Ids of containers that make way.
    pub ids: Vec<String>,
    pub(crate) compose: Option<ComposeContainer>,
}

/// A container as compose knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ComposeContainer {
    project: Arc<str>,
    service: Arc<str>,
    number: Arc<str>,
    one_off: Option<Arc<str>>,
    announced: bool,
}

impl Replacement {
    /// Reads compose's labels.
    pub(crate) fn of(labels: &[Label]) -> Self {
        let label = |key: &str| {
            let (_, value) = labels.iter().find(|(label, _)| **label == *key)?;
            Some(Arc::clone(value))
        };
        let compose = || {
            Some(ComposeContainer {
                project: label(PROJECT)?,
                service: label(SERVICE)?,
                number: label(NUMBER)?,
                one_off: label(ONE_OFF),
                announced: label(REPLACE).is_some_and(|replaced| !replaced.is_empty()),
            })
        };
        Self {
            ids: Vec::new(),
            compose: compose(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.compose.is_none()
    }

    /// Whether the container makes way for a new one of the given name.
    pub(crate) fn covers(&self, resident: &Resident, name: &str) -> bool {
        self.ids.iter().any(|id| **id == *resident.id)
            || self
                .compose
                .as_ref()
                .is_some_and(|compose| compose.is(resident) && compose.makes_way(resident, name))
    }
}

impl ComposeContainer {
    /// A label that containers of this service bear, to look for nodes that have any.
    pub(crate) fn service_label(&self) -> (&'static str, &str) {
        (SERVICE, &self.service)
    }

    fn is(&self, resident: &Resident) -> bool {
        resident.label(PROJECT) == Some(&*self.project)
            && resident.label(SERVICE) == Some(&*self.service)
            && resident.label(NUMBER) == Some(&*self.number)
            && resident.label(ONE_OFF) == self.one_off.as_deref()
    }

    fn makes_way(&self, resident: &Resident, name: &str) -> bool {
        let renamed = || {
            resident.name.split_once('_').is_some_and(|(id, rest)| {
                id.len() >= SHORT_ID && resident.id.starts_with(id) && rest == name
            })
        };
        self.announced && !resident.state.is_pending()
            || resident.state.is_stopped()
                && !name.is_empty()
                && (*resident.name == *name || renamed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
        pairs
            .iter()
            .map(|&(key, value)| (key.into(), value.into()))
            .collect()
    }

    fn compose(service: &str, number: &str) -> Vec<Label> {
        labels(&[
            (PROJECT, "p"),
            (SERVICE, service),
            (NUMBER, number),
            (ONE_OFF, "False"),
        ])
    }

    fn resident(name: &str, state: State, labels: Vec<Label>) -> Resident {
        Resident {
            name: name.into(),
            state,
            labels,
            ..Resident::new("0123456789abcdef")
        }
    }

    #[test]
    fn a_container_makes_way_by_the_rules() {
        let request = Replacement::of(&compose("web", "1"));
        let mut replace = compose("web", "1");
        replace.extend(labels(&[(REPLACE, "0123456789abcdef")]));
        let announced = Replacement::of(&replace);
        let by_id = Replacement {
            ids: vec!["0123456789abcdef".to_owned()],
            compose: None,
        };
        let none = Replacement::of(&labels(&[(PROJECT, "p"), (REPLACE, "x")]));
        assert!(none.is_empty());
        let same = || compose("web", "1");
        let table = [
            (&by_id, "other", State::Running, Vec::new(), true),
            (&none, "p_web_1", State::Exited, same(), false),
            (&request, "p_web_1", State::Exited, same(), true),
            (&request, "p_web_1", State::Created, same(), true),
            (&request, "p_web_1", State::Running, same(), false),
            (&request, "p_web_1", State::Paused, same(), false),
            (&request, "p_web_1", State::Pending, same(), false),
            (
                &request,
                "0123456789ab_p_web_1",
                State::Exited,
                same(),
                true,
            ),
            (
                &request,
                "fedcba987654_p_web_1",
                State::Exited,
                same(),
                false,
            ),
            (&request, "0_p_web_1", State::Exited, same(), false),
            (&request, "p_web_2", State::Exited, same(), false),
            (
                &request,
                "p_web_1",
                State::Exited,
                compose("db", "1"),
                false,
            ),
            (
                &request,
                "p_web_1",
                State::Exited,
                compose("web", "2"),
                false,
            ),
            (&request, "p_web_1", State::Exited, Vec::new(), false),
            (&announced, "p-web-1", State::Running, same(), true),
            (
                &announced,
                "p-web-1",
                State::Running,
                compose("web", "2"),
                false,
            ),
            (&announced, "p-web-1", State::Pending, same(), false),
        ];
        for (replacement, name, state, labels, expected) in table {
            let resident = resident(name, state, labels);
            assert_eq!(
                replacement.covers(&resident, "p_web_1"),
                expected,
                "{replacement:?} and {resident:?}"
            );
        }
    }
}
