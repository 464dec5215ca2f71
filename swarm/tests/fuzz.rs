//! Fuzz targets: addresses to listen on and to advertise, and requests to a manager whose engine
//! answers with anything.
//!
//! Each is a test that takes random inputs for a second; `bolero` also runs it under libFuzzer.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a target that cannot set up its case has failed"
)]

#[allow(dead_code, reason = "other tests use what these do not")]
#[path = "faults/hostile_engine.rs"]
mod hostile_engine;

use std::time::{Duration, Instant};

use bolero::{ValueGenerator, check, produce};
use hostile_engine::{HostileEngine, Reply};
use rswarm::advertise::Advertise;
use rswarm::api::{Api, ApiSettings, Host, Standing};
use rswarm::cluster::{Cluster, ClusterSettings, EngineTls, NodeStatus};
use rswarm::listen::ListenAddress;
use rswarm::listen::{Listener, serve};
use rswarm_scheduler::node::Overcommit;
use rswarm_scheduler::{Filter, Scheduler, Strategy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const PIECES: &[&str] = &[
    "tcp://",
    "unix://",
    "udp://",
    "://",
    "/",
    "/run/a.sock",
    ":",
    "[",
    "]",
    "::1",
    "[::]",
    "0.0.0.0",
    "127.0.0.1",
    "node-1.example",
    "eth9",
    "2375",
    ":2375",
    "65535",
    "65536",
    "0",
    "+",
    "-",
    " ",
    "é",
    "%",
];

fn texts() -> impl ValueGenerator<Output = String> {
    let picks = produce::<Vec<usize>>().with();
    let picks = picks.len(0..=6_usize).values(0..PIECES.len());
    picks.map_gen(|picks| picks.into_iter().map(|pick| PIECES[pick]).collect())
}

/// A host and a port: brackets are around all of the host or nowhere.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let inside = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    is_number && port.parse::<u16>().is_ok() && (inside.is_some() || !host.contains(':'))
}

