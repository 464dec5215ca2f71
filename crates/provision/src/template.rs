//! The templates: everything that is sent to a host as a script or ends up there as a file.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};

use crate::env_var::EnvVar;
use crate::error::ProvisionError;
use crate::tls_paths;

/// The systemd drop-in, with the file that holds the engine's environment.
pub(crate) fn drop_in(command: &str, environment: Option<&str>) -> Result<String, ProvisionError> {
    render("10-machine.conf", context! { command, environment })
}

/// The part of a shell file that is ours. `kept` takes the place of the owner's options where some
/// of them had to go.
pub(crate) fn shell_block(
    kept: Option<&str>,
    added: &str,
    env: &[EnvVar],
) -> Result<String, ProvisionError> {
    let env = variables(env);
    render(
        "docker-opts.sh",
        context! { kept => kept.map(str::to_owned), added => added.to_owned(), env },
    )
}

fn variables(env: &[EnvVar]) -> Vec<Value> {
    env.iter()
        .map(|variable| context! { name => variable.name().to_owned(), value => variable.value().to_owned() })
        .collect()
}

/// As [`shell_block`], for boot2docker, whose script puts the engine's hosts and TLS files on the
/// command line itself.
pub(crate) fn boot2docker_block(
    kept: Option<&str>,
    added: &str,
    profile: &Boot2Docker<'_>,
) -> Result<String, ProvisionError> {
    render(
        "boot2docker-profile.sh",
        context! {
            kept => kept.map(str::to_owned),
            added => added.to_owned(),
            hosts => profile.hosts.clone(),
            storage => profile.storage.map(str::to_owned),
            ca => tls_paths::CA,
            certificate => tls_paths::CERTIFICATE,
            key => tls_paths::KEY,
            env => variables(profile.env),
        },
    )
}

/// What boot2docker's profile says beside the engine's arguments.
pub(crate) struct Boot2Docker<'a> {
    /// Where the engine listens beside its socket, as arguments.
    pub hosts: String,
    pub storage: Option<&'a str>,
    pub env: &'a [EnvVar],
}

/// A template with these values in it.
///
/// # Errors
/// [`ProvisionError::Template`] when it needs one that is not there.
pub(crate) fn render(name: &'static str, values: Value) -> Result<String, ProvisionError> {
    let rendered = || environment()?.get_template(name)?.render(values);
    rendered().map_err(|source| ProvisionError::Template {
        name,
        source: Box::new(source),
    })
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()?;
    environment.set_syntax(syntax);
    // An error must not show the values: there are keys among them.
    environment.set_debug(false);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_filter("sh", |text: &str| {
        shlex::try_quote(text)
            .map(|quoted| quoted.into_owned())
            .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    for (name, source) in [
        ("lib.sh", include_str!("../../../templates/lib.sh.j2")),
        ("apply.sh", include_str!("../../../templates/apply.sh.j2")),
        (
            "install.sh",
            include_str!("../../../templates/install.sh.j2"),
        ),
        (
            "packages.sh",
            include_str!("../../../templates/packages.sh.j2"),
        ),
        (
            "program.sh",
            include_str!("../../../templates/program.sh.j2"),
        ),
        (
            "restore.sh",
            include_str!("../../../templates/restore.sh.j2"),
        ),
        (
            "10-machine.conf",
            include_str!("../../../templates/10-machine.conf.j2"),
        ),
        (
            "docker-opts.sh",
            include_str!("../../../templates/docker-opts.sh.j2"),
        ),
        (
            "boot2docker-profile.sh",
            include_str!("../../../templates/boot2docker-profile.sh.j2"),
        ),
    ] {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}
