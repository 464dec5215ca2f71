use rmachine_driver::{DriverError, Operation, Work};

use crate::attachment::Attachment;
use crate::machine::Machine;
use crate::network::Kind;
use crate::register::Register;
use crate::survey::Survey;
use crate::{adapter, failure, net};

/// The host-only network of the machine, made where it is missing. The caller holds the lock.
pub async fn ensure(
    machine: &Machine,
    operation: Operation,
    work: &Work<'_>,
) -> Result<Attachment, DriverError> {
    let manage = machine.manage(operation)?;
    let mut register = Register::read(&machine.shared());
    let survey = Survey::of(machine, &manage, &register, operation).await?;
    let choice = survey.choose(&manage).await;
    let choice = choice.map_err(|error| failure::network(operation, error))?;
    match survey.kind {
        Kind::Net => net::ensure(&manage, choice, operation, work).await,
        Kind::Adapter => {
            let there = survey.adapters;
            adapter::ensure(&manage, &mut register, there, choice, operation, work).await
        }
    }
}
