use rmachine_driver::{DriverError, MachineState, Operation, Work};

use crate::answer::{self, Vm};
use crate::attachment::Attachment;
use crate::build::{SSH_RULE, new_card, rule, ssh_rule};
use crate::machine::{Machine, patiently};
use crate::manage::{ManageError, VBoxManage};
use crate::said::Trouble;
use crate::settle::settled;
use crate::{attach, failure, lease, media, port};

/// How often another port is tried where one turns out to be taken.
const PORTS: usize = 4;

/// Powers the machine on, from whatever state it is in.
pub async fn start(
    machine: &mut Machine,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    let vm = settled(machine, operation, work).await?;
    let manage = machine.manage(operation)?;
    let failed = |error| failure::manage(operation, "resuming the VM", error);
    match vm.state().machine() {
        MachineState::Running => Ok(()),
        MachineState::Paused => {
            work.report.step("resuming the VM");
            let resume = ["controlvm", machine.reference(), "resume"];
            patiently(|| manage.run(resume)).await.map_err(failed)?;
            machine.remember_running(true);
            Ok(())
        }
        MachineState::Saved => {
            // Most of its settings cannot be changed now, and need not: it had all of them.
            machine.config.ssh_port = ssh_rule(&vm).unwrap_or(machine.config.ssh_port);
            if let Some(card) = vm.card(2) {
                network(machine, &card, operation, work).await?;
            }
            launch(machine, &manage, Some(&vm), operation, work).await
        }
        MachineState::Stopped => {
            prepare(machine, &manage, &vm, operation, work).await?;
            launch(machine, &manage, Some(&vm), operation, work).await
        }
        _ => Err(failure::backend_with_hint(
            operation,
            format!("VirtualBox calls the VM's state {:?}", vm.state().word()),
            "cut its power with `rmachine kill`, and start it again",
        )),
    }
}

/// Puts right what may have changed while the VM was off: its ISO image, its network and its port.
async fn prepare(
    machine: &mut Machine,
    manage: &VBoxManage,
    vm: &Vm,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    if !machine.iso_file().exists() {
        work.report
            .warn("its ISO image is gone; it gets the one again that was chosen for it");
        media::image(machine, operation, work).await?;
    }
    let card = vm.card(2).unwrap_or_else(new_card);
    let attachment = network(machine, &card, operation, work).await?;
    let port = port_for(ssh_rule(vm), machine.config.ssh_port)?;
    if let Some(taken) = ssh_rule(vm).filter(|had| *had != port) {
        work.report.warn(&moved(taken, port));
    }
    machine.config.ssh_port = port;
    let changes = changes(vm, &attachment, &card, port);
    if changes.is_empty() {
        return Ok(());
    }
    let modify = ["modifyvm".to_owned(), machine.reference().to_owned()];
    let command: Vec<String> = modify.into_iter().chain(changes).collect();
    let changed = patiently(|| manage.run(&command)).await;
    changed.map_err(|error| failure::manage(operation, "setting up the VM's network", error))?;
    Ok(())
}

