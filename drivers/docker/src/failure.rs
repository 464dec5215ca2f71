use std::error::Error;
use std::path::Path;

use rmachine_driver::{CheckFailure, DriverError, Operation};
use rmachine_engine::EngineError;

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

/// The engine below failed while the driver was at something.
pub fn engine(operation: Operation, doing: &str, error: EngineError) -> DriverError {
    DriverError::Backend {
        operation,
        message: format!("{doing} failed"),
        hint: remedy(&error).map(str::to_owned),
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

/// What to do where the engine below shuts us out.
pub const DENIED: &str = "run as root or as a member of the group docker";
/// What to do where it is not there.
pub const ABSENT: &str = "start the engine, or say where it listens with --docker-host";

/// What to do when the engine below cannot be spoken to, as far as the error tells.
pub fn remedy(error: &EngineError) -> Option<&'static str> {
    match error {
        EngineError::Unreachable { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Some(DENIED)
        }
        EngineError::Unreachable { .. } => Some(ABSENT),
        EngineError::TooOld { .. } => Some("install a newer engine"),
        _ => None,
    }
}
