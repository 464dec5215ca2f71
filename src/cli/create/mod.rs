//! `rmachine create`: makes machines, several at once, and goes on with those half made.

mod driver_flags;
mod store;
mod swarm;

use clap::{ArgMatches, FromArgMatches};
use rmachine_driver::{FirstContact, FlagValues, MachineName};
use rmachine_lifecycle::{EngineRequest, LifecycleError, MachineSpec, Machines, OnFailure};
use rmachine_machine::EngineOptions;
use rmachine_pki::KeyType;
use rmachine_provision::{EngineInstall, EngineOption, EngineSettings, EnvVar};

use super::App;
use super::each::each_told;
use crate::error::{CommandError, Status};
use crate::ui::Line;

use store::StoreArgs;
use swarm::SwarmArgs;

pub use driver_flags::{chosen_driver, with_driver_flags};

/// Make machines, or adopt hosts, and set up their engines behind mutual TLS
///
/// A machine that was not made to its end is taken up where it stands.
pub struct Args {
    shared: Shared,
    flags: FlagValues,
}

#[derive(clap::Args)]
struct Shared {
    /// The machines' names; several are made at the same time
    #[arg(value_name = "NAME", required = true)]
    names: Vec<MachineName>,

    /// What makes the machines; '-d DRIVER --help' lists its options
    #[arg(short, long, env = "MACHINE_DRIVER", hide_env_values = true,
          default_value = driver_flags::DEFAULT)]
    driver: String,

    /// Take away what was made when something fails, in place of leaving it to be resumed
    #[arg(long)]
    rollback: bool,

    /// Print what would change on a host that is there already, and change nothing
    #[arg(long, conflicts_with = "rollback")]
    dry_run: bool,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    swarm: SwarmArgs,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Engine options")]
struct EngineArgs {
    /// Where a missing engine comes from; 'auto' takes the one that is there, else the
    /// distribution's package
    #[arg(long, value_name = "HOW", default_value = "auto",
          value_parser = clap::builder::PossibleValuesParser::new(EngineInstall::NAMES))]
    engine_install: String,

    /// The script that '--engine-install script' fetches and runs
    #[arg(long, value_name = "URL", env = "MACHINE_DOCKER_INSTALL_URL", hide_env_values = true,
          default_value = EngineSettings::INSTALL_URL)]
    engine_install_url: String,

    /// An option of dockerd, as 'name=value' or 'name'
    #[arg(long, value_name = "OPTION")]
    engine_opt: Vec<EngineOption>,

    /// A label of the engine, as 'key=value'
    #[arg(long, value_name = "LABEL")]
    engine_label: Vec<String>,

    /// A variable in the engine's environment, as 'NAME=value'
    #[arg(long, value_name = "VARIABLE", value_parser = variable)]
    engine_env: Vec<String>,

    /// A registry that the engine talks to without verified TLS
    #[arg(long, value_name = "REGISTRY")]
    engine_insecure_registry: Vec<String>,

    /// A mirror of the public registry
    #[arg(
        long,
        value_name = "URL",
        env = "ENGINE_REGISTRY_MIRROR",
        hide_env_values = true
    )]
    engine_registry_mirror: Vec<String>,

    /// The engine's storage driver [default: the engine's own choice]
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    engine_storage_driver: String,

    /// A further name or address in the engine's certificate
    #[arg(long, value_name = "NAME")]
    tls_san: Vec<String>,

    /// The kind of the private keys that are made
    #[arg(
        long,
        value_name = "TYPE",
        env = "MACHINE_TLS_KEY_TYPE",
        hide_env_values = true,
        default_value_t
    )]
    tls_key_type: KeyType,
}

impl EngineArgs {
    fn request(&self) -> Result<EngineRequest, CommandError> {
        let install = self.engine_install.parse();
        Ok(EngineRequest {
            install: install.map_err(|error: rmachine_provision::InvalidSetting| {
                CommandError::usage(error.to_string())
            })?,
            tls_sans: self.tls_san.clone(),
            tls_key: self.tls_key_type,
            options: EngineOptions {
                arbitrary_flags: self.engine_opt.iter().map(ToString::to_string).collect(),
                env: self.engine_env.clone(),
                insecure_registry: self.engine_insecure_registry.clone(),
                labels: self.engine_label.clone(),
                storage_driver: self.engine_storage_driver.clone(),
                tls_verify: true,
                registry_mirror: self.engine_registry_mirror.clone(),
                install_url: self.engine_install_url.clone(),
                ..EngineOptions::default()
            },
        })
    }
}

