use rmachine_driver::{DriverError, MachineState, Operation, Resource, Work};
use rmachine_engine::EngineError;

use crate::archive::{self, Account, Injected};
use crate::attach::Network;
use crate::container::{self, Remake, Seen, Spec};
use crate::daemon::{Below, Daemon};
use crate::failure::{self, backend, backend_with_hint};
use crate::host::DockerHost;
use crate::isolation::Isolation;
use crate::keys::MachineKeys;
use crate::machine::Machine;
use crate::{node_image, power};

/// How often a container is made before giving up: once for each reason to make it in another
/// way, and some for addresses that others take at the same moment.
const ATTEMPTS: usize = 8;

/// A machine that is running.
pub struct Made {
    pub seen: Seen,
    pub host: DockerHost,
    pub user: String,
}

/// What is tried, and changed when the engine refuses it.
struct Attempt {
    isolation: Isolation,
    fixed_address: bool,
    refused: String,
}

/// Makes the machine's container and starts it, or goes on with one that an earlier call left.
pub async fn create(machine: &Machine, work: &Work<'_>) -> Result<Made, DriverError> {
    let daemon = machine.daemon(Operation::Create).await?;
    let below = daemon.below().await.map_err(made)?;
    let keys = MachineKeys::ensure(&machine.context.machine_dir, &machine.context.name)?;
    let image = match &machine.config.wanted_image {
        Some(image) => image.clone(),
        None => {
            node_image::ensure(
                daemon,
                &machine.config.recipe(),
                &machine.cache(),
                work.report,
            )
            .await?
        }
    };
    let name = machine.container();
    let mut attempt = Attempt {
        isolation: daemon.known_isolation().await.map_err(made)?,
        fixed_address: true,
        refused: String::new(),
    };
    for _ in 0..ATTEMPTS {
        let seen = match daemon.container(&name).await.map_err(made)? {
            Some(seen) if seen.is_of(&machine.context) => seen,
            Some(_) => return Err(foreign(&name)),
            None => make(machine, daemon, &below, &image, &attempt, work).await?,
        };
        // Half removed, or left by a machine of the same name whose key is lost.
        let dead = matches!(seen.state(), MachineState::Error | MachineState::Stopping);
        if dead || !seen.opens_to_key_of(&machine.context) {
            daemon.remove_container(&name).await.map_err(made)?;
            continue;
        }
        if seen.state() == MachineState::Paused {
            daemon.unpause(&name).await.map_err(made)?;
        }
        let user = account(daemon, &name, seen.image()).await?;
        if seen.state() == MachineState::Stopped {
            inject(machine, daemon, &keys, &user).await?;
            work.report.step("starting the container");
            if let Err(error) = daemon.start(&name).await {
                attempt.learn(&seen, error)?;
                daemon.remove_container(&name).await.map_err(made)?;
                continue;
            }
            power::booting(daemon, &name, Operation::Create).await?;
        }
        return Ok(Made {
            seen,
            host: daemon.host().clone(),
            user: user.name,
        });
    }
    Err(backend(
        Operation::Create,
        format!(
            "the container did not start in {ATTEMPTS} attempts; the last refusal: {}",
            attempt.refused
        ),
    ))
}

impl Attempt {
    /// Changes what was refused of this container, which an earlier call may have made in another
    /// way; gives the error back where nothing can be changed.
    fn learn(&mut self, refused: &Seen, error: EngineError) -> Result<(), DriverError> {
        let failed = |error| failure::engine(Operation::Create, "starting the container", error);
        let EngineError::Refused { message, .. } = &error else {
            return Err(failed(error));
        };
        match Remake::after(message) {
            Some(Remake::WithoutPrivilege)
                if refused.isolation() != Some(Isolation::Capabilities) =>
            {
                self.isolation = Isolation::Capabilities;
            }
            Some(Remake::WithoutAddress) if refused.place().address.is_some() => {
                self.fixed_address = false
            }
            Some(Remake::ElsewhereOnTheNetwork) => {}
            _ => return Err(failed(error)),
        }
        self.refused.clone_from(message);
        Ok(())
    }
}

