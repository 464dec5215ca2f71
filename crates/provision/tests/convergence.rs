//! A plan that was applied leaves nothing to plan: on a model of a host, for any wish and any
//! configuration of the owner's.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::path::Path;

use proptest::prelude::*;
use rmachine_driver::Secret;
use rmachine_provision::{
    EngineOption, EngineSettings, Facts, FileFacts, Masked, Plan, Step, TlsFile, TlsMaterial,
    Unfinished, Wanted, plan,
};
use sha2::{Digest, Sha256};

const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// What a host tells about itself after a plan was applied.
fn applied(mut facts: Facts, plan: &Plan) -> Facts {
    facts.unfinished.clear();
    facts.before.clear();
    for step in &plan.steps {
        match step {
            Step::Write(file) if file.path.ends_with(".pem") => {
                let digest = Sha256::digest(file.content.as_bytes());
                let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                let mode = file.mode;
                facts
                    .tls
                    .insert(file.path.clone(), TlsFile { mode, sha256 });
            }
            Step::Write(file) => {
                let there = FileFacts {
                    mode: file.mode,
                    content: file.content.clone(),
                };
                facts.files.insert(file.path.clone(), there);
                if file.path.contains("docker.service.d")
                    && let Some(service) = &mut facts.service
                    && !service.drop_ins.contains(&file.path)
                {
                    service.drop_ins.push(file.path.clone());
                    service.drop_ins.sort();
                }
            }
            Step::Remove { path } => {
                facts.files.remove(path);
                if let Some(service) = &mut facts.service {
                    service.drop_ins.retain(|drop_in| drop_in != path);
                }
            }
            Step::SetHostname { name } => facts.hostname.clone_from(name),
            other => {
                if let Some(service) = &mut facts.service {
                    match other {
                        Step::Unmask => service.masked = Masked::No,
                        Step::ReloadUnits => service.stale = false,
                        Step::Enable { .. } => service.enabled = true,
                        Step::Restart { .. } => service.active = true,
                        _ => {}
                    }
                }
            }
        }
    }
    facts
}

fn facts(name: &str) -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/facts/{name}.txt"));
    Facts::parse(&std::fs::read(path).unwrap()).unwrap()
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let name = prop::sample::select(vec![
        "alpine-3.20",
        "amazon-linux-2023",
        "centos-7",
        "debian-12",
        "debian-13",
        "devuan-sysvinit",
        "fedora-41-moby",
        "opensuse-leap-15.6",
    ]);
    let owner = prop::option::of(prop::sample::select(vec![
        "{}",
        "",
        r#"{"hosts": ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"]}"#,
        r#"{"labels": ["mine=1", "zone=a"], "registry-mirrors": []}"#,
        r#"{"log-opts": {"max-size": "1m", "tag": "t"}, "debug": true}"#,
        r#"{"tlsverify": false, "tlscacert": "/root/ca.pem", "dns": ["192.0.2.1"]}"#,
    ]));
    let over = prop::option::of(prop::sample::select(vec!["05-a.conf", "override.conf"]));
    (name, owner, over, any::<bool>()).prop_map(|(name, owner, over, cut)| {
        let mut facts = facts(name);
        let file = |content: &str| FileFacts {
            mode: 0o644,
            content: content.to_owned(),
        };
        if let Some(text) = owner {
            facts.files.insert(DAEMON_JSON.to_owned(), file(text));
        }
        if let (Some(over), Some(service)) = (over, &mut facts.service)
            && !service.fragment.is_empty()
        {
            let path = format!("/etc/systemd/system/docker.service.d/{over}");
            let text =
                "[Service]\nExecStart=\nExecStart=/opt/dockerd -H fd:// --label unit=1 $OPTIONS\n";
            facts.files.insert(path.clone(), file(text));
            service.drop_ins.push(path);
        }
        if cut {
            facts.unfinished.push(Unfinished::Changing);
        }
        facts
    })
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let options = prop::sample::subsequence(
        vec![
            "log-opt=tag=x",
            "log-opt=env=a",
            "label=l=1",
            "live-restore=false",
            "mtu=1400",
            "dns=192.0.2.1",
            "exec-opt=a=b",
            "default-ulimit=nofile=1:2",
            "add-runtime=r=/r",
            "unknown-option=1",
        ],
        0..6,
    );
    let hostname = prop::option::of(prop::sample::select(vec!["n1", "n2.example.org"]));
    let labels = prop::sample::subsequence(vec!["zone=a", "zone=b", "mine=1"], 0..3);
    (options, hostname, labels, 2376_u16..2379).prop_map(|(options, hostname, labels, port)| {
        Wanted {
            hostname: hostname.map(str::to_owned),
            engine: EngineSettings {
                port,
                options: options
                    .into_iter()
                    .map(|text| text.parse::<EngineOption>().unwrap())
                    .collect(),
                labels: labels.into_iter().map(str::to_owned).collect(),
                env: vec![format!("PORT={port} $x").parse().unwrap()],
                ..EngineSettings::default()
            },
            tls: TlsMaterial {
                ca: "CA".to_owned(),
                certificate: format!("CERTIFICATE {port}"),
                key: Secret::new("KEY"),
                replaces: None,
            },
        }
    })
}

