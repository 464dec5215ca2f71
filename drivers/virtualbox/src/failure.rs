use std::error::Error;
use std::path::Path;

use rmachine_driver::{CheckFailure, DriverError, Operation};

use crate::iso::IsoUnavailable;
use crate::manage::ManageError;
use crate::network::NoNetwork;

/// Something that failed without a cause that is an error of its own.
pub fn backend(operation: Operation, message: String) -> DriverError {
    DriverError::Backend {
        operation,
        message,
        hint: None,
        source: None,
    }
}

/// As [`backend`], where it is known what to do next.
pub fn backend_with_hint(operation: Operation, message: String, hint: &str) -> DriverError {
    DriverError::Backend {
        operation,
        message,
        hint: Some(hint.to_owned()),
        source: None,
    }
}

/// VBoxManage failed while the driver was at something.
pub fn manage(operation: Operation, doing: &str, error: ManageError) -> DriverError {
    let known = error.trouble().and_then(|trouble| trouble.sentence());
    DriverError::Backend {
        operation,
        message: match known {
            Some(sentence) => format!("{doing} failed: {sentence}"),
            None => format!("{doing} failed"),
        },
        hint: remedy(&error).map(str::to_owned),
        source: Some(Box::new(error)),
    }
}

/// There is no ISO image to boot from.
pub fn iso(operation: Operation, mut error: IsoUnavailable) -> DriverError {
    DriverError::Backend {
        operation,
        message: "there is no ISO image to boot from".to_owned(),
        hint: error.hint.take(),
        source: Some(Box::new(error)),
    }
}

/// There is no host-only network.
pub fn network(operation: Operation, error: NoNetwork) -> DriverError {
    DriverError::Backend {
        operation,
        message: "there can be no host-only network".to_owned(),
        hint: Some(error.remedy()),
        source: Some(Box::new(error)),
    }
}

/// A file of the driver's own could not be used.
pub fn file(path: &Path, source: std::io::Error) -> DriverError {
    DriverError::File {
        path: path.to_owned(),
        source,
    }
}

/// An error and its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What the pre-create check found, and what to do about it.
pub fn found(subject: &str, finding: String, remedy: &str) -> CheckFailure {
    CheckFailure {
        subject: subject.to_owned(),
        finding,
        remedy: remedy.to_owned(),
    }
}

/// What to do where VBoxManage is nowhere to be found.
pub const INSTALL: &str = "install VirtualBox, or name its VBoxManage in the variable VBOX_MANAGE";

/// What to do when VBoxManage failed, as far as the error tells.
pub fn remedy(error: &ManageError) -> Option<&'static str> {
    match error {
        ManageError::NotInstalled => Some(INSTALL),
        ManageError::NotRun { .. } => {
            Some("see that VBOX_MANAGE or PATH leads to a VBoxManage that runs")
        }
        ManageError::Hung { .. } => {
            Some("see whether VirtualBox itself still answers: VBoxManage list vms")
        }
        ManageError::Refused { trouble, .. } => trouble.remedy(),
    }
}
