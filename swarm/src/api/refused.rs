//! What engines can do and a cluster of them cannot: each answer says why.

use super::ApiError;

type Refusal = fn() -> ApiError;

/// What is refused, whatever the method is. A path ends at `/` or at its end.
const REFUSALS: &[(&str, Refusal)] = &[
    ("/services", || ApiError::NoSwarmMode("services")),
    ("/tasks", || ApiError::NoSwarmMode("tasks")),
    ("/secrets", || ApiError::NoSwarmMode("secrets")),
    ("/configs", || ApiError::NoSwarmMode("configs")),
    ("/nodes", || ApiError::NoSwarmMode("swarm-mode nodes")),
    ("/swarm/init", || ApiError::NotSupported(SWARM_INIT)),
    ("/swarm/join", || ApiError::NotSupported(SWARM_INIT)),
    ("/swarm", || ApiError::NoSwarmMode("swarm mode")),
    ("/plugins", || ApiError::NotSupported(PLUGINS)),
    ("/images/viz", || ApiError::NotSupported(VIZ)),
];

const SWARM_INIT: &str = "A cluster of standalone engines cannot become a swarm, nor join one: \
    its engines can, each by itself.";

const PLUGINS: &str = "Plugins belong to engines: install them on each engine by itself.";

const VIZ: &str = "Not supported in clustering mode.";

/// The answer for a path that no handler is for.
pub fn refusal(path: &str) -> ApiError {
    let refused = REFUSALS.iter().find(|(prefix, _)| {
        let rest = path.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    refused.map_or(ApiError::NoRoute, |(_, error)| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_dockers_status() {
        for (path, status) in [
            ("/services", 503),
            ("/services/x/update", 503),
            ("/swarm", 503),
            ("/swarm/unlockkey", 503),
            ("/swarm/init", 501),
            ("/plugins/pull", 501),
            ("/images/viz", 501),
            ("/servicesx", 404),
            ("/x", 404),
            ("", 404),
        ] {
            assert_eq!(refusal(path).status(), status, "{path}");
        }
    }
}
