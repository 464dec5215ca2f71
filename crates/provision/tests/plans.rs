//! Plans for every family of systems, from facts that were recorded on real hosts (Debian) or
//! written from the distributions' own packages (the others), against golden files.
//!
//! `SNAPSHOTS=overwrite cargo test -p rmachine-provision --test plans` writes the golden files.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rmachine_driver::Secret;
use rmachine_provision::{
    EngineSettings, Facts, FileFacts, Listener, Masked, Plan, ProvisionError, Refusals, Step,
    TlsMaterial, Wanted, plan,
};

fn here(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(directory)
}

fn facts(name: &str) -> Facts {
    let text = std::fs::read(here("facts").join(format!("{name}.txt"))).unwrap();
    Facts::parse(&text).unwrap()
}

fn wanted() -> Wanted {
    Wanted {
        hostname: Some("n1".to_owned()),
        engine: EngineSettings {
            options: ["log-driver=journald", "no-such-option=a b%"]
                .map(|option| option.parse().unwrap())
                .to_vec(),
            labels: vec!["zone=a".to_owned(), "provider=generic".to_owned()],
            env: vec!["HTTP_PROXY=http://u:p%40ss@proxy:3128".parse().unwrap()],
            insecure_registries: vec!["registry.example:5000".to_owned()],
            ..EngineSettings::default()
        },
        tls: TlsMaterial {
            ca: "CA\n".to_owned(),
            certificate: "CERTIFICATE\n".to_owned(),
            key: Secret::new("KEY"),
            replaces: None,
        },
    }
}

/// A plan with the texts of its files, but for certificates.
fn shown(plan: Result<Plan, Refusals>) -> String {
    let mut text = String::new();
    match plan {
        Ok(plan) => {
            for step in &plan.steps {
                writeln!(text, "{step}").unwrap();
                match step {
                    Step::Write(file) if !file.path.ends_with(".pem") => {
                        for line in file.content.lines() {
                            writeln!(text, "    {line}").unwrap();
                        }
                    }
                    Step::Validate { arguments, .. } => {
                        writeln!(text, "    {}", arguments.join(" ")).unwrap();
                    }
                    Step::InstallPackages {
                        manager,
                        welcome,
                        before,
                        ..
                    } => writeln!(text, "    {manager} {welcome:?} {before:?}").unwrap(),
                    Step::RunInstallScript { fetcher_from, .. } => {
                        writeln!(text, "    {fetcher_from:?}").unwrap();
                    }
                    _ => {}
                }
            }
            for warning in &plan.warnings {
                writeln!(text, "warning: {warning}").unwrap();
            }
        }
        Err(refusals) => {
            for failure in &refusals.0 {
                writeln!(text, "refused: {failure}\n    {}", failure.remedy).unwrap();
            }
        }
    }
    text
}

#[test]
fn every_family_has_its_plan() {
    let mut names: Vec<String> = std::fs::read_dir(here("facts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() > 20);
    for name in names {
        let mut wanted = wanted();
        let facts = facts(&name);
        let shell = ["alpine-3.20", "devuan-sysvinit"].contains(&name.as_str());
        if shell || name.starts_with("boot2docker") {
            // A shell variable cannot hold the blank; that refusal has its own test.
            wanted.engine.options.pop();
        }
        let golden = here("golden").join(format!("{name}.txt"));
        let actual = shown(plan(&facts, &wanted));
        snapbox::assert_data_eq!(actual, snapbox::Data::read_from(&golden, None).raw());
    }
}

/// The subject and the finding of every refusal.
fn refusals(facts: &Facts, wanted: &Wanted) -> Vec<String> {
    match plan(facts, wanted) {
        Ok(plan) => vec![format!("planned: {plan}")],
        Err(refusals) => {
            assert!(refusals.0.iter().all(|failure| !failure.remedy.is_empty()));
            refusals.0.iter().map(ToString::to_string).collect()
        }
    }
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_touched() {
    type Change = fn(&mut Facts, &mut Wanted);
    let cases: [(Change, &str); 14] = [
        (
            |facts, _| facts.uid = 1000,
            "root: the user on the host has uid 1000",
        ),
        (
            |facts, _| facts.clock_ahead = Some(-7200),
            "clock: the host's clock is 7200 s behind",
        ),
        (
            |facts, _| facts.clock_ahead = Some(94_000_000),
            "clock: the host's clock is 94000000 s ahead",
        ),
        (
            |facts, _| {
                facts.free.insert("/".to_owned(), 10 << 20);
            },
            "disk: / has 10 MiB free, 50 MiB are needed",
        ),
        (
            |facts, _| {
                facts.listeners.push(Listener {
                    port: 2376,
                    program: Some("nginx".to_owned()),
                });
            },
            "port 2376: nginx listens there",
        ),
        (
            |_, wanted| {
                wanted
                    .engine
                    .options
                    .push("cluster-advertise=eth9:2376".parse().unwrap())
            },
            "engine option cluster-advertise: the host has no interface eth9",
        ),
        (
            |_, wanted| {
                wanted
                    .engine
                    .options
                    .push("cluster-store=etcd://h:2379".parse().unwrap())
            },
            "engine option cluster-store: engine 26.1.5+dfsg1 has no cluster-store: 23.0 removed it",
        ),
        (
            |_, wanted| wanted.engine.storage_driver = Some("aufs".to_owned()),
            "engine option storage-driver: engine 26.1.5+dfsg1 has no storage driver aufs",
        ),
        (
            |_, wanted| wanted.engine.labels.push("x".to_owned()),
            "engine label: \"x\" is not key=value",
        ),
        (
            |facts, _| daemon_json(facts, "{ bad"),
            "/etc/docker/daemon.json: it is not a JSON object",
        ),
        (
            |facts, _| daemon_json(facts, r#"{"labels": "a=b"}"#),
            "/etc/docker/daemon.json: its \"labels\" has another shape",
        ),
        (
            |facts, _| daemon_json(facts, r#"{"containerd": "/x.sock"}"#),
            "/etc/docker/daemon.json: it sets \"containerd\", and so does --containerd in docker.service",
        ),
        (
            |facts, _| facts.service.as_mut().unwrap().masked = Masked::Yes,
            "docker.service: it is masked",
        ),
        (
            |facts, _| {
                let path = "/etc/systemd/system/docker.service.d/zzz.conf".to_owned();
                let text = "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd\n";
                facts.files.insert(path.clone(), file(text));
                facts.service.as_mut().unwrap().drop_ins.push(path);
            },
            "/etc/systemd/system/docker.service.d/zzz.conf: its ExecStart would win",
        ),
    ];
    for (change, expected) in cases {
        let mut facts = facts("debian-13");
        let mut wanted = wanted();
        change(&mut facts, &mut wanted);
        let found = refusals(&facts, &wanted);
        let named = found.iter().any(|failure| failure.starts_with(expected));
        assert!(named, "{expected}: {found:?}");
    }
}

fn daemon_json(facts: &mut Facts, text: &str) {
    facts
        .files
        .insert("/etc/docker/daemon.json".to_owned(), file(text));
}

fn file(text: &str) -> FileFacts {
    FileFacts {
        mode: 0o644,
        content: text.to_owned(),
    }
}

#[test]
fn facts_that_were_cut_off_are_no_facts() {
    let text = std::fs::read(here("facts").join("debian-12.txt")).unwrap();
    for length in [0, 10, text.len() / 2, text.len() - 5] {
        assert!(matches!(
            Facts::parse(&text[..length]),
            Err(ProvisionError::FactsUnreadable { .. })
        ));
    }
}
