//! The limit of open files, of which every connection takes one.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Limit that is assumed where the system does not tell one: the usual soft limit.
const ASSUMED: u64 = 1024;

/// Raises the soft limit of open files to the hard limit. Shells and service managers start programs
/// with a soft limit of 1024 for the sake of `select`, which this program does not use.
pub fn raise_descriptor_limit() {
    if let Err(error) = raise() {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}

fn raise() -> Result<(), Errno> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

/// The soft limit of open files.
pub(super) fn descriptor_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(ASSUMED, |(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raise_sets_the_soft_limit_to_the_hard_limit() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard - 1, hard).unwrap();
        raise_descriptor_limit();
        assert_eq!(descriptor_limit(), hard);
    }
}
