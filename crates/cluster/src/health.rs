//! Whether a cluster is as it should be: a pure function of what its machines and managers say.

use rmachine_driver::{MachineName, MachineState};
use rmachine_lifecycle::{Standing, standing};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::model::{Orchestrator, Roles};

/// What was heard of a machine of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    /// What is wrong with it that kept it from being asked further.
    pub trouble: Option<String>,
    /// Its state; `None` where the driver could not tell in time.
    pub state: Option<MachineState>,
    /// Its engine's URL.
    pub url: Option<String>,
    /// Its engine's version.
    pub engine: Option<String>,
    /// What the engine is called in its swarm of swarm mode.
    pub node: Option<String>,
    /// What a manager says of the cluster: the answer to `/info` in a classic one, to `/nodes` in
    /// swarm mode. `None` of a machine that is no manager.
    pub view: Option<Result<Value, String>>,
    /// When the engine's certificate ends.
    pub certificate_until: Option<OffsetDateTime>,
}

/// How a cluster is.
#[derive(Clone, Debug)]
pub struct Health {
    /// What joins its engines.
    pub orchestrator: Orchestrator,
    /// Its machines.
    pub members: Vec<MemberHealth>,
}

/// How a machine of a cluster is.
#[derive(Clone, Debug)]
pub struct MemberHealth {
    /// The machine.
    pub name: MachineName,
    /// What it is in the cluster.
    pub roles: Roles,
    /// Whether it is the manager that the others follow.
    pub leads: bool,
    /// What is wrong with it; `None` of a healthy one.
    pub ailment: Option<String>,
    /// What was heard of it.
    pub signs: Signs,
}

impl Health {
    /// Judges what was heard of each machine.
    pub fn of(
        orchestrator: Orchestrator,
        heard: Vec<(MachineName, Roles, Signs)>,
        now: OffsetDateTime,
    ) -> Self {
        let views: Vec<&Value> = {
            let views = heard.iter().filter_map(|(_, _, signs)| signs.view.as_ref());
            views.filter_map(|view| view.as_ref().ok()).collect()
        };
        // The one that leads knows best; another one knows, too.
        let leading = views.iter().find(|view| is_primary(view));
        let view = leading.or(views.first()).copied().cloned();
        let members = heard
            .into_iter()
            .map(|(name, roles, signs)| MemberHealth {
                leads: leads(orchestrator, &signs),
                ailment: ailment(orchestrator, &name, roles, &signs, view.as_ref(), now),
                name,
                roles,
                signs,
            })
            .collect();
        Self {
            orchestrator,
            members,
        }
    }

    /// Whether every machine is healthy, and there is one.
    pub fn is_healthy(&self) -> bool {
        self.ailing().next().is_none() && !self.members.is_empty()
    }

    /// The machines that are not healthy.
    pub fn ailing(&self) -> impl Iterator<Item = &MemberHealth> {
        self.members.iter().filter(|it| it.ailment.is_some())
    }

    /// The manager that the others follow.
    pub fn leader(&self) -> Option<&MachineName> {
        let mut leading = self.members.iter().filter(|member| member.leads);
        leading.next().map(|member| &member.name)
    }

    /// It as data.
    pub fn to_json(&self) -> Value {
        json!({
            "Orchestrator": self.orchestrator,
            "Healthy": self.is_healthy(),
            "Leader": self.leader().map(MachineName::as_str),
            "Machines": self.members.iter().map(MemberHealth::to_json).collect::<Vec<_>>(),
        })
    }
}

impl MemberHealth {
    /// How many days its certificate has left.
    pub fn days_left(&self, now: OffsetDateTime) -> Option<i64> {
        let until = self.signs.certificate_until?;
        Some((until - now).whole_days())
    }

    fn to_json(&self) -> Value {
        let until = self.signs.certificate_until;
        json!({
            "Name": self.name.as_str(),
            "Roles": self.roles.words(),
            "Leader": self.leads,
            "State": self.signs.state.map(|state| state.to_string()),
            "Healthy": self.ailment.is_none(),
            "Error": self.ailment,
            "Url": self.signs.url,
            "EngineVersion": self.signs.engine,
            "CertificateUntil": until.and_then(|until| until.format(&Rfc3339).ok()),
        })
    }
}

