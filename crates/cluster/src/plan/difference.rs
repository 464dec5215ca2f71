use rmachine_lifecycle::{EMBEDDED, Orchestrator, SwarmRequest};
use rmachine_machine::SwarmOptions;

use super::Seen;
use crate::journal::{Owned, digests};
use crate::model::Member;

/// How a machine is other than the file wants it. Values are not named: some are secrets.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// What provisioning changes.
    pub(super) changes: Vec<String>,
    /// What only a new machine can have.
    pub(super) lasting: Vec<String>,
}

impl Differences {
    pub(super) fn between(member: &Member, owned: Option<&Owned>, seen: &Seen) -> Self {
        let mut differences = Self::default();
        if seen.driver != member.spec.driver {
            let driver = format!("the driver {}, not {}", member.spec.driver, seen.driver);
            differences.lasting.push(driver);
        } else if let Some(owned) = owned {
            differences.flags(member, owned);
        }
        differences.roles(member, seen);
        if seen.provisioned {
            differences.engine(member, seen);
            differences.swarm(member, &seen.swarm);
        }
        differences
    }

    fn flags(&mut self, member: &Member, owned: &Owned) {
        let wanted = digests(&member.given);
        let mut names: Vec<&String> = wanted.keys().chain(owned.flags.keys()).collect();
        names.sort();
        names.dedup();
        let others = names
            .into_iter()
            .filter(|name| wanted.get(*name) != owned.flags.get(*name));
        self.lasting
            .extend(others.map(|name| format!("another {name}")));
    }

    /// A manager keeps what others need, so nothing becomes one, or ceases to be one, in place; nor
    /// does a machine leave its cluster.
    fn roles(&mut self, member: &Member, seen: &Seen) {
        let wanted = member.spec.swarm.as_ref();
        let asked = wanted.map(|swarm| (swarm.orchestrator, swarm.options.master));
        let has = match &seen.swarm_mode {
            Some(mode) => Some((Orchestrator::SwarmMode, mode.manager)),
            None if seen.swarm.is_swarm => Some((Orchestrator::Classic, seen.swarm.master)),
            None => None,
        };
        let store = member.spec.store.as_ref().map(|store| store.kind);
        if asked != has || store != seen.store {
            self.lasting.push("another role".to_owned());
        }
    }

    fn engine(&mut self, member: &Member, seen: &Seen) {
        let (wanted, has) = (&member.spec.engine.options, &seen.engine);
        for (field, same) in [
            ("opt", wanted.arbitrary_flags == has.arbitrary_flags),
            ("label", wanted.labels == has.labels),
            ("env", wanted.env == has.env),
            (
                "insecure-registry",
                wanted.insecure_registry == has.insecure_registry,
            ),
            (
                "registry-mirror",
                wanted.registry_mirror == has.registry_mirror,
            ),
            (
                "storage-driver",
                wanted.storage_driver == has.storage_driver,
            ),
            ("tls-san", member.spec.engine.tls_sans == seen.tls_sans),
        ] {
            if !same {
                self.changes.push(format!("engine {field}"));
            }
        }
    }

    /// What the file leaves open is filled in when the machine is made, and is no difference.
    fn swarm(&mut self, member: &Member, has: &SwarmOptions) {
        let classic = |swarm: &&SwarmRequest| swarm.orchestrator == Orchestrator::Classic;
        let Some(wanted) = member.spec.swarm.as_ref().filter(classic) else {
            return;
        };
        let wanted = &wanted.options;
        let same = |wanted: &String, has: &String| wanted.is_empty() || wanted == has;
        let served = wanted.discovery == EMBEDDED && has.discovery.starts_with(EMBEDDED);
        // What only a manager or only an agent is told is nothing to the other.
        let (manager, agent) = (wanted.master, wanted.agent);
        for (field, same) in [
            ("role", agent == has.agent),
            (
                "discovery",
                served || same(&wanted.discovery, &has.discovery),
            ),
            ("host", !manager || same(&wanted.host, &has.host)),
            ("image", same(&wanted.image, &has.image)),
            (
                "strategy",
                !manager || same(&wanted.strategy, &has.strategy),
            ),
            (
                "opt",
                !manager || wanted.arbitrary_flags == has.arbitrary_flags,
            ),
            (
                "join-opt",
                !agent || wanted.arbitrary_join_flags == has.arbitrary_join_flags,
            ),
            (
                "experimental",
                wanted.is_experimental == has.is_experimental,
            ),
        ] {
            if !same {
                self.changes.push(format!("swarm {field}"));
            }
        }
    }
}
