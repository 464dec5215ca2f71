//! Where the programs are that this crate starts.

use std::path::PathBuf;

use crate::{Environment, SshError};

/// The program of that name on the search path.
///
/// # Errors
/// [`SshError::NoProgram`] where there is none.
pub(crate) fn find(program: &'static str, environment: &Environment) -> Result<PathBuf, SshError> {
    let paths = environment.search_path.as_ref();
    which::which_in_global(program, paths)
        .ok()
        .and_then(|mut found| found.next())
        .ok_or(SshError::NoProgram { program })
}
