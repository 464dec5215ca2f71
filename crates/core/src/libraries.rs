//! The libraries that the programs bundle and that matter for their security.

/// Returns names and versions of crates as the lock file had them at build time: `("rustls",
/// "0.23.42")`.
pub fn locked() -> impl Iterator<Item = (&'static str, &'static str)> {
    env!("LOCKED_LIBRARIES")
        .split(';')
        .filter_map(|entry| entry.split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_libraries_have_versions() {
        let rustls = locked().find(|(name, _)| *name == "rustls");
        assert!(rustls.is_some_and(|(_, version)| version.starts_with("0.")));
        assert!(locked().all(|(_, version)| version.contains('.')));
    }
}