/// Sees to it that the machine's network is there and has a DHCP server that serves the machine.
async fn network(
    machine: &mut Machine,
    card: &str,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Attachment, DriverError> {
    let _held = machine.lock(work).await?;
    let attachment = attach::ensure(machine, operation, work).await?;
    let had = machine.config.ip_address;
    let had = had.filter(|_| machine.config.address_kept);
    let address = lease::ensure(machine, &attachment, card, operation, work).await?;
    if let (Some(had), Some(now)) = (had, address)
        && had != now
    {
        let lost = format!("the address {had} was lost: the machine's is {now} from now on");
        work.report.warn(&lost);
    }
    machine.config.address_kept = address.is_some();
    machine.config.ip_address = address.or(machine.config.ip_address);
    Ok(attachment)
}

/// What `modifyvm` has to set before the VM can start.
fn changes(vm: &Vm, attachment: &Attachment, card: &str, port: u16) -> Vec<String> {
    let mut options = Vec::new();
    if vm.host_only(2) != Some(&attachment.name) {
        options.extend(attachment.options().map(str::to_owned));
    }
    if vm.card(2).as_deref() != Some(card) {
        options.extend(["--macaddress2", card].map(str::to_owned));
    }
    let has = ssh_rule(vm);
    if has != Some(port) {
        if has.is_some() {
            options.extend(["--natpf1", "delete", SSH_RULE].map(str::to_owned));
        }
        options.extend(["--natpf1".to_owned(), rule(port)]);
    }
    options
}

/// The port that leads to sshd: the VM's, or the recorded one, where it is free.
fn port_for(has: Option<u16>, recorded: u16) -> Result<u16, DriverError> {
    let wished = has.unwrap_or(recorded);
    if wished != 0 && port::is_free(wished) {
        return Ok(wished);
    }
    port::free()
}

/// Starts a VM that is off, and sees to it that its port leads to it.
pub async fn launch(
    machine: &mut Machine,
    manage: &VBoxManage,
    vm: Option<&Vm>,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    work.report.step("starting the VM");
    let start = [
        "startvm",
        machine.reference(),
        "--type",
        &machine.config.ui_type,
    ];
    if let Err(error) = patiently(|| manage.run_slow(start)).await {
        return Err(unstarted(machine, vm, operation, error));
    }
    machine.remember_running(true);
    lead_in(machine, manage, vm, operation, work).await
}

/// Why the VM did not start: what VBoxManage says, or what VirtualBox logged.
fn unstarted(
    machine: &Machine,
    vm: Option<&Vm>,
    operation: Operation,
    error: ManageError,
) -> DriverError {
    let log = machine.log(vm);
    let vague = matches!(error.trouble(), Some(Trouble::EndedEarly | Trouble::Other));
    if vague && let Some((trouble, line)) = answer::last_trouble(&log) {
        let sentence = trouble.sentence().unwrap_or(line);
        return DriverError::Backend {
            operation,
            message: format!("starting the VM failed: {sentence} (VBox.log: {line})"),
            hint: trouble.remedy().map(str::to_owned),
            source: Some(Box::new(error)),
        };
    }
    failure::manage(operation, "starting the VM", error)
}

/// VirtualBox starts a VM whose port is taken, and tells nobody but its log.
async fn lead_in(
    machine: &mut Machine,
    manage: &VBoxManage,
    vm: Option<&Vm>,
    operation: Operation,
    work: &Work<'_>,
) -> Result<(), DriverError> {
    for _ in 0..PORTS {
        let taken = machine.config.ssh_port;
        if !answer::refused_port(&machine.log(vm), taken) {
            return Ok(());
        }
        let port = port::free()?;
        work.report.warn(&moved(taken, port));
        let reference = machine.reference().to_owned();
        let delete = ["controlvm", &reference, "natpf1", "delete", SSH_RULE];
        let lead = ["controlvm", &reference, "natpf1", &rule(port)];
        for command in [&delete[..], &lead[..]] {
            let done = manage.run(command).await;
            done.map_err(|e| failure::manage(operation, "choosing another port for SSH", e))?;
        }
        machine.config.ssh_port = port;
    }
    Err(failure::backend(
        operation,
        format!("{PORTS} ports in a row were taken when they were to lead to the machine's SSH"),
    ))
}

fn moved(taken: u16, port: u16) -> String {
    format!(
        "port {taken} of this computer is taken: the machine's SSH is at port {port} from now on"
    )
}

/// Whether a VM that was started is still up; VirtualBox itself stops one, for want of room for
/// its disk for instance, and tells its log why.
pub async fn still_up(machine: &Machine) -> Result<(), DriverError> {
    let vm = match machine.seen(Operation::Inspect).await {
        Ok(vm) => vm,
        Err(gone @ DriverError::Gone { .. }) => return Err(gone),
        Err(_) => return Ok(()),
    };
    let state = vm.state().machine();
    if !state.is_down() {
        return Ok(());
    }
    let log = machine.log(Some(&vm));
    let error = answer::runtime_error(&log);
    Err(DriverError::WentDown {
        state,
        why: error.map(|error| error.message.to_owned()),
        hint: error
            .and_then(|error| Trouble::find(error.id)?.remedy())
            .map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use crate::network::Kind;

    use super::*;

    #[test]
    fn a_vm_is_attached_again_and_its_port_led_in_anew() {
        let attachment = Attachment {
            name: "vboxnet1".to_owned(),
            kind: Kind::Adapter,
            network: "HostInterfaceNetworking-vboxnet1".to_owned(),
            cidr: "192.168.58.1/24".parse().unwrap(),
            fresh: true,
        };
        let card = "080027aabbcc";
        let changed = |vm: &str, port| changes(&answer::vm(vm), &attachment, card, port).join(" ");
        let at = |name: &str, port| {
            format!(
                "hostonlyadapter2=\"{name}\"\nmacaddress2=\"080027AABBCC\"\n\
                 Forwarding(0)=\"ssh,tcp,127.0.0.1,{port},,22\"\n"
            )
        };
        assert_eq!(changed(&at("vboxnet1", 1000), 1000), "");
        assert_eq!(
            changed(&at("vboxnet0", 1000), 2000),
            "--nic2 hostonly --hostonlyadapter2 vboxnet1 --natpf1 delete ssh --natpf1 ssh,tcp,127.0.0.1,2000,,22"
        );
        assert!(changed("", 2000).ends_with("--natpf1 ssh,tcp,127.0.0.1,2000,,22"));
        assert!(changed("", 2000).contains("--macaddress2 080027aabbcc"));
    }

    #[test]
    fn a_port_is_kept_while_it_is_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let other = port_for(Some(port), 0).unwrap();
        assert_ne!(other, port);
        // Another process may be quicker to take a port that is free: seldom twenty times.
        let kept = (0..20).any(|_| {
            let port = port_for(None, 0).unwrap();
            port_for(Some(port), 0).unwrap() == port && port_for(None, port).unwrap() == port
        });
        assert!(kept);
        assert_ne!(port_for(None, 0).unwrap(), 0);
    }
}
