//! How the engine that is installed becomes the one that is wanted.

use rmachine_driver::CheckFailure;

use crate::facts::Facts;
use crate::options::Contribution;
use crate::plan::configured::{Configured, Place};
use crate::plan::daemon_json::{Applied, DaemonJson};
use crate::plan::steps::Steps;
use crate::plan::{
    APPLIED_NOTE, DAEMON_JSON, Plan, Service, Stage, Step, checks, failure, shell_file,
};
use crate::tls_paths;
use crate::wanted::{EngineSettings, Wanted};

/// Plans the configuration of an engine that is there.
pub(super) fn plan(facts: &Facts, wanted: &Wanted) -> Result<Plan, Vec<CheckFailure>> {
    let (Some(engine), Some(service)) = (&facts.engine, &facts.service) else {
        return Err(vec![no_service(facts)]);
    };
    let (contributions, mut failures) = split(checks::contributions(
        &wanted.engine,
        engine.version.as_ref(),
    ));
    let boot2docker = shell_file::is_boot2docker(facts);
    let contributions = match boot2docker {
        // Its script gives the engine arguments, among them some that would be in both places.
        true => arguments(&wanted.engine),
        false => contributions,
    };
    let place = match Place::of(facts, service) {
        Ok(place) => Some(place),
        Err(refused) => {
            failures.push(refused);
            None
        }
    };
    let json = match daemon_json(facts, &contributions, boot2docker) {
        Ok(json) => Some(json),
        Err(refused) => {
            failures.extend(refused);
            None
        }
    };
    let (Some(place), Some(json)) = (place, json) else {
        return Err(failures);
    };
    let configured = Configured::new(&place, json, &contributions, wanted, service);
    failures.extend(configured.conflicts(&place));
    let command_files = match place.files(facts, &configured, wanted) {
        Ok(files) => files,
        Err(refused) => {
            failures.push(refused);
            Vec::new()
        }
    };
    if !failures.is_empty() {
        return Err(failures);
    }
    let steps = Steps {
        facts,
        engine,
        service,
    };
    let steps = steps.all(&configured, command_files, wanted);
    let mut warnings = configured.warnings;
    let is_restarted = |step: &Step| matches!(step, Step::Restart { .. });
    let is_certificate =
        |step: &Step| matches!(step, Step::Write(file) if file.path.ends_with(".pem"));
    if steps.iter().any(is_certificate) && !steps.iter().any(is_restarted) {
        warnings.push(
            "the engine uses its previous certificate until its next restart; the new one names \
             and permits less"
                .to_owned(),
        );
    }
    Ok(Plan {
        stage: Stage::Configure,
        steps,
        warnings,
        service: Service {
            init: facts.init,
            name: service.name.clone(),
        },
        port: wanted.engine.port,
    })
}

fn no_service(facts: &Facts) -> CheckFailure {
    let path = facts.engine.as_ref().map_or("dockerd", |e| e.path.as_str());
    failure(
        "docker service",
        format!("{path} is there, but no service starts it"),
        "install the engine from a package, or give it a docker.service",
    )
}

/// The settings as arguments of dockerd; the storage driver has a variable of its own.
fn arguments(engine: &EngineSettings) -> Vec<Contribution> {
    let options = engine.options.iter().map(|option| match &option.value {
        Some(value) => format!("--{}={value}", option.name),
        None => format!("--{}", option.name),
    });
    let named = |name: &'static str, values: &[String]| {
        let flags: Vec<String> = values
            .iter()
            .map(|value| format!("--{name}={value}"))
            .collect();
        flags
    };
    options
        .chain(named("label", &engine.labels))
        .chain(named("insecure-registry", &engine.insecure_registries))
        .chain(named("registry-mirror", &engine.registry_mirrors))
        .map(Contribution::Argument)
        .collect()
}

fn split<T, E>(results: Vec<Result<T, E>>) -> (Vec<T>, Vec<E>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(error) => bad.push(error),
        }
    }
    (good, bad)
}

/// The owner's `daemon.json` with ours merged in.
fn daemon_json(
    facts: &Facts,
    contributions: &[Contribution],
    boot2docker: bool,
) -> Result<DaemonJson, Vec<CheckFailure>> {
    let earlier = Applied::read(facts.settled_text(APPLIED_NOTE));
    let mut json = DaemonJson::read(facts.settled_text(DAEMON_JSON), earlier).map_err(|error| {
        vec![failure(
            DAEMON_JSON,
            format!("it is not a JSON object: {error}"),
            "correct the file on the host; dockerd cannot read it either",
        )]
    })?;
    let tls = [
        ("tlsverify", serde_json::json!(true)),
        ("tlscacert", serde_json::json!(tls_paths::CA)),
        ("tlscert", serde_json::json!(tls_paths::CERTIFICATE)),
        ("tlskey", serde_json::json!(tls_paths::KEY)),
    ]
    .map(|(key, value)| Contribution::Scalar(key, value));
    let mut failures = Vec::new();
    let tls = tls.iter().filter(|_| !boot2docker);
    for contribution in tls.chain(contributions) {
        match json.misshapen(contribution) {
            Some(key) => failures.push(failure(
                DAEMON_JSON,
                format!("its {key:?} has another shape than dockerd takes"),
                "correct the file on the host",
            )),
            None => json.add(contribution),
        }
    }
    if failures.is_empty() {
        Ok(json)
    } else {
        Err(failures)
    }
}
