//! The manager's log, when a node's engine is hostile.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rmachine_core::printable::is_unsafe;
use serde_json::Value;

/// What the engine answers to every request: a line of its own making, and escapes.
const HOSTILE: &str = "no\r\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{9b}8m\u{202e}";

/// How long a manager may take to log that the node does not answer as it should.
const LIMIT: Duration = Duration::from_secs(60);

/// An engine that refuses everything; returns its address.
fn hostile_engine() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let body = serde_json::json!({ "message": HOSTILE }).to_string();
    let response = format!(
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(response.as_bytes());
        }
    });
    address
}

/// A running manager. Ends with the value.
struct Manager(Child);

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first line of a manager's log that has the engine's words.
fn logged(format: &str) -> String {
    let engine = hostile_engine();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rswarm"));
    command
        .args(["--log-level=debug", "--log-format", format, "manage"])
        .args(["--host=tcp://127.0.0.1:0", &format!("nodes://{engine}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut manager = Manager(command.spawn().unwrap());
    let log = BufReader::new(manager.0.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in log.split(b'\n').map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut before = String::new();
    loop {
        let line = lines.recv_timeout(LIMIT);
        let line = line.unwrap_or_else(|error| panic!("{error}; logged so far:\n{before}"));
        let line = String::from_utf8(line).unwrap();
        if line.contains("forged") {
            return line;
        }
        before.push_str(&line);
        before.push('\n');
    }
}

#[test]
fn text_log_of_hostile_engine_stays_one_printable_line() {
    let line = logged("text");
    assert!(!line.chars().any(is_unsafe), "{line:?}");
    let start = r"no\r\n2026-01-01T00:00:00Z  INFO forged";
    assert!(line.contains(start), "{line}");
    assert!(line.contains(r"\u{9b}8m\u{202e}"), "{line}");
}

#[test]
fn json_log_of_hostile_engine_keeps_its_text() {
    let line = logged("json");
    assert!(!line.chars().any(is_unsafe), "{line:?}");
    let record: Value = serde_json::from_str(&line).unwrap();
    let message = record["fields"]["message"].as_str().unwrap();
    assert!(message.contains("forged\u{1b}[2J"), "{message:?}");
}