fn ailment(
    orchestrator: Orchestrator,
    name: &MachineName,
    roles: Roles,
    signs: &Signs,
    view: Option<&Value>,
    now: OffsetDateTime,
) -> Option<String> {
    if signs.trouble.is_some() {
        return signs.trouble.clone();
    }
    if signs.certificate_until.is_some_and(|until| until < now) {
        return Some("its certificate has expired".to_owned());
    }
    if let Some(Err(silent)) = &signs.view {
        return Some(format!("its manager: {silent}"));
    }
    let is_node = match orchestrator {
        Orchestrator::None => false,
        Orchestrator::Classic => roles.worker,
        Orchestrator::SwarmMode => roles.worker || roles.manager,
    };
    if !is_node {
        return None;
    }
    let Some(view) = view else {
        return Some("no manager of the cluster answers".to_owned());
    };
    let heard = match orchestrator {
        Orchestrator::SwarmMode => in_swarm_mode(view, roles, signs),
        Orchestrator::Classic | Orchestrator::None => in_classic(view, name, signs),
    };
    match heard {
        Standing::Healthy => None,
        Standing::Unknown => Some("the manager does not know the node".to_owned()),
        Standing::Other { status, error } => Some(match error {
            Some(error) => format!("{status}: {error}"),
            None => status,
        }),
    }
}

/// A node is known by where its engine is; one that advertises another address than ours for it,
/// by its name.
fn in_classic(info: &Value, name: &MachineName, signs: &Signs) -> Standing {
    let url = signs.url.as_deref().unwrap_or_default();
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    match standing(info, place) {
        Standing::Unknown => {
            let rows = info["SystemStatus"].as_array();
            let mut rows = rows.into_iter().flatten();
            let row = rows.find(|row| row[0].as_str().map(str::trim) == Some(name.as_str()));
            let advertised = row.and_then(|row| row[1].as_str());
            advertised.map_or(Standing::Unknown, |place| standing(info, place))
        }
        known => known,
    }
}

fn in_swarm_mode(nodes: &Value, roles: Roles, signs: &Signs) -> Standing {
    let nodes = nodes.as_array().into_iter().flatten();
    let own = signs.node.as_deref().filter(|id| !id.is_empty());
    let Some(node) = own.and_then(|id| nodes.clone().find(|node| node["ID"] == id)) else {
        return Standing::Unknown;
    };
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let reachability = &node["ManagerStatus"]["Reachability"];
    let (state, message) = (&node["Status"]["State"], &node["Status"]["Message"]);
    let other = |status: String, error: &Value| Standing::Other {
        status,
        error: error
            .as_str()
            .filter(|it| !it.is_empty())
            .map(str::to_owned),
    };
    if *state != "ready" {
        return other(text(state), message);
    }
    match roles.manager && *reachability != "reachable" {
        true => other(format!("as a manager {}", text(reachability)), &Value::Null),
        false => Standing::Healthy,
    }
}

fn leads(orchestrator: Orchestrator, signs: &Signs) -> bool {
    let Some(Ok(view)) = &signs.view else {
        return false;
    };
    match orchestrator {
        Orchestrator::None => false,
        Orchestrator::Classic => is_primary(view),
        Orchestrator::SwarmMode => {
            let mut nodes = view.as_array().into_iter().flatten();
            let own = nodes.find(|node| node["ID"].as_str() == signs.node.as_deref());
            own.is_some_and(|node| node["ManagerStatus"]["Leader"] == true)
        }
    }
}

