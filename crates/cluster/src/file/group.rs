use std::collections::BTreeMap;

use rmachine_driver::{FirstContact, FlagValue, MachineName};
use rmachine_lifecycle::{EngineRequest, MachineSpec, Machines};
use rmachine_machine::EngineOptions;
use rmachine_pki::KeyType;
use rmachine_provision::{EngineInstall, EngineOption, EngineSettings, EnvVar, InvalidSetting};

use super::flags::Flags;
use super::problem::Findings;
use super::read::text_of;
use super::tree::{Entry, Node, Place};
use super::variables::Variables;
use crate::model::{Member, Roles};

/// A group of machines, with what stands above it in the file.
pub(super) struct Group<'a> {
    cluster: &'a MachineName,
    root: &'a Node,
    defaults: Option<&'a Node>,
    entry: &'a Entry,
    variables: Variables<'a>,
}

/// A machine of a group before the drivers were asked.
struct Named<'a> {
    name: String,
    place: &'a Place,
    /// Flags of this machine alone.
    own: Option<&'a Node>,
}

impl<'a> Group<'a> {
    pub(super) fn new(
        cluster: &'a MachineName,
        root: &'a Node,
        entry: &'a Entry,
        variables: Variables<'a>,
    ) -> Self {
        Self {
            cluster,
            root,
            defaults: root.field("defaults"),
            entry,
            variables,
        }
    }

    /// The group's machines, as far as they can be read.
    pub(super) fn members(&self, machines: &Machines, findings: &mut Findings) -> Vec<Member> {
        let engine = self.engine(findings);
        let roles = self.roles();
        let named = self.named(findings);
        let Some((driver, place)) = self.driver(findings) else {
            return Vec::new();
        };
        let Some(flags) = Flags::of(machines, &driver, place, self.variables, findings) else {
            return Vec::new();
        };
        let mut members = Vec::new();
        for Named { name, place, own } in named {
            let name: MachineName = match name.parse() {
                Ok(name) => name,
                Err(error) => {
                    findings.add(place, format!("{error}"));
                    continue;
                }
            };
            let levels = self.flag_levels(&driver).chain(own);
            let Some((given, values)) = flags.read(&name, levels, place, findings) else {
                continue;
            };
            members.push(Member {
                group: self.entry.key.clone(),
                roles,
                given,
                spec: MachineSpec {
                    name,
                    driver: driver.clone(),
                    flags: values,
                    engine: engine.clone(),
                    swarm: None,
                    store: None,
                },
            });
        }
        self.one_host_each(machines, &members, findings);
        members
    }

