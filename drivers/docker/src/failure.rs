use std::error::Error;
use std::path::Path;

use rmachine_driver::{DriverError, Operation};
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
        hint: crate::daemon::remedy(&error).map(str::to_owned),
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
