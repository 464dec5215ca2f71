//! Answers, and what every one of them carries.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use rmachine_core::printable;
use rmachine_engine::{ApiVersion, full};
use serde_json::json;

use super::ApiError;
use crate::listen::Served;

/// The type of answers in JSON.
pub const JSON: &str = "application/json";

const PLAIN: &str = "text/plain; charset=utf-8";

/// An answer in JSON.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Served {
    of_type(status, JSON, format!("{value}\n"))
}

/// An answer that is JSON already.
pub fn raw_json(content: impl Into<Bytes>) -> Served {
    of_type(StatusCode::OK, JSON, content)
}

/// An answer that is a line of text.
pub fn text(content: &'static str) -> Served {
    of_type(StatusCode::OK, PLAIN, content)
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Served {
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// A failure as clients expect it: `{"message":…}`, or plain text below API 1.24.
pub fn failure(error: &ApiError, client: Option<ApiVersion>) -> Served {
    let status = error.status();
    if status == StatusCode::NOT_MODIFIED {
        return empty(status);
    }
    // Clients print the message as it is, and parts of it come from engines.
    let message = error.to_string();
    let message = printable::text(&message);
    match client {
        Some(client) if client < ApiVersion::OLDEST => {
            of_type(status, PLAIN, format!("{message}\n"))
        }
        _ => json(status, &json!({ "message": message })),
    }
}

fn of_type(status: StatusCode, content_type: &'static str, content: impl Into<Bytes>) -> Served {
    let mut answer = Response::new(full(content));
    *answer.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::api::Kind;

    #[tokio::test]
    async fn failure_escapes_what_an_engine_said() {
        let error = ApiError::Unavailable("a: \x1b]0;x\x07\r\nb: \u{202e}".to_owned());
        let body = failure(&error, None).into_body().collect().await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        let escaped = "a: \\u{1b}]0;x\\u{7}\\r\nb: \\u{202e}";
        assert_eq!(body["message"], escaped);
    }

    #[tokio::test]
    async fn failures_are_told_in_the_clients_language() {
        let error = ApiError::not_found(Kind::Container, "x");
        for (client, content_type, body) in [
            (None, JSON, "{\"message\":\"No such container: x\"}\n"),
            (
                Some("1.24"),
                JSON,
                "{\"message\":\"No such container: x\"}\n",
            ),
            (Some("1.23"), PLAIN, "No such container: x\n"),
        ] {
            let client = client.map(|version| version.parse().unwrap());
            let answer = failure(&error, client);
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
            assert_eq!(answer.headers()[header::CONTENT_TYPE], content_type);
            let collected = answer.into_body().collect().await.unwrap();
            assert_eq!(collected.to_bytes(), body);
        }
    }
}