    /// The names, and for each where it stands.
    fn named(&self, findings: &mut Findings) -> Vec<Named<'a>> {
        let node = &self.entry.node;
        let count = node.field("count");
        let (names, machines) = (node.field("names"), node.field("machines"));
        let ways = [count, names, machines].into_iter().flatten();
        if let Some(second) = ways.clone().nth(1) {
            findings.add(
                &second.place,
                "count, names and machines exclude each other: it is one of them",
            );
        }
        if let Some(machines) = machines {
            let own = |entry: &'a Entry| Named {
                name: entry.key.clone(),
                place: &entry.key_place,
                own: Some(&entry.node),
            };
            return machines.entries().iter().map(own).collect();
        }
        if let Some(names) = names {
            let named = |item: &'a Node| {
                Some(Named {
                    name: item.text()?.value.clone(),
                    place: &item.place,
                    own: None,
                })
            };
            return names.items().iter().filter_map(named).collect();
        }
        let count = count.and_then(Node::whole).unwrap_or(1);
        let place = &self.entry.key_place;
        let numbered = |n| Named {
            name: format!("{}-{}-{n}", self.cluster, self.entry.key),
            place,
            own: None,
        };
        (1..=count).map(numbered).collect()
    }

    fn driver(&self, findings: &mut Findings) -> Option<(String, &'a Place)> {
        let own = self.entry.node.field("driver");
        let usual = self.defaults.and_then(|node| node.field("driver"));
        match own.or(usual) {
            Some(node) => Some((node.text()?.value.clone(), &node.place)),
            None => {
                findings.add(
                    &self.entry.key_place,
                    "which driver makes these machines? The field driver is missing, here and in defaults",
                );
                None
            }
        }
    }

    /// The maps of flags that hold for the group, the weakest first. Those of another driver's
    /// machines do not.
    fn flag_levels(&self, driver: &str) -> impl Iterator<Item = &'a Node> {
        let usual = self.defaults.filter(|node| {
            let theirs = text_of(node, "driver");
            theirs.is_none_or(|theirs| theirs == driver)
        });
        let usual = usual.and_then(|node| node.field("flags"));
        usual.into_iter().chain(self.entry.node.field("flags"))
    }

    fn roles(&self) -> Roles {
        let items = self.entry.node.field("roles").map_or(&[][..], Node::items);
        let words: Vec<&str> = items
            .iter()
            .filter_map(|item| Some(item.text()?.value.as_str()))
            .collect();
        Roles {
            manager: words.contains(&"manager"),
            worker: words.is_empty() || words.contains(&"worker"),
            store: words.contains(&"store"),
        }
    }

    fn engine(&self, findings: &mut Findings) -> EngineRequest {
        let levels: Vec<&Node> = [self.defaults, Some(&self.entry.node)]
            .into_iter()
            .flatten()
            .filter_map(|node| node.field("engine"))
            .collect();
        let texts = |field| {
            listed(
                &levels,
                field,
                |text| Ok(text.to_owned()),
                &mut Findings::default(),
            )
        };
        let text = |field| levels.iter().rev().find_map(|level| text_of(level, field));
        let option = |text: &str| {
            text.parse::<EngineOption>()
                .map(|option| option.to_string())
        };
        let variable = |text: &str| text.parse::<EnvVar>().map(|_| text.to_owned());
        let install = text("install").and_then(|text| text.parse::<EngineInstall>().ok());
        let key = text("tls-key-type").and_then(|text| text.parse::<KeyType>().ok());
        let mut labels = self.labels(findings);
        labels.extend(texts("label"));
        EngineRequest {
            options: EngineOptions {
                arbitrary_flags: listed(&levels, "opt", option, findings),
                env: listed(&levels, "env", variable, findings),
                insecure_registry: texts("insecure-registry"),
                labels,
                storage_driver: text("storage-driver").unwrap_or_default().to_owned(),
                tls_verify: true,
                registry_mirror: texts("registry-mirror"),
                install_url: text("install-url")
                    .unwrap_or(EngineSettings::INSTALL_URL)
                    .to_owned(),
                ..EngineOptions::default()
            },
            install: install.unwrap_or_default(),
            tls_sans: texts("tls-san"),
            tls_key: key.unwrap_or_default(),
        }
    }

    /// The labels of the cluster, of the defaults and of the group; the nearest wins.
    fn labels(&self, findings: &mut Findings) -> Vec<String> {
        let levels = [Some(self.root), self.defaults, Some(&self.entry.node)];
        let maps = levels
            .into_iter()
            .flatten()
            .filter_map(|node| node.field("labels"));
        let mut labels = BTreeMap::new();
        for entry in maps.flat_map(Node::entries) {
            if entry.key.is_empty() || entry.key.contains('=') {
                findings.add(
                    &entry.key_place,
                    "is no name of a label: it has a '=' or nothing",
                );
            }
            let value = entry.node.text().map_or("", |text| &text.value);
            labels.insert(entry.key.as_str(), value);
        }
        let label = |(key, value)| format!("{key}={value}");
        labels.into_iter().map(label).collect()
    }

    /// One host that is there already cannot become several machines.
    fn one_host_each(&self, machines: &Machines, members: &[Member], findings: &mut Findings) {
        let same = |n: usize, member: &Member| {
            let before = members.iter().take(n);
            before.clone().any(|other| other.given == member.given)
        };
        let adopted = members.first().is_some_and(|member| {
            let context = machines
                .store()
                .driver_context(member.name(), FirstContact::Pin);
            let kind = machines.kind(&member.spec.driver);
            kind.ok()
                .and_then(|kind| kind.configure(context, &member.spec.flags).ok())
                .is_some_and(|driver| driver.capabilities().adopted)
        });
        if adopted && members.iter().enumerate().any(|(n, it)| same(n, it)) {
            findings.add(
                &self.entry.key_place,
                "one host cannot become several machines; the field machines gives each its flags",
            );
        }
    }
}

/// The texts of a list in all levels, each read as what it has to be.
fn listed(
    levels: &[&Node],
    field: &str,
    read: impl Fn(&str) -> Result<String, InvalidSetting>,
    findings: &mut Findings,
) -> Vec<String> {
    let lists = levels.iter().filter_map(|level| level.field(field));
    let mut values = Vec::new();
    for item in lists.flat_map(Node::items) {
        let Some(text) = item.text() else { continue };
        match read(&text.value) {
            Ok(value) => values.push(value),
            Err(error) => findings.add(&item.place, format!("must be {}", error.expected)),
        }
    }
    values
}

/// What a machine of the group gets of flags that the file names.
pub(super) type Given = BTreeMap<String, FlagValue>;
