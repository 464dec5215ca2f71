use std::net::IpAddr;

use rmachine_driver::{Driver, HostAddress, Work};
use rmachine_provision::{Facts, read_facts};
use rmachine_ssh::{ConnectOptions, Ssh, connect, wait_until_reachable};

use crate::watch::while_up;
use crate::{LifecycleError, Machines, bounds};

/// A host that answers over SSH, with what it told about itself.
pub(crate) struct Host<'a> {
    pub(crate) ssh: Box<dyn Ssh + 'a>,
    pub(crate) facts: Facts,
}

/// Whether a host's sshd must be up already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Booting {
    /// The host is there: one try.
    No,
    /// The host was just powered on: sshd may take its time.
    Yes,
}

impl Machines {
    /// Connects to a machine's host and reads its facts, over the one connection that all later
    /// work uses.
    pub(crate) async fn host<'a>(
        &self,
        driver: &dyn Driver,
        booting: Booting,
        work: &Work<'a>,
    ) -> Result<Host<'a>, LifecycleError> {
        let Some(endpoint) = driver.ssh().await? else {
            return Err(LifecycleError::NotProvisioned {
                driver: driver.name().to_owned(),
            });
        };
        let options = ConnectOptions {
            limit: bounds::CONNECT,
            ..self.settings.ssh.clone()
        };
        work.report
            .step(&format!("connecting to {}", endpoint.host));
        let ssh = match booting {
            Booting::No => connect(&endpoint, &options, work.secrets).await?,
            Booting::Yes => {
                let booted = wait_until_reachable(&endpoint, &options, work.secrets, bounds::BOOT);
                while_up(driver, booted).await?
            }
        };
        work.report.step("reading the facts of the host");
        let facts = read_facts(ssh.as_ref()).await?;
        Ok(Host { ssh, facts })
    }
}

/// The IP addresses behind an address: itself, or what its name resolves to from here.
pub(crate) async fn resolved(address: &HostAddress, port: u16) -> Vec<IpAddr> {
    match address {
        HostAddress::Ip(ip) => vec![*ip],
        HostAddress::Name(name) => {
            let lookup = tokio::net::lookup_host((name.as_str(), port));
            match tokio::time::timeout(bounds::CONNECT, lookup).await {
                Ok(Ok(found)) => found.map(|socket| socket.ip()).collect(),
                // The connection that follows tells why; a certificate does without.
                Ok(Err(_)) | Err(_) => Vec::new(),
            }
        }
    }
}
