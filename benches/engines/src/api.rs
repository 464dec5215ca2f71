//! The part of the Docker API that a manager uses.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::engine::{Engine, Refusal, State};
use crate::{exec, shapes};

pub type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Answers a request.
pub async fn answer(
    engine: Arc<Engine>,
    mut request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let connection = exec::connection(&mut request);
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    if path.ends_with("/images/load") {
        return Ok(load(body).await);
    }
    let body = body.collect().await.map(|body| body.to_bytes());
    let body: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let parts = match parts.as_slice() {
        [version, rest @ ..] if is_version(version) => rest,
        all => all,
    };
    if let (["exec", _, "start"], Some(connection)) = (parts, connection) {
        return Ok(exec::run(connection));
    }
    let done = route(&engine, &head.method, parts, &query, body);
    Ok(done.unwrap_or_else(|(status, message)| match status {
        304 => whole(304, Bytes::new()),
        status => json_answer(status, &json!({"message": message})),
    }))
}

/// Takes an image and forgets it.
async fn load(mut body: Incoming) -> Answer {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return json_answer(500, &json!({"message": "the image came in part only"}));
        }
    }
    json_answer(200, &json!({"stream": "Loaded image: image:1\n"}))
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v')
        .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

fn route(
    engine: &Arc<Engine>,
    method: &Method,
    parts: &[&str],
    query: &HashMap<String, String>,
    body: Value,
) -> Result<Answer, Refusal> {
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    Ok(match (method.as_str(), parts) {
        (_, ["_ping"]) => whole(200, Bytes::from_static(b"OK")),
        ("GET", ["version"]) => json_answer(200, &shapes::version()),
        ("GET", ["info"]) => json_answer(200, &shapes::info(engine)),
        ("GET", ["events"]) => events(engine),
        ("GET", ["images", "json"]) => json_answer(200, &shapes::images()),
        ("GET", ["networks"]) => json_answer(200, &shapes::networks(engine)),
        ("GET", ["volumes"]) => json_answer(200, &json!({"Volumes": [], "Warnings": null})),
        ("GET", ["containers", "json"]) => json_answer(200, &list(engine, query)),
        ("POST", ["containers", "create"]) => {
            let id = engine.create(text("name"), body)?;
            json_answer(201, &json!({"Id": id, "Warnings": []}))
        }
        ("GET", ["containers", name, "json"]) => {
            json_answer(200, &shapes::inspected(engine.find(name)?.as_ref()))
        }
        ("POST", ["containers", name, "start"]) => {
            engine.start(name)?;
            whole(204, Bytes::new())
        }
        ("POST", ["containers", name, "stop" | "kill"]) => {
            engine.stop(name)?;
            whole(204, Bytes::new())
        }
        ("GET", ["containers", name, "logs"]) => {
            engine.find(name)?;
            logs(text("follow") == "1")
        }
        ("POST", ["containers", name, "exec"]) => {
            engine.find(name)?;
            json_answer(201, &json!({"Id": exec::id(engine)}))
        }
        ("GET", ["exec", id, "json"]) if exec::is_of(engine, id) => {
            json_answer(200, &json!({"ID": id, "Running": false, "ExitCode": 0}))
        }
        ("DELETE", ["containers", name]) => {
            engine.remove(name)?;
            whole(204, Bytes::new())
        }
        _ => return Err((404, "page not found".to_owned())),
    })
}

fn list(engine: &Engine, query: &HashMap<String, String>) -> Value {
    let all = query
        .get("all")
        .is_some_and(|all| matches!(all.as_str(), "1" | "true" | "True"));
    let filters: Value = query
        .get("filters")
        .and_then(|filters| serde_json::from_str(filters).ok())
        .unwrap_or_default();
    let limit = query.get("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.filter(|limit| *limit > 0);
    let is_wanted = |id: &str| match &filters["id"] {
        Value::Array(ids) => ids.iter().any(|wanted| wanted == id),
        Value::Object(ids) => ids.contains_key(id),
        _ => true,
    };
    let listed = engine.list();
    let listed = listed
        .iter()
        .filter(|container| all || limit.is_some() || container.state == State::Running)
        .filter(|container| is_wanted(&container.id))
        .take(limit.unwrap_or(usize::MAX));
    listed.map(|container| shapes::listed(container)).collect()
}

fn events(engine: &Engine) -> Answer {
    let next = |mut events: tokio::sync::broadcast::Receiver<Bytes>| async move {
        loop {
            match events.recv().await {
                Ok(event) => return Some((Ok(Frame::data(event)), events)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    };
    let body = StreamBody::new(stream::unfold(engine.events(), next));
    let mut answer = Response::new(body.boxed());
    head(&mut answer);
    answer
}

/// A line, and no end for who follows.
fn logs(follow: bool) -> Answer {
    const LINE: &[u8] = b"\x01\0\0\0\0\0\0\x05line\n";
    let lines = stream::unfold(false, move |told| async move {
        match (told, follow) {
            (false, _) => Some((Ok(Frame::data(Bytes::from_static(LINE))), true)),
            (true, false) => None,
            (true, true) => std::future::pending().await,
        }
    });
    let mut answer = Response::new(StreamBody::new(lines).boxed());
    head(&mut answer);
    answer
}

/// No body.
pub fn empty() -> BoxBody<Bytes, Infallible> {
    Full::new(Bytes::new()).boxed()
}

fn json_answer(status: u16, value: &Value) -> Answer {
    let mut answer = whole(status, Bytes::from(value.to_string()));
    let json = http::HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    answer
}

fn whole(status: u16, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body).boxed());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    head(&mut answer);
    answer
}

fn head(answer: &mut Answer) {
    let headers = answer.headers_mut();
    for (name, value) in [
        ("api-version", "1.41"),
        ("docker-experimental", "false"),
        ("ostype", "linux"),
        ("server", "Docker/20.10.24 (linux)"),
    ] {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
}
