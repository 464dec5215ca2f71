//! Clients and engines that send what they should not: the manager answers, and goes on.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use serde_json::{Value, json};

use crate::hostile_engine::{HostileEngine, Reply};
use crate::process::{Rswarm, free_port};
use crate::wire::{asked, begun, get};
use tokio::io::AsyncReadExt as _;

/// How long anything may take to become so.
const LIMIT: Duration = Duration::from_secs(60);

/// Memory that the manager may take, whatever one engine sends, in KiB. The program without
/// optimization takes 50 MB itself; a list may have 32 MiB, and is copied while its buffer grows.
const MOST_MEMORY: usize = 300 * 1024;

/// A manager of these engines that are healthy.
async fn manager(engines: &[&HostileEngine]) -> (Rswarm, u16) {
    let port = free_port();
    let addrs: Vec<String> = engines.iter().map(|engine| engine.addr()).collect();
    let manager = Rswarm::manage(port, &[&addrs.join(",")]).await;
    let healthy = "Status\",\"Healthy";
    until_info(port, |info| info.matches(healthy).count() == engines.len()).await;
    (manager, port)
}

/// Waits until `/info`, without its blanks, fulfils this.
async fn until_info(port: u16, so: impl Fn(&str) -> bool) {
    let end = Instant::now() + LIMIT;
    loop {
        let info = get(port, "/info").await.replace([' ', '\u{a0}', '└'], "");
        if so(&info) {
            return;
        }
        assert!(Instant::now() < end, "not in time: {info}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn post(port: u16, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    asked(port, request.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_bodies_are_rejected_as_engines_do() {
    let engine = HostileEngine::start("node-1").await;
    let (_manager, port) = manager(&[&engine]).await;
    let value = |found: &str, go_type: &str| {
        format!("json: cannot unmarshal {found} into Go value of type {go_type}")
    };
    let field = |found: &str, field: &str, go_type: &str| {
        format!("json: cannot unmarshal {found} into Go struct field {field} of type {go_type}")
    };
    for (body, found) in [
        ("[]", "array"),
        (r#""x""#, "string"),
        ("5", "number"),
        ("true", "bool"),
    ] {
        for (path, go_type) in [
            ("/containers/create", "runconfig.ContainerConfigWrapper"),
            ("/volumes/create", "volume.VolumeCreateBody"),
            ("/networks/create", "types.NetworkCreateRequest"),
            ("/networks/wide/connect", "types.NetworkConnect"),
            ("/networks/wide/disconnect", "types.NetworkDisconnect"),
        ] {
            let response = post(port, path, "", body).await;
            assert!(
                response.starts_with("HTTP/1.1 400"),
                "{path} {body}: {response}"
            );
            assert!(
                response.contains(&value(found, go_type)),
                "{path} {body}: {response}"
            );
        }
    }
    for (path, body, message) in [
        (
            "/containers/create",
            r#"{"Image":"x","HostConfig":5,"NetworkingConfig":{"EndpointsConfig":{"wide":{}}}}"#,
            field(
                "number",
                "ContainerConfigWrapper.HostConfig",
                "container.HostConfig",
            ),
        ),
        (
            "/containers/create",
            r#"{"Image":"x","NetworkingConfig":"x"}"#,
            field(
                "string",
                "ContainerConfigWrapper.NetworkingConfig",
                "network.NetworkingConfig",
            ),
        ),
        (
            "/volumes/create",
            r#"{"Name":5}"#,
            field("number", "VolumeCreateBody.Name", "string"),
        ),
        (
            "/networks/create",
            r#"{"Name":"x","Driver":[]}"#,
            field("array", "NetworkCreateRequest.Driver", "string"),
        ),
    ] {
        let response = post(port, path, "", body).await;
        assert!(
            response.starts_with("HTTP/1.1 400"),
            "{path} {body}: {response}"
        );
        assert!(response.contains(&message), "{path} {body}: {response}");
    }
    for path in ["/containers/create", "/volumes/create", "/networks/create"] {
        for seen in engine.seen(path) {
            assert_ne!(seen.method, "POST", "{seen:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_engine_responses_are_survived() {
    let engine = HostileEngine::start("node-1").await;
    engine.json(
        "/containers/json",
        &json!([{"Id": "c1", "Names": ["/web"], "Created": i64::MIN, "State": "running",
            "Status": "Up -9223372036854775808 seconds"}]),
    );
    let (_manager, port) = manager(&[&engine]).await;
    for odd in [
        json!([]),
        json!("x"),
        json!(5),
        json!(true),
        json!(null),
        json!([[[]]]),
    ] {
        for path in [
            "/networks/2001",
            "/containers/c1/json",
            "/system/df",
            "/volumes/prune",
            "/networks/prune",
            "/containers/prune",
            "/images/prune",
            "/containers/create",
        ] {
            engine.json(path, &odd);
        }
        for path in ["/networks/wide", "/containers/c1/json", "/system/df"] {
            let response = get(port, path).await;
            assert!(
                response.starts_with("HTTP/1.1 200"),
                "{path} {odd}: {response}"
            );
        }
        for path in [
            "/volumes/prune",
            "/networks/prune",
            "/containers/prune",
            "/images/prune",
        ] {
            let response = post(port, path, "", "").await;
            assert!(
                response.starts_with("HTTP/1.1 200"),
                "{path} {odd}: {response}"
            );
        }
        let created = post(port, "/containers/create", "", r#"{"Image":"x"}"#).await;
        assert!(created.starts_with("HTTP/1.1 20"), "{odd}: {created}");
    }
    for t in [
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
    ] {
        for action in ["stop", "restart"] {
            let response = post(port, &format!("/containers/c1/{action}?t={t}"), "", "").await;
            assert!(
                response.starts_with("HTTP/1.1 4"),
                "{action} {t}: {response}"
            );
        }
    }
    for query in [
        "since=9223372036854775807",
        "since=-9223372036854775808&until=0",
        "until=-1",
        "since=1&until=9223372036.999999999",
    ] {
        let mut stream = begun(
            port,
            format!("GET /events?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .await;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        let is_answered = matches!(&first, b"HTTP/1.1 200" | b"HTTP/1.1 400");
        assert!(is_answered, "{query}: {first:?}");
    }
    assert!(
        get(port, "/containers/json?all=1")
            .await
            .contains("node-1/web")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_events_are_survived_and_long_ones_skipped() {
    let engine = HostileEngine::start("node-1").await;
    let (_manager, port) = manager(&[&engine]).await;
    let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut stream = begun(port, request).await;
    let mut heard = vec![0; 12];
    stream.read_exact(&mut heard).await.unwrap();
    for line in [
        r#"{"Type":"container","Action":"start","Actor":[],"node":5}"#.to_owned(),
        r#"{"Type":"container","Action":"start","Actor":{"ID":"a","Attributes":"x"},"node":[]}"#
            .to_owned(),
        r#"{"Type":5,"Action":[],"Actor":7}"#.to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "{{{{".to_owned(),
        format!(
            r#"{{"Type":"container","Action":"die","Actor":{{"ID":"{}"}}}}"#,
            "x".repeat(1 << 20)
        ),
        "\u{0}\u{7f}".to_owned(),
    ] {
        assert!(
            engine.event(format!("{line}\n")) > 0,
            "nobody follows the events"
        );
    }
    let last = r#"{"Type":"network","Action":"create","Actor":{"ID":"last"},"timeNano":5}"#;
    engine.event(format!("{last}\n"));
    let end = Instant::now() + LIMIT;
    loop {
        let mut more = [0; 4096];
        let read = tokio::time::timeout_at(end.into(), stream.read(&mut more)).await;
        let read = read.expect("the last event in time").unwrap();
        assert!(read > 0, "the events end");
        heard.extend_from_slice(&more[..read]);
        let text = String::from_utf8_lossy(&heard);
        if text.contains(r#""ID":"last""#) {
            assert!(text.contains(r#""node":{"Name":"node-1""#), "{text}");
            break;
        }
    }
    assert_eq!(engine.seen("/events").len(), 1, "the stream goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_events_costs_little_memory() {
    let engine = HostileEngine::start("node-1").await;
    let (manager, port) = manager(&[&engine]).await;
    let filler = "x".repeat(128 * 1024);
    for number in 0..4096 {
        let id = format!("{number:064}");
        let event = json!({
            "Type": "container", "Action": if number % 2 == 0 { "destroy" } else { "die" },
            "Actor": {"ID": id, "Attributes": {"image": "x", "filler": filler}},
            "timeNano": number + 1,
        });
        engine.event(format!("{event}\n"));
        // At a pace that the manager keeps up with: who falls behind loses events.
        if number % 64 == 63 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let last = r#"{"Type":"image","Action":"pull","Actor":{"ID":"last"},"timeNano":999999}"#;
    let end = Instant::now() + LIMIT;
    while !get(port, "/events?since=0&until=1")
        .await
        .contains("\"last\"")
    {
        engine.event(format!("{last}\n"));
        assert!(Instant::now() < end, "the last event does not arrive");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let memory = manager.peak_memory();
    assert!(memory < MOST_MEMORY, "{memory} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_responses_cost_little_memory() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = |data: &str| format!("{:x}\r\n{data}\r\n", data.len());
    let item = r#"{"Id":"a","Names":["/a"]},"#.repeat(1000);
    let list = "/containers/json";
    for (case, path, begin, more) in [
        (
            "a list",
            list,
            format!("{chunked}{}", chunk("[")),
            chunk(&item),
        ),
        (
            "single bytes",
            "/info",
            chunked.to_owned(),
            chunk("0").repeat(10_000),
        ),
        (
            "a length",
            list,
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
            item.clone(),
        ),
        (
            "headers",
            list,
            "HTTP/1.1 200 OK\r\n".to_owned(),
            "X-A: b\r\n".repeat(1000),
        ),
        (
            "a header",
            list,
            "HTTP/1.1 200 OK\r\nX-A: ".to_owned(),
            item.clone(),
        ),
        ("an extension", list, format!("{chunked}5;"), item.clone()),
        (
            "trailers",
            list,
            format!("{chunked}0\r\n"),
            "X-A: b\r\n".repeat(1000),
        ),
        (
            "an error",
            list,
            "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            chunk(&item),
        ),
    ] {
        let engine = HostileEngine::start("node-1").await;
        engine.reply(path, Reply::Endless(begin, more));
        let port = free_port();
        let manager = Rswarm::manage(port, &[&engine.addr()]).await;
        until_info(port, |info| !info.contains(r#""Error","("#)).await;
        let memory = manager.peak_memory();
        assert!(memory < MOST_MEMORY, "{case}: {memory} KiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_used_for_their_own_request_only() {
    let (one, two) = (
        HostileEngine::start("node-1").await,
        HostileEngine::start("node-2").await,
    );
    let (_manager, port) = manager(&[&one, &two]).await;
    let login = json!({"username": "ann", "password": "x", "serveraddress": "reg.io"});
    let login = BASE64_URL_SAFE.encode(login.to_string());
    let own = format!("X-Registry-Auth: {login}\r\n");
    let seen = |path: &str| {
        let all = [one.seen(path), two.seen(path)].concat();
        let with = all
            .iter()
            .filter(|seen| seen.head.contains("x-registry-auth"));
        (with.count(), all.len())
    };
    // A login, and a pull by the client that is logged in.
    let body = r#"{"username":"ann","password":"x","serveraddress":"reg.io"}"#;
    assert!(
        post(port, "/auth", "", body)
            .await
            .starts_with("HTTP/1.1 200")
    );
    let pull = "/images/create?fromImage=reg.io/a&tag=1";
    assert!(post(port, pull, &own, "").await.starts_with("HTTP/1.1 200"));
    assert_eq!(seen("/images/create"), (2, 2));
    // The same pull by a client that is not.
    assert!(post(port, pull, "", "").await.starts_with("HTTP/1.1 200"));
    assert_eq!(seen("/images/create"), (2, 4));
    get(port, "/distribution/reg.io/a:1/json").await;
    assert_eq!(seen("/distribution"), (0, 1));
    // A create pulls with the credentials that came with it, on the container's node.
    let missing = json!({"message": "No such image: reg.io/a:1"}).to_string();
    for engine in [&one, &two] {
        engine.reply("/containers/create", Reply::Json(404, missing.clone()));
    }
    post(port, "/containers/create", "", r#"{"Image":"reg.io/a:1"}"#).await;
    assert_eq!(seen("/images/create"), (2, 5));
    post(
        port,
        "/containers/create",
        &own,
        r#"{"Image":"reg.io/a:1"}"#,
    )
    .await;
    assert_eq!(seen("/images/create"), (3, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_too_long_make_a_node_unusable() {
    let engine = HostileEngine::start(&"n".repeat(1 << 20)).await;
    let port = free_port();
    let manager = Rswarm::manage(port, &[&engine.addr()]).await;
    until_info(port, |info| info.contains("255arethemost")).await;
    assert!(manager.peak_memory() < MOST_MEMORY);
    let listed: Value = {
        let response = get(port, "/containers/json").await;
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        let body = body.trim_matches(|sign: char| !"[]".contains(sign));
        serde_json::from_str(body).unwrap()
    };
    assert_eq!(listed, json!([]));
}
