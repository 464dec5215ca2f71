use rmachine_engine::full;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};

use super::*;

/// Where the real engine of the environment is reached over TCP, as nodes are.
async fn named() -> Option<String> {
    let url = std::env::var("RMACHINE_TEST_ENGINE").ok();
    let Some(socket) = url.and_then(|url| url.strip_prefix("unix://").map(str::to_owned)) else {
        rmachine_test_support::skip("RMACHINE_TEST_ENGINE names no engine's socket");
        return None;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut engine = UnixStream::connect(socket).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut engine).await;
            });
        }
    });
    Some(addr)
}

#[tokio::test]
async fn a_real_engine_is_a_node() {
    let Some(addr) = named().await else { return };
    let filters = vec![Filter::Health];
    let cluster = Cluster::new(ClusterSettings {
        refresh_min: Duration::from_secs(30),
        refresh_max: Duration::from_secs(60),
        failure_retry: 3,
        overcommit: Overcommit::default(),
        scheduler: Scheduler::new(Strategy::Spread, filters),
        tls: EngineTls::Off,
        call_limit: Duration::from_secs(20),
    });
    cluster.set_members(&entries([&addr]));
    until_status(&cluster, &addr, NodeStatus::Healthy).await;
    cluster.settle().await;
    let Some(image) = cluster.images().iter().find_map(|node| {
        let mut objects = node.objects.iter();
        objects.find_map(|image| {
            image
                .names
                .iter()
                .find(|name| name.contains("lab/"))
                .cloned()
        })
    }) else {
        return rmachine_test_support::skip("the engine has no lab image");
    };
    let placed = cluster
        .place(Request::default().named("rswarm-nodes"), "s1")
        .unwrap();
    let node = placed.node().clone();
    let config = json!({
        "Image": &*image, "Cmd": ["sleep", "60"], "Labels": { "com.docker.swarm.id": "s1" },
        "HostConfig": { "NetworkMode": "none", "Memory": 64 << 20 },
    });
    let path = "/containers/create?name=rswarm-nodes";
    let made = node
        .engine
        .call(http::Method::POST, path, Some(&config))
        .await
        .unwrap();
    let id = made["Id"].as_str().unwrap().to_owned();
    placed.created(&id, &image);
    let start = format!("/containers/{id}/start");
    node.engine
        .call(http::Method::POST, &start, None)
        .await
        .unwrap();
    cluster.refresh_container(&addr, &id).await;
    let query = ListQuery {
        filters: [("id".to_owned(), vec![id.clone()])].into(),
        ..ListQuery::default()
    };
    let listed = list(&cluster, &query);
    assert_eq!(listed[0]["State"], "running");
    assert!(listed[0]["Status"].as_str().unwrap().starts_with("Up "));
    let name = format!("/{}/rswarm-nodes", node.about.name);
    assert_eq!(listed[0]["Names"], json!([name]));
    let remove = http::Request::delete(format!("/containers/{id}?force=1")).body(full(""));
    let gone = node.engine.send(remove.unwrap(), LIMIT).await.unwrap();
    assert!(gone.status().is_success());
    until("it has gone", || cluster.resolve_container(&id).is_err()).await;
}
