//! Registered nodes, and which certificate may change which entry. Pure: the time is passed in.
//!
//! | registrant | may register | may remove |
//! | --- | --- | --- |
//! | operator | every entry | every entry |
//! | agent with SANs | an entry whose host is one of them, unless another agent with that SAN holds it | the same |
//! | agent without SANs | an entry that is free, or bound to its subject or key | an entry bound to it |
//!
//! An agent has one entry: registering another one replaces it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmachine_pki::{PeerCertificate, San};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Entry;
use crate::roster::{Full, Roster};

/// Minimum TTL of an entry: shorter ones are extended to it.
const MIN_TTL: Duration = Duration::from_secs(5);

/// Time for which an expired entry stays reserved for the agent without SANs that registered it:
/// nobody takes the place of a node that is switched off for the night.
const RESERVATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Sender of a request to the registration service.
#[derive(Clone, Debug)]
pub enum Registrant {
    /// Client or manager with a certificate of the cluster's owner.
    Operator,
    /// Agent of a node.
    Agent(Arc<PeerCertificate>),
}

/// Reason why a registrant may not change an entry.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Rejection {
    #[error(
        "{entry}: the agent's certificate ({subject}) does not name this host; `rmachine provision` \
         issues one for the node's address"
    )]
    ForeignHost { entry: Entry, subject: String },
    #[error("{entry} is registered with another certificate")]
    ForeignEntry { entry: Entry },
    #[error("the cluster has the maximum number of nodes already")]
    Full,
}

impl From<Full> for Rejection {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// State file: each entry with its TTL in seconds, and its agent where one is bound.
pub(super) type SavedRegistry = BTreeMap<String, SavedEntry>;

#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum SavedEntry {
    Unbound(u64),
    Bound {
        /// Missing for an entry that has expired and is reserved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u64>,
        subject: String,
        key: String,
        #[serde(default)]
        named: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    roster: Roster,
    bindings: BTreeMap<Entry, Binding>,
    binding_changes: u64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Binding {
    holder: Holder,
    expired_at: Option<Instant>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Holder {
    Operator,
    Agent {
        subject: String,
        /// DER of the public key, in base64.
        key: String,
        /// True if a SAN of the certificate is the entry's host.
        is_named: bool,
    },
}

impl Holder {
    fn of(registrant: &Registrant) -> Self {
        match registrant {
            Registrant::Operator => Self::Operator,
            Registrant::Agent(certificate) => Self::Agent {
                subject: certificate.subject.clone(),
                key: STANDARD.encode(&certificate.public_key),
                is_named: !certificate.sans.is_empty(),
            },
        }
    }

    /// True for the same agent, also after its key was renewed.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Operator, Self::Operator) => true,
            (
                Self::Agent { subject, key, .. },
                Self::Agent {
                    subject: other_subject,
                    key: other_key,
                    ..
                },
            ) => subject == other_subject || key == other_key,
            _ => false,
        }
    }

    fn has_key_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Agent { key, .. }, Self::Agent { key: other, .. }) => key == other,
            _ => false,
        }
    }
}

impl Registry {
    /// Restores the entries of a state file. Each gets its whole TTL again: while the service was
    /// down, nobody could register.
    pub(super) fn restored(saved: SavedRegistry, now: Instant) -> Result<Self, String> {
        let mut registry = Self::default();
        for (text, saved) in saved {
            let entry: Entry = text.parse().map_err(|error| format!("{error}"))?;
            let ttl = match saved {
                SavedEntry::Unbound(ttl) => Some(ttl),
                SavedEntry::Bound {
                    ttl,
                    subject,
                    key,
                    named,
                } => {
                    let holder = Holder::Agent {
                        subject,
                        key,
                        is_named: named,
                    };
                    let expired_at = ttl.is_none().then_some(now);
                    let binding = Binding { holder, expired_at };
                    registry.bindings.insert(entry.clone(), binding);
                    ttl
                }
            };
            if let Some(ttl) = ttl {
                let registered = registry
                    .roster
                    .register(entry, Duration::from_secs(ttl), now);
                registered.map_err(|full| Rejection::from(full).to_string())?;
            }
        }
        Ok(registry)
    }

