use std::net::Ipv4Addr;
use std::time::Duration;

use rmachine_driver::{DriverError, MachineState, NoSecrets, Operation};
use rmachine_ssh::{ConnectOptions, Output, Privilege, Run, SshError, connect};
use tokio::time::{sleep, timeout};

use crate::machine::Machine;
use crate::{answer, failure};

/// How long a running machine may take to tell its address, where only it knows it.
const LIMIT: Duration = Duration::from_secs(30);

/// How long one attempt to ask it over SSH may take, so that there is time for another one.
const ATTEMPT: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_secs(1);

/// Where the machine's guest additions tell the address of its second card, as they count them.
const PROPERTY: &str = "/VirtualBox/GuestInfo/Net/1/V4/IP";

/// An address, or why there is none yet.
type Heard = Result<Ipv4Addr, String>;

/// The address of the machine's second card, which only the machine knows.
pub async fn told(machine: &Machine) -> Result<Ipv4Addr, DriverError> {
    if let Some(address) = machine.told_address() {
        return Ok(address);
    }
    let address = awaited(|| heard(machine)).await?;
    machine.remember_told(address);
    Ok(address)
}

/// Asks until there is an address, and not for ever.
async fn awaited<F>(mut ask: impl FnMut() -> F) -> Result<Ipv4Addr, DriverError>
where
    F: Future<Output = Result<Heard, DriverError>>,
{
    let mut last = "neither VirtualBox nor its sshd has answered".to_owned();
    let asked = async {
        loop {
            match ask().await? {
                Ok(address) => return Ok(address),
                Err(why) => last = why,
            }
            sleep(PAUSE).await;
        }
    };
    timeout(LIMIT, asked).await.unwrap_or_else(|_| {
        Err(DriverError::Timeout {
            waiting_for: "the machine to tell its address".to_owned(),
            limit: LIMIT,
            last,
        })
    })
}

/// What the guest additions tell VirtualBox or, since not every system has them, the machine itself
/// says over SSH.
async fn heard(machine: &Machine) -> Result<Heard, DriverError> {
    if let Some(address) = by_additions(machine).await? {
        return Ok(Ok(address));
    }
    let said = by_itself(machine).await?;
    Ok(said.map_err(|why| format!("its guest additions tell none, and over SSH: {why}")))
}

/// What the guest additions tell. They count the cards that have an address, so that the second
/// one may be a network of containers.
async fn by_additions(machine: &Machine) -> Result<Option<Ipv4Addr>, DriverError> {
    let manage = machine.manage(Operation::Inspect)?;
    let told = manage.run(["guestproperty", "get", machine.reference(), PROPERTY]);
    let told = told.await.map_err(|error| {
        failure::manage(
            Operation::Inspect,
            "asking for the machine's address",
            error,
        )
    })?;
    let address = answer::guest_property(&told).and_then(|text| text.parse().ok());
    let cidr = machine.config.host_only_cidr;
    Ok(address.filter(|address| cidr.is_none_or(|cidr| cidr.subnet.holds(*address))))
}

/// What the machine itself says, or why it says nothing yet.
async fn by_itself(machine: &Machine) -> Result<Heard, DriverError> {
    let vm = machine.seen(Operation::Inspect).await?;
    if vm.state().machine() != MachineState::Running {
        return Err(DriverError::NotRunning);
    }
    let Some(card) = vm.card(2) else {
        return Err(failure::backend_with_hint(
            Operation::Inspect,
            "the VM has no second network card, which is to have the machine's address".to_owned(),
            "stop the machine and start it again: it gets one",
        ));
    };
    Ok(match interfaces(machine).await {
        Ok(output) if output.success() => of_card(&output.text(), &card)
            .ok_or_else(|| format!("its network card {card} has no address")),
        Ok(output) => Err(output.error_text()),
        Err(error) if error.is_transient() => Err(error.to_string()),
        Err(error) => {
            return Err(DriverError::Backend {
                operation: Operation::Inspect,
                message: "the machine's guest additions tell no address, and it cannot be asked"
                    .to_owned(),
                hint: Some(format!(
                    "see why with: rmachine ssh {}",
                    machine.context.name
                )),
                source: Some(Box::new(error)),
            });
        }
    })
}

async fn interfaces(machine: &Machine) -> Result<Output, SshError> {
    let options = ConnectOptions {
        limit: ATTEMPT,
        interactive: false,
        ..machine.surroundings.ssh.clone()
    };
    let ssh = connect(&machine.endpoint(), &options, &NoSecrets).await?;
    let run = Run {
        step: "asking the machine for its address",
        script: "ip address show",
        privilege: Privilege::Login,
        limit: ATTEMPT,
    };
    let told = ssh.run(&run).await;
    ssh.close().await;
    told
}

/// The address of the interface with this card, in what `ip address show` prints: the names of
/// interfaces are the system's own choice.
fn of_card(told: &str, card: &str) -> Option<Ipv4Addr> {
    let mut ours = false;
    for line in told.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["link/ether", address, ..] => {
                ours = address.replace(':', "").eq_ignore_ascii_case(card);
            }
            ["inet", address, ..] if ours => return address.split('/').next()?.parse().ok(),
            _ if !line.starts_with(char::is_whitespace) => ours = false,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host
       valid_lft forever preferred_lft forever
2: eth1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UP group default qlen 1000
    link/ether 08:00:27:aa:bb:cc brd ff:ff:ff:ff:ff:ff
    inet6 fe80::a00:27ff:feaa:bbcc/64 scope link
       valid_lft forever preferred_lft forever
    inet 192.168.58.130/24 brd 192.168.58.255 scope global eth1
       valid_lft forever preferred_lft forever
3: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UP group default qlen 1000
    link/ether 08:00:27:DD:EE:FF brd ff:ff:ff:ff:ff:ff
    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0
       valid_lft forever preferred_lft forever
4: eth2: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default qlen 1000
    link/ether 08:00:27:00:00:02 brd ff:ff:ff:ff:ff:ff
5: tun0: <POINTOPOINT,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UNKNOWN group default qlen 500
    link/none
    inet 10.8.0.2 peer 10.8.0.1/32 scope global tun0
";

    #[test]
    fn the_address_is_that_of_the_card_whatever_the_interface_is_called() {
        for (card, address) in [
            ("080027aabbcc", Some("192.168.58.130")),
            ("080027ddeeff", Some("10.0.2.15")),
            // What stands behind it is another one's.
            ("080027000002", None),
            ("000000000000", None),
            ("080027000003", None),
        ] {
            let expected = address.map(|address| address.parse().unwrap());
            assert_eq!(of_card(TOLD, card), expected, "{card}");
        }
        assert_eq!(of_card("", "080027aabbcc"), None);
        assert_eq!(of_card("\n\n link/ether\ninet", "080027aabbcc"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_waited_for_and_not_for_ever() {
        let answers = |address_after: u32| {
            let mut asked = 0;
            move || {
                asked += 1;
                let last = asked > address_after;
                async move {
                    sleep(ATTEMPT / 5).await;
                    Ok(match last {
                        true => Ok(Ipv4Addr::new(192, 168, 58, 130)),
                        false => Err(format!("nothing, {asked} times")),
                    })
                }
            }
        };
        let address = awaited(answers(3)).await.unwrap();
        assert_eq!(address.to_string(), "192.168.58.130");
        let error = awaited(answers(100)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "waited 30 s for the machine to tell its address; last seen: nothing, 7 times"
        );
        let silent = awaited(std::future::pending).await.unwrap_err();
        assert!(silent.to_string().ends_with("has answered"), "{silent}");
    }
}