proptest! {
    #[test]
    fn a_plan_that_was_applied_leaves_nothing_to_do(
        facts in any_facts(),
        first in any_wanted(),
        second in any_wanted(),
    ) {
        // What the owner's files make impossible is refused, and nothing is changed.
        let Ok(to_first) = plan(&facts, &first) else { return Ok(()) };
        let at_first = applied(facts.clone(), &to_first);
        let again = plan(&at_first, &first).unwrap();
        prop_assert!(again.is_empty(), "{again}");

        // One that is off, as after a boot that goes on, is only started.
        let mut off = at_first.clone();
        off.service.iter_mut().for_each(|service| service.active = false);
        let start = plan(&off, &first).unwrap();
        prop_assert!(start.restarts() && !start.changes_settings(), "{start}");

        // A detour leaves no trace.
        let Ok(to_second) = plan(&at_first, &second) else { return Ok(()) };
        let at_second = applied(at_first.clone(), &to_second);
        let again = plan(&at_second, &second).unwrap();
        prop_assert!(again.is_empty(), "{again}");
        let back = applied(at_second.clone(), &plan(&at_second, &first).unwrap());
        let json = |facts: &Facts| -> serde_json::Value {
            serde_json::from_str(&facts.files[DAEMON_JSON].content).unwrap()
        };
        prop_assert_eq!(json(&back), json(&at_first));
        for path in ["/etc/conf.d/docker", "/etc/default/docker"] {
            prop_assert_eq!(back.files.get(path), at_first.files.get(path));
        }
    }
}

/// A host as it is after a plan for this wish, with engine 20.10 on Debian 12.
fn set_up(wanted: &Wanted) -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facts/debian-12.txt");
    let facts = Facts::parse(&std::fs::read(path).unwrap()).unwrap();
    let planned = plan(&facts, wanted).unwrap();
    applied(facts, &planned)
}

fn wish(certificate: &str, replaces: Option<&str>, env: &[&str]) -> Wanted {
    Wanted {
        hostname: None,
        engine: EngineSettings {
            env: env.iter().map(|text| text.parse().unwrap()).collect(),
            ..EngineSettings::default()
        },
        tls: TlsMaterial {
            ca: "CA".to_owned(),
            certificate: certificate.to_owned(),
            key: Secret::new("KEY"),
            replaces: replaces.map(str::to_owned),
        },
    }
}

#[test]
fn certificate_that_replaces_the_present_one_is_written_without_a_restart() {
    let host = set_up(&wish("OLD", None, &[]));
    let planned = plan(&host, &wish("NEW", Some("OLD"), &[])).unwrap();
    assert!(
        planned.changes_settings() && !planned.restarts(),
        "{planned}"
    );
    assert!(
        planned
            .warnings
            .iter()
            .any(|text| text.contains("next restart")),
        "{:?}",
        planned.warnings
    );
    assert!(
        plan(&applied(host.clone(), &planned), &wish("NEW", None, &[]))
            .unwrap()
            .is_empty()
    );
    // Another certificate than the replaced one is on the host, or another authority.
    for (certificate, replaces, ca) in [
        ("NEW", None, "CA"),
        ("NEW", Some("OTHER"), "CA"),
        ("NEW", Some("OLD"), "CA2"),
    ] {
        let mut wanted = wish(certificate, replaces, &[]);
        wanted.tls.ca = ca.to_owned();
        assert!(
            plan(&host, &wanted).unwrap().restarts(),
            "{replaces:?} {ca}"
        );
    }
}

#[test]
fn environment_is_in_a_private_file_that_goes_with_its_last_variable() {
    const ENVIRONMENT: &str = "/etc/docker/rmachine.env";
    let host = set_up(&wish("C", None, &["HTTPS_PROXY=http://u:p@proxy:3128"]));
    assert_eq!(host.files[ENVIRONMENT].mode, 0o600);
    let readable = host.files.values().filter(|file| file.mode & 0o044 != 0);
    for file in readable {
        assert!(!file.content.contains("u:p@"), "{}", file.content);
    }
    let removed = plan(&host, &wish("C", None, &[])).unwrap();
    assert!(removed.restarts());
    assert!(!applied(host, &removed).files.contains_key(ENVIRONMENT));
}

#[test]
fn mode_alone_changes_without_a_restart() {
    let option: EngineOption = "log-opt=splunk-token=abc".parse().unwrap();
    let mut wanted = wish("C", None, &[]);
    wanted.engine.options = vec!["log-driver=splunk".parse().unwrap(), option];
    let mut host = set_up(&wanted);
    assert_eq!(host.files[DAEMON_JSON].mode, 0o600);
    host.files.get_mut(DAEMON_JSON).unwrap().mode = 0o644;
    let narrowed = plan(&host, &wanted).unwrap();
    assert!(!narrowed.is_empty() && !narrowed.restarts(), "{narrowed}");
    assert_eq!(applied(host, &narrowed).files[DAEMON_JSON].mode, 0o600);
}
