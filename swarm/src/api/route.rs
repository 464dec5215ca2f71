//! Which handler answers which request: a table.

use std::pin::Pin;

use http::Method;

use super::call::Call;
use super::{ApiError, build, containers, events, exec, images, networks, path, system, volumes};
use crate::listen::Served;

/// What answers a request.
pub type Handler = fn(Call) -> Answering;

/// An answer that is being made.
pub type Answering = Pin<Box<dyn Future<Output = Result<Served, ApiError>> + Send>>;

/// A row of the table.
pub struct Route {
    method: Method,
    /// A path, where `{}` stands for a name: anything, slashes included.
    pattern: &'static str,
    handler: Handler,
}

/// A request's row, and the name in its path.
pub struct Matched {
    /// What answers.
    pub handler: Handler,
    /// The name, decoded; empty where the pattern has none.
    pub name: String,
    /// What follows the name in the pattern: `/json`.
    pub suffix: &'static str,
}

/// The row for a path without its version. The first that fits counts.
pub fn find(method: &Method, path: &str) -> Option<Matched> {
    let tables = [
        containers::ROUTES,
        images::ROUTES,
        system::ROUTES,
        exec::ROUTES,
        networks::ROUTES,
        volumes::ROUTES,
        events::ROUTES,
        build::ROUTES,
    ];
    let rows = tables.into_iter().flatten();
    rows.filter(|row| row.method == *method)
        .find_map(|row| row.matched(path))
}

impl Route {
    /// A row.
    pub const fn new(method: Method, pattern: &'static str, handler: Handler) -> Self {
        Self {
            method,
            pattern,
            handler,
        }
    }

    fn matched(&self, path: &str) -> Option<Matched> {
        let handler = self.handler;
        let Some((prefix, suffix)) = self.pattern.split_once("{}") else {
            return (path == self.pattern).then(|| Matched {
                handler,
                name: String::new(),
                suffix: "",
            });
        };
        let name = path.strip_prefix(prefix)?.strip_suffix(suffix)?;
        let name = path::decode(name).filter(|name| !name.is_empty())?;
        Some(Matched {
            handler,
            name,
            suffix,
        })
    }
}

/// Makes an `async fn` a [`Handler`].
macro_rules! handler {
    ($function:path) => {
        |call| Box::pin($function(call))
    };
}
pub(super) use handler;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_paths() {
        for (method, path, name, suffix) in [
            (Method::GET, "/containers/json", "", ""),
            (Method::GET, "/containers/web/json", "web", "/json"),
            (
                Method::GET,
                "/containers/node-1/web/json",
                "node-1/web",
                "/json",
            ),
            (
                Method::GET,
                "/containers/node-1%2Fweb/json",
                "node-1/web",
                "/json",
            ),
            (Method::GET, "/containers/json/json", "json", "/json"),
            (Method::GET, "/containers/a/attach/ws", "a", "/attach/ws"),
            (Method::DELETE, "/containers/a", "a", ""),
            (
                Method::GET,
                "/images/reg.io:5000/a/b:1/json",
                "reg.io:5000/a/b:1",
                "/json",
            ),
            (Method::GET, "/images/get", "", ""),
            (Method::GET, "/images/json", "", ""),
            (Method::POST, "/images/prune", "", ""),
            (Method::DELETE, "/images/a/b@sha256:1", "a/b@sha256:1", ""),
            (Method::GET, "/networks", "", ""),
            (Method::GET, "/networks/n", "n", ""),
            (Method::POST, "/networks/n/connect", "n", "/connect"),
            (
                Method::GET,
                "/distribution/busybox/json",
                "busybox",
                "/json",
            ),
            (Method::HEAD, "/_ping", "", ""),
            (Method::POST, "/exec/1/start", "1", "/start"),
        ] {
            let found = find(&method, path).unwrap_or_else(|| panic!("{method} {path}"));
            assert_eq!(
                (found.name.as_str(), found.suffix),
                (name, suffix),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_in_no_row_is_not_found() {
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, ""),
            (Method::POST, "/containers/json"),
            (Method::GET, "/containers//json"),
            (Method::GET, "/containers/%ff/json"),
            (Method::PUT, "/info"),
            (Method::GET, "/v1.40/info"),
            (Method::GET, "/grpc"),
        ] {
            assert!(find(&method, path).is_none(), "{method} {path}");
        }
    }
}