async fn make(
    machine: &Machine,
    daemon: &Daemon,
    below: &Below,
    image: &str,
    attempt: &Attempt,
    work: &Work<'_>,
) -> Result<Seen, DriverError> {
    let name = machine.container();
    // Until the container exists, nobody else may choose its address or remove its network.
    let _held = machine.network_lock(work).await?;
    let network = match &machine.config.wanted_network {
        Some(network) => Network::of_user(daemon, network).await?,
        None => Network::shared(daemon, work.resources).await?,
    };
    let publish = machine.config.publish || below.addresses_unreachable;
    let spec = Spec {
        context: &machine.context,
        config: &machine.config,
        image,
        network: network.name(),
        place: network.place(attempt.fixed_address, publish)?,
        isolation: attempt.isolation,
        cgroups: below.cgroups,
    };
    work.resources
        .about_to_make(&Resource::new(container::RESOURCE, &name))?;
    work.report.step("making the container");
    daemon
        .make_container(&name, &spec.body())
        .await
        .map_err(made)?;
    daemon
        .container(&name)
        .await
        .map_err(made)?
        .ok_or_else(|| machine.gone())
}

/// Who logs in, as the image has it.
async fn account(daemon: &Daemon, name: &str, image: &str) -> Result<Account, DriverError> {
    let passwd = daemon.file(name, "/etc/passwd").await;
    let passwd = passwd.map_err(|e| failure::engine(Operation::Create, "reading the image", e))?;
    archive::only_file(&passwd)
        .ok()
        .and_then(|text| archive::login_account(&text))
        .ok_or_else(|| {
            backend_with_hint(
                Operation::Create,
                format!("the image {image} has neither an account docker nor root"),
                "give an image with systemd, sshd and such an account with --docker-image",
            )
        })
}

/// Gives the machine its keys before its first boot.
async fn inject(
    machine: &Machine,
    daemon: &Daemon,
    keys: &MachineKeys,
    account: &Account,
) -> Result<(), DriverError> {
    let directory = &machine.context.machine_dir;
    let (host_key, host_key_public) = keys.host(directory)?;
    let archive = Injected {
        account,
        authorized_keys: &keys.authorized(directory)?,
        host_key: &host_key,
        host_key_public: &host_key_public,
    }
    .archive();
    let archive = archive.map_err(|source| failure::file(directory, source))?;
    let put = daemon.lay_over(&machine.container(), archive).await;
    put.map_err(|e| failure::engine(Operation::Create, "giving the machine its keys", e))
}

fn foreign(name: &str) -> DriverError {
    backend_with_hint(
        Operation::Create,
        format!("the engine has a container {name} that is not of this machine"),
        "give the machine another name, or remove that container",
    )
}

fn made(error: EngineError) -> DriverError {
    failure::engine(Operation::Create, "making the container", error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused_privilege() -> EngineError {
        EngineError::Refused {
            status: 500,
            message: "runc create failed: unable to apply caps: operation not permitted".into(),
            path: "/containers/x/start".into(),
        }
    }

    fn made_with(isolation: Isolation) -> Seen {
        let labels = json!({container::ISOLATION_LABEL: isolation.as_str()});
        Seen::new(json!({"Config": {"Labels": labels}}))
    }

    #[test]
    fn what_an_earlier_call_left_is_made_again_as_the_engine_can() {
        for known in [Isolation::Privileged, Isolation::Capabilities] {
            let mut attempt = Attempt {
                isolation: known,
                fixed_address: true,
                refused: String::new(),
            };
            let left = made_with(Isolation::Privileged);
            attempt.learn(&left, refused_privilege()).unwrap();
            assert_eq!(attempt.isolation, Isolation::Capabilities);
            let again = made_with(Isolation::Capabilities);
            attempt.learn(&again, refused_privilege()).unwrap_err();
        }
    }
}