    pub(super) fn saved(&self) -> SavedRegistry {
        let mut saved: SavedRegistry = self
            .roster
            .ttls()
            .map(|(entry, ttl)| (entry.to_string(), SavedEntry::Unbound(ttl.as_secs())))
            .collect();
        for (entry, binding) in &self.bindings {
            if let Holder::Agent {
                subject,
                key,
                is_named,
            } = &binding.holder
            {
                let ttl = match saved.get(&entry.to_string()) {
                    Some(SavedEntry::Unbound(ttl)) => Some(*ttl),
                    _ => None,
                };
                let bound = SavedEntry::Bound {
                    ttl,
                    subject: subject.clone(),
                    key: key.clone(),
                    named: *is_named,
                };
                saved.insert(entry.to_string(), bound);
            }
        }
        saved
    }

    /// Counts the changes of what [`Registry::saved`] returns.
    pub(super) fn revision(&self) -> u64 {
        self.roster.revision() + self.binding_changes
    }

    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Adds an entry or extends its time.
    pub(super) fn register(
        &mut self,
        entry: &Entry,
        ttl: Duration,
        registrant: &Registrant,
        now: Instant,
    ) -> Result<(), Rejection> {
        let holder = Holder::of(registrant);
        self.authorize(entry, registrant, &holder)?;
        let earlier = match &holder {
            Holder::Operator => None,
            Holder::Agent { .. } => {
                let mut bindings = self.bindings.iter();
                bindings
                    .find(|(bound, binding)| *bound != entry && binding.holder.has_key_of(&holder))
                    .map(|(bound, _)| bound.clone())
            }
        };
        if let Some(earlier) = earlier {
            self.remove_entry(&earlier);
        }
        self.roster.register(entry.clone(), ttl.max(MIN_TTL), now)?;
        // The owner may register a node for its agent; the binding stays the agent's.
        let is_for_agent = holder == Holder::Operator && self.bindings.contains_key(entry);
        if !is_for_agent {
            let binding = Binding {
                holder,
                expired_at: None,
            };
            let before = self.bindings.insert(entry.clone(), binding.clone());
            self.binding_changes += u64::from(before.as_ref() != Some(&binding));
        }
        Ok(())
    }

    /// Removes an entry. One that does not exist is no error.
    pub(super) fn remove(
        &mut self,
        entry: &Entry,
        registrant: &Registrant,
    ) -> Result<(), Rejection> {
        let holder = Holder::of(registrant);
        self.authorize(entry, registrant, &holder)?;
        let is_unbound = !self.bindings.contains_key(entry);
        let is_unnamed = matches!(
            holder,
            Holder::Agent {
                is_named: false,
                ..
            }
        );
        if is_unbound && is_unnamed && self.roster.contains(entry) {
            return Err(foreign_entry(entry));
        }
        self.remove_entry(entry);
        Ok(())
    }