/// Whether a classic manager says that it is the one that decides.
fn is_primary(info: &Value) -> bool {
    let rows = info["SystemStatus"].as_array();
    let mut rows = rows.into_iter().flatten();
    rows.any(|row| row[0] == "Role" && row[1] == "primary")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    const WORKER: Roles = Roles {
        manager: false,
        worker: true,
        store: false,
    };
    const MANAGER: Roles = Roles {
        manager: true,
        worker: false,
        store: false,
    };

    fn info(role: &str) -> Value {
        json!({"SystemStatus": [
            ["Role", role],
            [" n1", "10.0.0.1:2376"],
            ["  └ Status", "Healthy"],
            [" n2", "192.168.0.2:2376"],
            ["  └ Status", "Healthy"],
            [" (unknown)", "10.0.0.3:2376"],
            ["  └ Status", "Pending"],
            ["  └ Error", "refused"],
        ]})
    }

    fn signs(url: &str) -> Signs {
        Signs {
            url: Some(url.to_owned()),
            ..Signs::default()
        }
    }

    fn judged(orchestrator: Orchestrator, heard: &[(&str, Roles, Signs)]) -> Vec<String> {
        let heard = heard
            .iter()
            .map(|(name, roles, signs)| (name.parse().unwrap(), *roles, signs.clone()));
        let health = Health::of(orchestrator, heard.collect(), NOW);
        let told = |member: &MemberHealth| {
            let lead = if member.leads { " leads" } else { "" };
            let ailment = member.ailment.as_deref().unwrap_or("healthy");
            format!("{}{lead}: {ailment}", member.name)
        };
        health.members.iter().map(told).collect()
    }

    #[test]
    fn a_classic_cluster_is_what_its_manager_says() {
        let manager = |role: &str| Signs {
            view: Some(Ok(info(role))),
            ..signs("tcp://10.0.0.9:2376")
        };
        let told = judged(
            Orchestrator::Classic,
            &[
                ("m1", MANAGER, manager("primary")),
                ("m2", MANAGER, manager("replica")),
                ("n1", WORKER, signs("tcp://10.0.0.1:2376")),
                ("n2", WORKER, signs("tcp://10.0.0.2:2376")),
                ("n3", WORKER, signs("tcp://10.0.0.3:2376")),
                ("n4", WORKER, signs("tcp://10.0.0.4:2376")),
            ],
        );
        assert_eq!(
            told,
            [
                "m1 leads: healthy",
                "m2: healthy",
                "n1: healthy",
                "n2: healthy",
                "n3: Pending: refused",
                "n4: the manager does not know the node"
            ]
        );
    }

    #[test]
    fn what_a_machine_says_itself_comes_first() {
        let silent = Signs {
            view: Some(Err("refused".to_owned())),
            ..signs("tcp://10.0.0.9:2376")
        };
        let expired = Signs {
            certificate_until: Some(NOW - time::Duration::DAY),
            ..signs("tcp://10.0.0.1:2376")
        };
        let off = Signs {
            trouble: Some("Stopped".to_owned()),
            ..Signs::default()
        };
        let told = judged(
            Orchestrator::Classic,
            &[
                ("m1", MANAGER, silent),
                ("n1", WORKER, expired.clone()),
                ("n2", WORKER, signs("tcp://10.0.0.2:2376")),
                ("n3", WORKER, off.clone()),
            ],
        );
        assert_eq!(
            told,
            [
                "m1: its manager: refused",
                "n1: its certificate has expired",
                "n2: no manager of the cluster answers",
                "n3: Stopped"
            ]
        );
        let told = judged(
            Orchestrator::None,
            &[("n1", WORKER, signs("")), ("n3", WORKER, off)],
        );
        assert_eq!(told, ["n1: healthy", "n3: Stopped"]);
        let nothing = Health::of(Orchestrator::None, Vec::new(), NOW);
        assert!(!nothing.is_healthy());
    }

    #[test]
    fn a_swarm_is_what_its_managers_say() {
        let nodes = json!([
            {"ID": "a", "Status": {"State": "ready"},
             "ManagerStatus": {"Leader": true, "Reachability": "reachable"}},
            {"ID": "b", "Status": {"State": "ready"},
             "ManagerStatus": {"Reachability": "unreachable"}},
            {"ID": "c", "Status": {"State": "down", "Message": "heartbeat failure"}},
        ]);
        let node = |id: &str, manages: bool| Signs {
            node: Some(id.to_owned()),
            view: manages.then(|| Ok(nodes.clone())),
            ..Signs::default()
        };
        let both = Roles {
            manager: true,
            ..WORKER
        };
        let told = judged(
            Orchestrator::SwarmMode,
            &[
                ("s1", both, node("a", true)),
                ("s2", both, node("b", true)),
                ("s3", WORKER, node("c", false)),
                ("s4", WORKER, node("", false)),
            ],
        );
        assert_eq!(
            told,
            [
                "s1 leads: healthy",
                "s2: as a manager unreachable",
                "s3: down: heartbeat failure",
                "s4: the manager does not know the node"
            ]
        );
    }

    #[test]
    fn is_told_as_data() {
        let manager = Signs {
            view: Some(Ok(info("primary"))),
            state: Some(MachineState::Running),
            engine: Some("20.10.24".to_owned()),
            certificate_until: Some(NOW + time::Duration::days(90)),
            ..signs("tcp://10.0.0.9:2376")
        };
        let heard = vec![("m1".parse().unwrap(), MANAGER, manager)];
        let health = Health::of(Orchestrator::Classic, heard, NOW);
        assert_eq!(health.members[0].days_left(NOW), Some(90));
        assert_eq!(
            health.to_json(),
            json!({
                "Orchestrator": "classic", "Healthy": true, "Leader": "m1",
                "Machines": [{
                    "Name": "m1", "Roles": ["manager"], "Leader": true, "State": "Running",
                    "Healthy": true, "Error": null, "Url": "tcp://10.0.0.9:2376",
                    "EngineVersion": "20.10.24", "CertificateUntil": "1970-04-01T00:00:00Z",
                }],
            })
        );
    }
}
