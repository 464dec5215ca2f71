//! What happens, as it happens: the events of all engines as one stream.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Response, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use rmachine_engine::Body;
use serde_json::Value;

use super::ApiError;
use super::answer::JSON;
use super::call::Call;
use super::query::Filters;
use super::route::{Route, handler};
use super::system::text_of;
use crate::listen::Served;

/// The rows of this group.
pub const ROUTES: &[Route] = &[Route::new(Method::GET, "/events", handler!(events))];

const NANOS: i64 = 1_000_000_000;

async fn events(call: Call) -> Result<Served, ApiError> {
    let since = moment(call.query.text("since"), "since")?;
    let until = moment(call.query.text("until"), "until")?;
    let filters = call.query.filters()?;
    let following = call.api.cluster().events(since);
    let told = stream::unfold(Some((following, filters)), move |state| async move {
        let (mut following, filters) = state?;
        loop {
            let next = match until {
                None => following.next().await,
                Some(until) => {
                    let left = u64::try_from(until.saturating_sub(now())).unwrap_or(0);
                    let left = Duration::from_nanos(left);
                    // What is there already comes, also when the time is over.
                    tokio::time::timeout(left, following.next()).await.ok()?
                }
            }?;
            if until.is_some_and(|until| next.time_nano > until) {
                continue;
            }
            if filters.0.is_empty() || is_wanted(&next.json, &filters) {
                let line = Bytes::from(format!("{}\n", next.json));
                let frame = Ok::<_, std::io::Error>(Frame::data(line));
                return Some((frame, Some((following, filters))));
            }
        }
    });
    let body: Body = StreamBody::new(told).boxed_unsync();
    let mut answer = Response::new(body);
    let json = HeaderValue::from_static(JSON);
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(answer)
}

/// A moment in nanoseconds, from `1472052814`, `1472052814.5` or RFC 3339.
fn moment(text: &str, name: &str) -> Result<Option<i64>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let seconds = || -> Option<i64> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{part:0<9}");
        let nanos: i64 = digits.get(..9)?.parse().ok()?;
        whole
            .parse::<i64>()
            .ok()?
            .checked_mul(NANOS)?
            .checked_add(nanos)
    };
    let rfc3339 = || {
        let time = humantime::parse_rfc3339(text).ok()?;
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_nanos()).ok()
    };
    let read = seconds().or_else(rfc3339);
    let invalid = || ApiError::Invalid(format!("{name}: {text:?} is no point in time"));
    read.map(Some).ok_or_else(invalid)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// Of each key one value has to fit, of `label` all.
fn is_wanted(event: &str, filters: &Filters) -> bool {
    let Ok(event) = serde_json::from_str::<Value>(event) else {
        return false;
    };
    filters.0.iter().all(|(key, values)| {
        let mut values = values.iter();
        match key.as_str() {
            _ if values.len() == 0 => true,
            "label" => values.all(|value| fits(&event, key, value)),
            _ => values.any(|value| fits(&event, key, value)),
        }
    })
}

fn fits(event: &Value, key: &str, wanted: &str) -> bool {
    let attributes = &event["Actor"]["Attributes"];
    let id = text_of(&event["Actor"]["ID"]);
    let kind = text_of(&event["Type"]);
    let is_object = |id: &str| {
        let name = text_of(&attributes["name"]);
        id == wanted || name == wanted || (!wanted.is_empty() && id.starts_with(wanted))
    };
    match key {
        "type" => kind == wanted,
        "event" => {
            let action = text_of(&event["Action"]);
            // `exec_start: sh` and `health_status: healthy` are asked for without what follows.
            action == wanted || action.split(':').next() == Some(wanted)
        }
        "scope" => text_of(&event["scope"]) == wanted,
        "label" => match wanted.split_once('=') {
            Some((label, value)) => attributes[label] == value,
            None => attributes.get(wanted).is_some(),
        },
        "node" => {
            let node = &event["node"];
            [&node["Name"], &node["Id"], &node["Addr"]].contains(&&Value::from(wanted))
        }
        "image" => {
            let image = text_of(&attributes["image"]);
            let is_image = kind == "image" && is_object(id);
            is_image || image == wanted || without_tag(image) == wanted
        }
        "daemon" => kind == "daemon" && is_object(id),
        "container" => {
            let of_network = text_of(&attributes["container"]);
            (kind == "container" && is_object(id)) || (kind == "network" && is_object(of_network))
        }
        "network" | "volume" | "plugin" => kind == key && is_object(id),
        _ => false,
    }
}

fn without_tag(image: &str) -> &str {
    let slash = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[slash..].find(':') {
        Some(colon) => &image[..slash + colon],
        None => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        for (text, nanos) in [
            ("1472052814", Some(1_472_052_814_000_000_000)),
            ("1472052814.000000005", Some(1_472_052_814_000_000_005)),
            ("1472052814.5", Some(1_472_052_814_500_000_000)),
            ("2016-08-24T15:33:34Z", Some(1_472_052_814_000_000_000)),
            ("", None),
        ] {
            assert_eq!(moment(text, "since").unwrap(), nanos, "{text}");
        }
        for text in ["x", "1.x", "99999999999999999999", "-", "2016-08-24"] {
            assert!(moment(text, "until").is_err(), "{text}");
        }
    }

    #[test]
    fn filters_choose_events() {
        let event = r#"{"Type":"container","Action":"health_status: healthy","scope":"local",
            "Actor":{"ID":"abcdef","Attributes":{"image":"r.io:5000/a:1","name":"web","app":"x"}},
            "node":{"Name":"node-1","Id":"ID","Addr":"10.0.0.1:2376"}}"#;
        for (filters, wanted) in [
            (r#"{"type":["container"]}"#, true),
            (r#"{"type":["image","container"]}"#, true),
            (r#"{"type":["image"]}"#, false),
            (r#"{"event":["health_status"]}"#, true),
            (r#"{"event":["die"]}"#, false),
            (r#"{"container":["web"]}"#, true),
            (r#"{"container":["abc"]}"#, true),
            (r#"{"container":["other"]}"#, false),
            (r#"{"label":["app=x"]}"#, true),
            (r#"{"label":["app=x","other"]}"#, false),
            (r#"{"image":["r.io:5000/a"]}"#, true),
            (r#"{"node":["node-1"]}"#, true),
            (r#"{"node":["node-2"]}"#, false),
            (r#"{"volume":["web"]}"#, false),
            (r#"{"unknown":["x"]}"#, false),
        ] {
            let read = Filters::parse(filters).unwrap();
            assert_eq!(is_wanted(event, &read), wanted, "{filters}");
        }
    }
}