    /// Removes the entries whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        let expired = self.roster.expire(now);
        if expired.is_empty() {
            return;
        }
        for entry in expired {
            if let Some(binding) = self.bindings.get_mut(&entry) {
                binding.expired_at = Some(now);
            }
        }
        self.bindings.retain(|_, binding| {
            let reservation = match binding.holder {
                Holder::Operator | Holder::Agent { is_named: true, .. } => Duration::ZERO,
                Holder::Agent { .. } => RESERVATION,
            };
            binding
                .expired_at
                .is_none_or(|expired_at| now.duration_since(expired_at) < reservation)
        });
        self.binding_changes += 1;
    }

    fn remove_entry(&mut self, entry: &Entry) {
        self.roster.remove(entry);
        let had_binding = self.bindings.remove(entry).is_some();
        self.binding_changes += u64::from(had_binding);
    }

    fn authorize(
        &self,
        entry: &Entry,
        registrant: &Registrant,
        holder: &Holder,
    ) -> Result<(), Rejection> {
        let Registrant::Agent(certificate) = registrant else {
            return Ok(());
        };
        let is_named = !certificate.sans.is_empty();
        if is_named && !names_host(certificate, entry) {
            return Err(Rejection::ForeignHost {
                entry: entry.clone(),
                subject: certificate.subject.clone(),
            });
        }
        let Some(binding) = self.bindings.get(entry) else {
            return Ok(());
        };
        // Whoever proves the address by a SAN outranks who merely came first.
        let is_outranked =
            is_named && !matches!(binding.holder, Holder::Agent { is_named: true, .. });
        if is_outranked || binding.holder.is_same(holder) {
            Ok(())
        } else {
            Err(foreign_entry(entry))
        }
    }
}

fn foreign_entry(entry: &Entry) -> Rejection {
    Rejection::ForeignEntry {
        entry: entry.clone(),
    }
}