impl clap::Args for Args {
    fn augment_args(command: clap::Command) -> clap::Command {
        Shared::augment_args(command).about("Make machines, or adopt hosts, behind mutual TLS")
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let shared = Shared::from_arg_matches(matches)?;
        let flags = driver_flags::values(matches, &shared.driver);
        Ok(Self { shared, flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Makes the machines and says how to reach them.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let machines = &app.machines;
    let [first, others @ ..] = args.shared.names.as_slice() else {
        return Ok(Status::OK);
    };
    let spec = MachineSpec {
        name: first.clone(),
        driver: args.shared.driver.clone(),
        flags: args.flags,
        engine: args.shared.engine.request()?,
        swarm: args.shared.swarm.request()?,
        store: args.shared.store.request()?,
    };
    let of_spec = |error| CommandError::of_lifecycle(error, spec.name.as_str());
    let kind = machines.kind(&spec.driver).map_err(of_spec)?;
    let driver = kind.configure(
        app.store.driver_context(first, FirstContact::Pin),
        &spec.flags,
    )?;
    if driver.capabilities().adopted && !others.is_empty() {
        return Err(CommandError::usage(
            "one host cannot become several machines",
        ));
    }
    if args.shared.swarm.is_sole() && !others.is_empty() {
        return Err(CommandError::usage(
            "several masters need a store that keeps the nodes of them all",
        )
        .hint("--swarm-opt replication --swarm-discovery etcd://…"));
    }
    if args.shared.store.is_sole() && !others.is_empty() {
        return Err(CommandError::usage(
            "several machines would each begin a store; the others join the first one's",
        )
        .hint(format!("--store-join {first}")));
    }
    if args.shared.dry_run {
        return dry_run(app, machines, &args.shared.names, &spec).await;
    }
    let on_failure = match args.shared.rollback {
        true => OnFailure::RollBack,
        false => OnFailure::Keep,
    };
    let make = async |name: &MachineName, line: &Line<'_>| {
        let spec = MachineSpec {
            name: name.clone(),
            ..spec.clone()
        };
        make(app, machines, &spec, on_failure, line).await
    };
    each_told(app, &args.shared.names, make)
        .await
        .map_err(|error| error.hint(again(app)))
}

async fn make(
    app: &App,
    machines: &Machines,
    spec: &MachineSpec,
    on_failure: OnFailure,
    line: &Line<'_>,
) -> Result<String, CommandError> {
    let name = spec.name.as_str();
    match machines.create(spec, on_failure, line, &app.ui).await {
        Ok(created) => {
            let is_master = spec
                .swarm
                .as_ref()
                .is_some_and(|swarm| swarm.options.master);
            let cluster = if is_master { "--swarm " } else { "" };
            Ok(format!(
                "ready at {}; to use it, run: eval \"$({} env {cluster}{name})\"",
                created.url,
                app.program()
            ))
        }
        Err(error) => {
            let half_made = on_failure == OnFailure::Keep
                && app.store.contains(&spec.name)
                && !matches!(
                    error,
                    LifecycleError::Store(_)
                        | LifecycleError::OtherDriver { .. }
                        | LifecycleError::OtherOptions { .. }
                );
            let error = CommandError::of_lifecycle(error, name);
            Err(match half_made {
                false => error,
                true => error
                    .hint(format!("{} (goes on where it stopped)", again(app)))
                    .hint(format!("{} rm {name} (removes it)", app.program())),
            })
        }
    }
}

async fn dry_run(
    app: &App,
    machines: &Machines,
    names: &[MachineName],
    spec: &MachineSpec,
) -> Result<Status, CommandError> {
    for name in names {
        let spec = MachineSpec {
            name: name.clone(),
            ..spec.clone()
        };
        let line = app.ui.line(name.as_str());
        let planned = machines.create_planned(&spec, &line, &app.ui).await;
        let plan = planned.map_err(|error| CommandError::of_lifecycle(error, name.as_str()))?;
        app.ui.data(&match plan {
            Some(plan) => plan.to_string(),
            None => format!(
                "{name}: the {} driver makes the host first; nothing is known of it before\n",
                spec.driver
            ),
        })?;
    }
    Ok(Status::OK)
}

/// The very command that was typed.
fn again(app: &App) -> String {
    let words = app.process.args().iter().map(|word| word.to_string_lossy());
    let words: Vec<_> = words.collect();
    shlex::try_join(words.iter().map(AsRef::as_ref)).unwrap_or_else(|_| words.join(" "))
}

fn variable(text: &str) -> Result<String, rmachine_provision::InvalidSetting> {
    text.parse::<EnvVar>().map(|_| text.to_owned())
}
