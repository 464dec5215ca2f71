use serde_json::{Value, json};

use super::*;

fn binding(ip: &str, host_port: &str, port: &str) -> Value {
    json!({"HostConfig": {"PortBindings": {port: [{"HostIp": ip, "HostPort": host_port}]}}})
}

#[test]
fn port_wants_free_ports() {
    let inspect = |state: &str, bindings: Value, ports: Value| {
        json!({
            "Id": "abc", "Name": "/web", "State": {"Status": state},
            "HostConfig": {"PortBindings": bindings}, "NetworkSettings": {"Ports": ports},
        })
    };
    let any = |port: &str| json!({"80/tcp": [{"HostIp": "", "HostPort": port}]});
    let one = json!({"80/tcp": [{"HostIp": "10.0.0.1", "HostPort": "80"}]});
    let udp = json!({"80/udp": [{"HostIp": "", "HostPort": "80"}]});
    let v6 = json!({"80/tcp": [{"HostIp": "::", "HostPort": "80"}]});
    let table = [
        (
            inspect("running", any("80"), any("80")),
            ("", "80", "9/tcp"),
            false,
        ),
        (
            inspect("exited", any("80"), Value::Null),
            ("", "80", "9/tcp"),
            false,
        ),
        (
            inspect("running", any(""), any("80")),
            ("", "80", "9/tcp"),
            false,
        ),
        (
            inspect("exited", any(""), Value::Null),
            ("", "80", "9/tcp"),
            true,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("", "81", "80/tcp"),
            true,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("", "", "80/tcp"),
            true,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("", "80-90", "80/tcp"),
            true,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("", "80", "80/udp"),
            true,
        ),
        (
            inspect("running", udp.clone(), udp),
            ("", "80", "80/udp"),
            false,
        ),
        (
            inspect("running", any("80"), any("80")),
            ("10.0.0.2", "80", "9/tcp"),
            false,
        ),
        (
            inspect("running", one.clone(), one.clone()),
            ("10.0.0.2", "80", "9/tcp"),
            true,
        ),
        (
            inspect("running", one.clone(), one.clone()),
            ("10.0.0.1", "80", "9/tcp"),
            false,
        ),
        (
            inspect("running", one.clone(), one.clone()),
            ("0.0.0.0", "80", "9/tcp"),
            false,
        ),
        (
            inspect("running", one.clone(), one),
            ("::", "80", "9/tcp"),
            true,
        ),
        (
            inspect("running", v6.clone(), v6),
            ("", "80", "9/tcp"),
            false,
        ),
    ];
    for (inspect, (ip, host_port, port), expected) in table {
        let mut node = node("node-1");
        node.add(Resident::from_inspect(&inspect).expect("well formed"));
        let request = request(&binding(ip, host_port, port));
        let view = View {
            node: &node,
            absent: &[],
        };
        let accepted = Filter::Port.accepts(&view, &request);
        assert_eq!(
            accepted, expected,
            "{ip}:{host_port}->{port} beside {inspect}"
        );
        let blockers = Filter::Port.blockers(&view, &request);
        assert_eq!(blockers.is_empty(), expected);
    }
}

#[test]
fn port_looks_at_exposed_ports_on_the_hosts_network() {
    let host =
        |port: &str| json!({"ExposedPorts": {port: {}}, "HostConfig": {"NetworkMode": "host"}});
    let mut node = node("node-1");
    node.add(
        Resident::from_inspect(&json!({
            "Id": "abc", "Name": "/web", "State": {"Status": "running"},
            "Config": {"ExposedPorts": {"80/tcp": {}}},
            "HostConfig": {"NetworkMode": "host"},
        }))
        .expect("well formed"),
    );
    let table = [
        (host("80/tcp"), false),
        (host("80/udp"), true),
        (host("81/tcp"), true),
        (binding("", "80", "80/tcp"), true),
    ];
    for (config, expected) in table {
        assert_eq!(
            accepts(Filter::Port, &node, &request(&config)),
            expected,
            "{config}"
        );
    }
    let blockers = Filter::Port.blockers(
        &View {
            node: &node,
            absent: &[],
        },
        &request(&host("80/tcp")),
    );
    assert_eq!(
        blockers[0].to_string(),
        "container node-1/web holds port 80/tcp on the host's network"
    );
}
