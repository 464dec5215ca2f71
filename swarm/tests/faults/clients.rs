//! Clients that vanish in the middle of what they do.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::manager::Manager;
use crate::wire::{begun, connected};
use crate::{engines, with_image};

/// How many vanish in each way.
const CLIENTS: usize = 10;

/// How long what they asked for may outlive them.
const CLEARED: Duration = Duration::from_secs(30);

/// How many connections to engines more may be kept for the next request, each with its task. What
/// leaks does so [`CLIENTS`] at a time.
const KEPT: usize = 4;

/// What a manager does: its tasks, and its connections to clients and engines.
fn busy(manager: &Manager, ports: &[u16]) -> (usize, usize) {
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let to_engines = table.lines().filter(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_open = matches!(words.get(3), Some(&("01" | "08")));
        let port = words.get(2).and_then(|remote| remote.rsplit_once(':'));
        let port = port.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        is_open && port.is_some_and(|port| ports.contains(&port))
    });
    (tasks, manager.connections() + to_engines.count())
}

/// Waits until the manager does no more than it did.
async fn until_idle(manager: &Manager, ports: &[u16], before: (usize, usize)) {
    let end = Instant::now() + CLEARED;
    loop {
        let now = busy(manager, ports);
        if now.0 <= before.0 + KEPT && now.1 <= before.1 + KEPT {
            return;
        }
        assert!(
            Instant::now() < end,
            "tasks and connections: {now:?}, {before:?} before"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_asked_for_goes_with_it() {
    let Some(engines) = engines(21).await else {
        return;
    };
    let ports: Vec<u16> = engines.iter().map(|engine| engine.port).collect();
    let manager = Manager::start(&engines).await;
    with_image(&manager).await;
    manager
        .done(&["run", "-d", "-i", "--name", "echo", "busy:1", "cat"])
        .await;
    // Once for what is made at the first use, and is kept.
    vanish(&manager).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = busy(&manager, &ports);
    vanish(&manager).await;
    until_idle(&manager, &ports, before).await;
    // The container never noticed, and nothing half sent was done.
    let format = ["inspect", "--format", "{{.State.Running}}", "echo"];
    assert_eq!(manager.done(&format).await, "true");
    let names = manager.done(&["ps", "-a", "--format", "{{.Names}}"]).await;
    assert_eq!(names.lines().count(), 1, "{names}");
    attach(&manager).await;
    manager.done(&["rm", "-f", "echo"]).await;
    until_idle(&manager, &ports, before).await;
}

async fn vanish(manager: &Manager) {
    for _ in 0..3 {
        attach(manager).await;
    }
    // Raw streams, and answers without an end.
    for request in [
        "POST /containers/echo/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: localhost\r\n\
         Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nhalf a li",
        "GET /containers/echo/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /containers/echo/stats HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /containers/echo/wait HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(begun(manager.port, request.as_bytes()).await);
        }
        for client in &mut clients {
            // A wait is answered at its end only.
            if !request.contains("/wait") {
                let answer = tokio::time::timeout(CLEARED, client.read_u8()).await;
                answer.expect("an answer begins").unwrap();
            }
        }
        gone(clients);
    }
    // Bodies that were announced and end halfway.
    for head in [
        "POST /containers/create?name=half HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n\
         {\"Image\":\"busy:1\",",
        "POST /images/load HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nw",
        "POST /build?t=half HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-tar\r\n\
         Content-Length: 1000000\r\n\r\nDockerfile",
        "PUT /containers/echo/archive?path=/ HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/x-tar\r\nContent-Length: 1000000\r\n\r\nx",
        "POST /images/create?fromSrc=-&repo=half HTTP/1.1\r\nHost: localhost\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc",
    ] {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(begun(manager.port, head.as_bytes()).await);
        }
        // So far that the engine has been asked.
        tokio::time::sleep(Duration::from_millis(300)).await;
        gone(clients);
    }
    // Clients that connect and leave.
    for _ in 0..CLIENTS {
        drop(connected(manager.port).await);
    }
}

/// Half of them end, half of them break.
fn gone(clients: Vec<TcpStream>) {
    for (number, client) in clients.into_iter().enumerate() {
        if number % 2 == 0 {
            client.set_zero_linger().unwrap();
        }
        drop(client);
    }
}

/// A client that is killed while it is attached.
async fn attach(manager: &Manager) {
    let mut client = manager.command_to_kill(&["attach", "echo"]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    let mut stdout = client.stdout.take().unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let mut heard = [0; 3];
        let sent = std::io::Write::write_all(&mut stdin, b"yes");
        sent.and_then(|()| stdout.read_exact(&mut heard))
            .map(|()| (heard, stdin))
    });
    let heard = tokio::time::timeout(CLEARED, heard).await;
    client.kill().unwrap();
    client.wait().unwrap();
    let (heard, _stdin) = heard.expect("an echo in time").unwrap().unwrap();
    assert_eq!(&heard, b"yes");
}
