use std::time::Duration;

use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{MembershipService, PATH, Registrant};
use crate::{Discovery as _, DiscoveryError, Update};

const MINUTE: Duration = Duration::from_secs(60);

fn service() -> MembershipService {
    MembershipService::open(None).unwrap()
}

async fn ask(service: &MembershipService, method: &str, rest: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method);
    let request = request.uri(format!("{PATH}{rest}")).body(()).unwrap();
    let answer = service.handle(request, &Registrant::Operator).await;
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn members(service: &MembershipService, query: &str) -> (String, Value) {
    let (status, body) = ask(service, "GET", query).await;
    assert_eq!(status, StatusCode::OK);
    let version = body["version"].as_str().unwrap().to_owned();
    (version, body["members"].clone())
}

/// Waits for another version in a task of its own, which has begun to wait.
async fn waiting(service: &MembershipService, version: &str) -> JoinHandle<(StatusCode, Value)> {
    let (service, query) = (service.clone(), format!("?version={version}&wait=3600"));
    let waiting = tokio::spawn(async move { ask(&service, "GET", &query).await });
    tokio::task::yield_now().await;
    waiting
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_by_a_table() {
    let service = service();
    for (method, rest, status) in [
        ("PUT", "/10.0.0.1:2376?ttl=20", StatusCode::NO_CONTENT),
        ("PUT", "/[fd00::1]:2376", StatusCode::NO_CONTENT),
        ("PUT", "/node-1:1?ttl=1", StatusCode::NO_CONTENT),
        ("DELETE", "/node-1:1", StatusCode::NO_CONTENT),
        ("DELETE", "/node-1:1", StatusCode::NO_CONTENT),
        ("PUT", "/node-1", StatusCode::BAD_REQUEST),
        ("PUT", "/node-1:0", StatusCode::BAD_REQUEST),
        ("PUT", "/a/b:1", StatusCode::BAD_REQUEST),
        ("PUT", "/", StatusCode::BAD_REQUEST),
        ("PUT", "/node-1:1?ttl=1m", StatusCode::BAD_REQUEST),
        ("PUT", "/node-1:1?ttl=0", StatusCode::BAD_REQUEST),
        ("GET", "?wait=soon", StatusCode::BAD_REQUEST),
        ("PUT", "", StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/node-1:1", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/node-1:1", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "hip", StatusCode::NOT_FOUND),
        ("GET", "", StatusCode::OK),
    ] {
        let (answered, _) = ask(&service, method, rest).await;
        assert_eq!(answered, status, "{method} {rest}");
    }
    let (_, members) = members(&service, "").await;
    assert_eq!(members, json!(["10.0.0.1:2376", "[fd00::1]:2376"]));
}

#[test]
fn paths_are_told_apart() {
    for (path, ours) in [
        (PATH, true),
        ("/rswarm/v1/members/a:1", true),
        ("/rswarm/v1/membership", false),
        ("/rswarm", false),
        ("/containers/json", false),
    ] {
        assert_eq!(MembershipService::serves(path), ours, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_of_every_change() {
    let service = service();
    let (version, _) = members(&service, "").await;
    let joined = waiting(&service, &version).await;
    ask(&service, "PUT", "/a:1?ttl=30").await;
    let (_, told) = joined.await.unwrap();
    assert_eq!(told["members"], json!(["a:1"]));

    let version = told["version"].as_str().unwrap();
    let begun = Instant::now();
    let (_, told) = waiting(&service, version).await.await.unwrap();
    assert_eq!(told["members"], json!([]), "its time was over");
    assert!(begun.elapsed() < MINUTE);

    ask(&service, "PUT", "/a:1?ttl=30").await;
    ask(&service, "PUT", "/b:1?ttl=30").await;
    let (version, _) = members(&service, "").await;
    let left = waiting(&service, &version).await;
    ask(&service, "DELETE", "/b:1").await;
    let (_, told) = left.await.unwrap();
    assert_eq!(told["members"], json!(["a:1"]));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_registers_anew_wakes_nobody() {
    let service = service();
    ask(&service, "PUT", "/a:1?ttl=30").await;
    let (version, _) = members(&service, "").await;
    let begun = Instant::now();
    let waiting = waiting(&service, &version).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(11)).await;
        ask(&service, "PUT", "/a:1?ttl=30").await;
        assert!(!waiting.is_finished());
    }
    // Nobody waits for longer than a minute, whatever was asked for.
    let (_, told) = waiting.await.unwrap();
    assert_eq!(begun.elapsed(), MINUTE);
    assert_eq!(told["version"], version);
    assert_eq!(told["members"], json!(["a:1"]));
}

#[tokio::test(start_paused = true)]
async fn another_version_is_told_at_once() {
    let service = service();
    let begun = Instant::now();
    let (version, _) = members(&service, "?version=0-0&wait=60").await;
    // Another life has versions of its own.
    let reborn = self::service();
    members(&reborn, &format!("?version={version}&wait=60")).await;
    members(&service, &format!("?version={version}")).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nobody_keeps_a_manager_from_stopping() {
    let service = service();
    let (version, _) = members(&service, "").await;
    let waiting = waiting(&service, &version).await;
    service.stop();
    assert_eq!(waiting.await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
    let query = format!("?version={version}&wait=60");
    let (status, _) = ask(&service, "GET", &query).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(&service, "GET", "").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_manager_itself_follows() {
    let service = service();
    let mut updates = service.watch();
    let mut told = async || match updates.next().await {
        Some(Update::Members(members)) => {
            let members: Vec<String> = members.iter().map(ToString::to_string).collect();
            members.join(" ")
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(told().await, "");
    ask(&service, "PUT", "/a:1?ttl=30").await;
    assert_eq!(told().await, "a:1");
    let mut rounds = service.register("b:1".parse().unwrap(), MINUTE, 3 * MINUTE);
    rounds.next().await.unwrap().unwrap();
    assert_eq!(told().await, "a:1 b:1");
    assert_eq!(told().await, "b:1", "the time of the first is over");
    assert_eq!(service.list().await.unwrap().len(), 1);
    service.deregister(&"b:1".parse().unwrap()).await.unwrap();
    assert_eq!(told().await, "");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_saved_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let service = MembershipService::open(Some(gone.join("members"))).unwrap();
    std::fs::remove_dir(&gone).unwrap();
    let (status, _) = ask(&service, "PUT", "/a:1").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    std::fs::create_dir(&gone).unwrap();
    let (status, _) = ask(&service, "PUT", "/a:1").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let saved = std::fs::read_to_string(gone.join("members")).unwrap();
    assert_eq!(saved, r#"{"a:1":180}"#);
}

#[tokio::test]
async fn something_else_is_no_membership() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("members");
    for content in ["", "[]", r#"{"a":1}"#, r#"{"a:1":-1}"#] {
        std::fs::write(&file, content).unwrap();
        let opened = MembershipService::open(Some(file.clone()));
        assert!(
            matches!(opened, Err(DiscoveryError::File { .. })),
            "{content}"
        );
    }
}
