//! Plans for every family of systems, from facts that were recorded on real hosts (Debian) or
//! written from the distributions' own packages (the others), against golden files.
//!
//! `SNAPSHOTS=overwrite cargo test -p rmachine-provision --test plans` writes the golden files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rmachine_driver::Secret;
use rmachine_provision::{EngineSettings, Facts, Plan, Refusals, Step, TlsMaterial, Wanted, plan};

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
        if matches!(name.as_str(), "alpine-3.20" | "devuan-sysvinit") {
            // A shell variable cannot hold the blank; that refusal has its own test.
            wanted.engine.options.pop();
        }
        let golden = here("golden").join(format!("{name}.txt"));
        let actual = shown(plan(&facts, &wanted));
        snapbox::assert_data_eq!(actual, snapbox::Data::read_from(&golden, None).raw());
    }
}
