use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::Value;

use crate::{Body, EngineEndpoint, EngineError, full};

/// A request with a JSON body, or none.
pub(crate) fn json(
    endpoint: &EngineEndpoint,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Request<Body>, EngineError> {
    match body {
        Some(body) => {
            let body = full(body.to_string());
            request(endpoint, method, path, Some("application/json"), body)
        }
        None => request(endpoint, method, path, None, full(Bytes::new())),
    }
}

/// A request as every engine takes it.
pub(crate) fn request(
    endpoint: &EngineEndpoint,
    method: Method,
    path: &str,
    content_type: Option<&str>,
    body: Body,
) -> Result<Request<Body>, EngineError> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, endpoint.authority())
        .header(
            header::USER_AGENT,
            concat!("rmachine/", env!("CARGO_PKG_VERSION")),
        );
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    request
        .body(body)
        .map_err(|error| EngineError::protocol(endpoint, &error.to_string()))
}