fn names_host(certificate: &PeerCertificate, entry: &Entry) -> bool {
    let host = San::from(entry.host().to_owned());
    certificate.sans.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn entry(text: &str) -> Entry {
        text.parse().unwrap()
    }

    fn agent(subject: &str, key: &str, sans: &[&str]) -> Registrant {
        Registrant::Agent(Arc::new(PeerCertificate {
            purpose: Some(rmachine_pki::Purpose::Agent),
            subject: subject.to_owned(),
            sans: sans
                .iter()
                .map(|san| San::from((*san).to_owned()))
                .collect(),
            public_key: key.as_bytes().to_vec(),
        }))
    }

    fn entries(registry: &Registry) -> Vec<String> {
        let entries = registry.roster().entries();
        entries.iter().map(Entry::to_string).collect()
    }

    #[test]
    fn agent_with_sans_changes_only_entries_of_its_host() {
        let now = Instant::now();
        let mut registry = Registry::default();
        let a = agent("CN=a", "ka", &["10.0.0.1", "a.example"]);
        let b = agent("CN=b", "kb", &["10.0.0.2"]);
        let victim = entry("10.0.0.2:2376");
        registry.register(&victim, TTL, &b, now).unwrap();
        for rejected in [
            registry.register(&victim, MIN_TTL, &a, now),
            registry.remove(&victim, &a),
            registry.register(&entry("10.0.0.3:2376"), TTL, &a, now),
        ] {
            assert!(
                matches!(rejected, Err(Rejection::ForeignHost { .. })),
                "{rejected:?}"
            );
        }
        registry
            .register(&entry("A.Example:1"), TTL, &a, now)
            .unwrap();
        registry
            .register(&entry("10.0.0.1:1"), TTL, &a, now)
            .unwrap();
        assert_eq!(entries(&registry), ["10.0.0.1:1", "10.0.0.2:2376"]);
        registry.remove(&entry("10.0.0.1:1"), &a).unwrap();
        assert_eq!(entries(&registry), ["10.0.0.2:2376"]);
    }

    #[test]
    fn agents_with_the_same_host_keep_their_own_ports() {
        let now = Instant::now();
        let mut registry = Registry::default();
        let [a, b] = ["a", "b"].map(|name| agent(name, name, &["127.0.0.1"]));
        let (first, second) = (entry("127.0.0.1:1"), entry("127.0.0.1:2"));
        registry.register(&first, TTL, &a, now).unwrap();
        registry.register(&second, TTL, &b, now).unwrap();
        let rejected = registry.remove(&first, &b).unwrap_err();
        assert_eq!(rejected, foreign_entry(&first));
        assert!(registry.register(&first, TTL, &b, now).is_err());
        // Once the time of the first is over, its address is free for who has the SAN.
        registry.expire(now + TTL);
        registry.register(&first, TTL, &b, now + TTL).unwrap();
    }

    #[test]
    fn agent_without_sans_is_bound_to_its_first_entry() {
        let now = Instant::now();
        let mut registry = Registry::default();
        let (a, b) = (agent("CN=a", "ka", &[]), agent("CN=b", "kb", &[]));
        let victim = entry("10.0.0.2:2376");
        registry.register(&victim, TTL, &b, now).unwrap();
        assert!(registry.register(&victim, TTL, &a, now).is_err());
        assert!(registry.remove(&victim, &a).is_err());
        // An expired entry stays reserved, and across a restart.
        registry.expire(now + TTL);
        assert_eq!(entries(&registry), [""; 0]);
        let text = serde_json::to_string(&registry.saved()).unwrap();
        let saved = serde_json::from_str(&text).unwrap();
        let mut registry = Registry::restored(saved, now).unwrap();
        assert!(registry.register(&victim, TTL, &a, now).is_err());
        // The same node with a new key takes it over.
        let renewed = agent("CN=b", "kb2", &[]);
        registry.register(&victim, TTL, &renewed, now).unwrap();
        // The CA vouches for the address of one with SANs.
        let named = agent("CN=c", "kc", &["10.0.0.2"]);
        registry.register(&victim, TTL, &named, now).unwrap();
        assert!(registry.register(&victim, TTL, &renewed, now).is_err());
    }

    #[test]
    fn agent_has_one_entry() {
        let now = Instant::now();
        let mut registry = Registry::default();
        let a = agent("CN=a", "ka", &[]);
        for number in 1..100 {
            let entry = entry(&format!("10.0.0.{number}:2376"));
            registry.register(&entry, TTL, &a, now).unwrap();
        }
        assert_eq!(entries(&registry), ["10.0.0.99:2376"]);
    }

    #[test]
    fn entry_of_an_older_state_file_is_bound_by_its_agent() {
        let now = Instant::now();
        let saved = serde_json::from_str(r#"{"10.0.0.1:2376":60}"#).unwrap();
        let mut registry = Registry::restored(saved, now).unwrap();
        let (a, b) = (agent("CN=a", "ka", &[]), agent("CN=b", "kb", &[]));
        let own = entry("10.0.0.1:2376");
        assert_eq!(registry.roster().next_end(), Some(now + TTL));
        assert!(registry.remove(&own, &b).is_err());
        registry.register(&own, TTL, &a, now).unwrap();
        assert!(registry.register(&own, TTL, &b, now).is_err());
    }

    #[test]
    fn operator_changes_every_entry_and_ends_reservations() {
        let now = Instant::now();
        let mut registry = Registry::default();
        let (a, b) = (agent("CN=a", "ka", &[]), agent("CN=b", "kb", &[]));
        let own = entry("10.0.0.1:2376");
        registry.register(&own, TTL, &a, now).unwrap();
        registry
            .register(&own, TTL, &Registrant::Operator, now)
            .unwrap();
        assert!(registry.register(&own, TTL, &b, now).is_err());
        registry.remove(&own, &Registrant::Operator).unwrap();
        registry.register(&own, TTL, &b, now).unwrap();
        let other = entry("10.0.0.2:2376");
        registry
            .register(&other, TTL, &Registrant::Operator, now)
            .unwrap();
        assert!(registry.register(&other, TTL, &a, now).is_err());
    }

    #[test]
    fn short_ttl_is_extended_to_the_minimum() {
        let now = Instant::now();
        let mut registry = Registry::default();
        let own = entry("10.0.0.1:2376");
        let second = Duration::from_secs(1);
        registry
            .register(&own, second, &Registrant::Operator, now)
            .unwrap();
        assert_eq!(registry.roster().next_end(), Some(now + MIN_TTL));
    }
}
