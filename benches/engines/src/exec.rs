//! Programs in containers: each says a word, then repeats what it hears.

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

use crate::api::{Answer, empty};
use crate::engine::Engine;

/// What a program says first, as engines frame what comes without a terminal.
const HELLO: &[u8] = b"\x01\0\0\0\0\0\0\x06hello\n";

/// A new program's id. It tells which engine made it, so that nothing need be remembered.
pub fn id(engine: &Engine) -> String {
    let random: [u64; 3] = rand::random();
    let [a, b, c] = random;
    format!("{:016x}{a:016x}{b:016x}{c:016x}", engine.number)
}

/// Whether the engine made it.
pub fn is_of(engine: &Engine, id: &str) -> bool {
    id.len() == 64 && id.starts_with(&format!("{:016x}", engine.number))
}

/// The connection of a request, if it is to be given away.
pub fn connection(request: &mut Request<Incoming>) -> Option<OnUpgrade> {
    let wanted = request.headers().contains_key(header::UPGRADE);
    wanted.then(|| hyper::upgrade::on(request))
}

/// Runs a program over the connection.
pub fn run(connection: OnUpgrade) -> Answer {
    tokio::spawn(async move {
        let Ok(upgraded) = connection.await else {
            return;
        };
        let (mut input, mut output) = tokio::io::split(TokioIo::new(upgraded));
        if output.write_all(HELLO).await.is_ok() {
            let _ = tokio::io::copy(&mut input, &mut output).await;
            let _ = output.shutdown().await;
        }
    });
    let mut answer: Answer = Response::new(empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    for (name, value) in [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "tcp")] {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
    answer
}
