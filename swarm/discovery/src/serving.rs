//! How both services read requests and answer them.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

/// An answer, whole.
pub(crate) type Reply = Response<Full<Bytes>>;

/// A sentence.
pub(crate) fn text(status: StatusCode, body: &str) -> Reply {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    reply(status, kind, body.to_owned())
}

/// Data.
pub(crate) fn json(body: &serde_json::Value) -> Reply {
    let kind = HeaderValue::from_static("application/json");
    reply(StatusCode::OK, kind, body.to_string())
}

/// Nothing, for all went well.
pub(crate) fn done() -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

fn reply(status: StatusCode, kind: HeaderValue, body: String) -> Reply {
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

/// The value of a parameter, where the query has it.
pub(crate) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

/// A parameter that is a whole number of seconds.
pub(crate) fn seconds(
    query: Option<&str>,
    name: &str,
    unsaid: Duration,
) -> Result<Duration, Box<Reply>> {
    match parameter(query, name).map(str::parse) {
        None => Ok(unsaid),
        Some(Ok(seconds)) => Ok(Duration::from_secs(seconds)),
        Some(Err(_)) => {
            let sentence = format!("{name} is no number of seconds");
            Err(Box::new(text(StatusCode::BAD_REQUEST, &sentence)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found() {
        let query = Some("a=1&ttl=20&b&ttl=30");
        assert_eq!(parameter(query, "ttl"), Some("20"));
        assert_eq!(parameter(query, "b"), None);
        assert_eq!(parameter(None, "ttl"), None);
        let unsaid = Duration::from_secs(7);
        let ttl = |query| seconds(query, "ttl", unsaid).ok();
        assert_eq!(ttl(query), Some(Duration::from_secs(20)));
        assert_eq!(ttl(None), Some(unsaid));
        for wrong in ["ttl=", "ttl=x", "ttl=-1", "ttl=1s"] {
            assert_eq!(ttl(Some(wrong)), None, "{wrong}");
        }
    }
}