#[test]
fn an_address_to_listen_on_comes_back() {
    check!().with_generator(texts()).for_each(|text| {
        let (protocol, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let expected = match protocol {
            "tcp" => is_host_and_port(rest),
            "unix" => rest.starts_with('/'),
            _ => false,
        };
        let address = text.parse::<ListenAddress>();
        assert_eq!(address.is_ok(), expected, "{text:?}");
        if let Ok(address) = address {
            assert_eq!(address.to_string().parse(), Ok(address.clone()), "{text:?}");
            let local: Result<ListenAddress, _> = address.local_url().parse();
            assert!(local.is_ok(), "{text:?} is at {}", address.local_url());
        }
    });
}

#[test]
fn an_address_to_advertise_has_a_host_and_a_port() {
    check!().with_generator(texts()).for_each(|text| {
        if let Ok(address) = text.parse::<Advertise>() {
            assert!(is_host_and_port(text), "{text:?}");
            // A host that is no interface of this machine is told as it is.
            let told = address.resolved();
            let told = told.as_deref().unwrap_or(text);
            assert!(
                told.parse::<Advertise>().is_ok(),
                "{text:?} is told as {told:?}"
            );
        }
    });
}

/// Every route, with a container, a network, a volume and an image that exist.
const ROUTES: &[&str] = &[
    "GET /containers/json",
    "GET /containers/c1/json",
    "POST /containers/create",
    "POST /containers/prune",
    "POST /containers/c1/start",
    "POST /containers/c1/wait",
    "POST /containers/c1/attach",
    "GET /containers/c1/logs",
    "DELETE /containers/c2",
    "POST /containers/c1/stop",
    "POST /containers/c1/kill",
    "POST /containers/c1/restart",
    "POST /containers/c1/exec",
    "POST /containers/c1/resize",
    "GET /containers/c1/top",
    "POST /containers/c1/rename",
    "POST /containers/c1/update",
    "GET /images/json",
    "GET /images/search",
    "GET /images/get",
    "POST /images/create",
    "POST /images/load",
    "POST /images/prune",
    "GET /images/busy/json",
    "POST /images/busy/tag",
    "DELETE /images/busy",
    "POST /commit",
    "GET /distribution/busy/json",
    "GET /_ping",
    "GET /version",
    "GET /info",
    "POST /auth",
    "GET /system/df",
    "GET /plugins",
    "POST /exec/e1/start",
    "GET /exec/e1/json",
    "GET /networks",
    "POST /networks/create",
    "POST /networks/prune",
    "POST /networks/wide/connect",
    "POST /networks/wide/disconnect",
    "GET /networks/wide",
    "DELETE /networks/wide",
    "GET /volumes",
    "POST /volumes/create",
    "POST /volumes/prune",
    "GET /volumes/data",
    "DELETE /volumes/data",
    "POST /build",
    "POST /build/prune",
    "POST /build/cancel",
];

const JSON: &[&str] = &[
    "{}",
    "[]",
    "null",
    "true",
    "5",
    "\"x\"",
    "{\"Name\":",
    "{\"Image\":\"busy\",\"HostConfig\":",
    "{\"HostConfig\":{\"NetworkMode\":\"wide\",\"Memory\":",
    "{\"Labels\":{\"com.docker.swarm.constraints\":",
    "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"wide\":",
    "{\"Env\":",
    "{\"Container\":",
    "{\"Id\":",
    "{\"Containers\":",
    "{\"VolumesDeleted\":",
    "{\"message\":",
    "[",
    ",",
    "]",
    "}",
    "}}",
    "\"Driver\":\"overlay\"",
    "18446744073709551616",
    "-0.5",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036.999999999",
    "0.0000000001",
    "1e999",
    "NaN",
    "2016-08-24T15:33:34Z",
    "9999-12-31T23:59:59Z",
    "%7B%22label%22%3A%5B5%5D%7D",
    "{\"status\":[\"running\"]}",
    "",
];

const PARAMETERS: &[&str] = &[
    "t",
    "limit",
    "since",
    "until",
    "tail",
    "size",
    "all",
    "signal",
    "h",
    "w",
    "filters",
    "before",
    "fromImage",
    "tag",
    "names",
    "name",
    "container",
    "buildargs",
    "memory",
    "session",
];

/// A manager of one hostile engine, in this process.
struct Target {
    engine: HostileEngine,
    port: u16,
    _cluster: Cluster,
}

impl Target {
    async fn start() -> Self {
        let engine = HostileEngine::start("node-1").await;
        for (path, list) in [
            (
                "/containers/json",
                r#"[{"Id":"c1","Names":["/c1"],"State":"running"},{"Id":"c2","Names":["/c2"]}]"#,
            ),
            (
                "/images/json",
                r#"[{"Id":"sha256:4d38","RepoTags":["busy:latest"]}]"#,
            ),
            (
                "/volumes",
                r#"{"Volumes":[{"Name":"data","Driver":"local","Scope":"local"}]}"#,
            ),
        ] {
            engine.reply(path, Reply::Json(200, list.to_owned()));
        }
        let cluster = Cluster::new(ClusterSettings {
            refresh_min: Duration::from_secs(30),
            refresh_max: Duration::from_secs(60),
            failure_retry: 3,
            overcommit: Overcommit::default(),
            scheduler: Scheduler::new(Strategy::Spread, [Filter::Health, Filter::Constraint]),
            tls: EngineTls::Off,
            call_limit: Duration::from_secs(10),
        });
        cluster.set_members(&[engine.addr().parse().unwrap()].into());
        let settings = ApiSettings {
            lease: rswarm::lease::Lease::default(),
            standing: Box::new(|| Standing::Primary),
            strategy: "spread".to_owned(),
            filters: Vec::new(),
            host: Host::default(),
            create_retry: 0,
            cors: false,
            experimental: false,
        };
        let api = Api::new(cluster.clone(), settings);
        let address: ListenAddress = "tcp://127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(&address).await.unwrap();
        let port = listener.port().unwrap();
        let service = move |request| api.clone().handle(request);
        tokio::spawn(serve(
            vec![listener],
            None,
            service,
            CancellationToken::new(),
        ));
        let end = Instant::now() + Duration::from_secs(60);
        while cluster.nodes()[0].status != NodeStatus::Healthy {
            assert!(Instant::now() < end, "{:?}", cluster.nodes());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self {
            engine,
            port,
            _cluster: cluster,
        }
    }

    /// The first part of the response: an event stream has no end.
    async fn request(&self, route: &str, query: &str, body: &str) -> String {
        let query = query.replace(' ', "+");
        let length = body.len();
        let request = format!(
            "{route}?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = vec![0; 4096];
        let reading = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut response));
        let read = reading.await.expect("a response in time").unwrap();
        response.truncate(read);
        String::from_utf8_lossy(&response).into_owned()
    }
}

#[test]
fn any_request_gets_a_response_whatever_its_engine_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let target = runtime.block_on(Target::start());
    let json = || {
        let picks = produce::<Vec<usize>>().with();
        let picks = picks.len(0..=6_usize).values(0..JSON.len());
        picks.map_gen(|picks| picks.into_iter().map(|pick| JSON[pick]).collect::<String>())
    };
    let parameters = (0..PARAMETERS.len(), 0..NUMBERS.len());
    let inputs = (0..ROUTES.len(), json(), json(), parameters);
    check!()
        .with_generator(inputs)
        .for_each(|(route, body, reply, (parameter, number))| {
            let route = ROUTES[*route];
            let path = route.split(' ').nth(1).unwrap_or_default();
            // The lists stay, so that there is something to find.
            let is_list =
                ["/containers/json", "/images/json", "/volumes", "/networks"].contains(&path);
            if !is_list && path != "/info" && path != "/version" {
                for path in [
                    path,
                    "/networks/2001",
                    "/containers/create",
                    "/networks/create",
                ] {
                    target.engine.reply(path, Reply::Json(200, reply.clone()));
                }
            }
            let query = format!("{}={}", PARAMETERS[*parameter], NUMBERS[*number]);
            let response = runtime.block_on(target.request(route, &query, body));
            assert!(
                response.starts_with("HTTP/1.1 "),
                "{route}?{query} {body} {reply}: {response}"
            );
            let has_panicked = response.contains("the manager failed on this request");
            assert!(!has_panicked, "{route}?{query} {body} {reply}: {response}");
        });
}
