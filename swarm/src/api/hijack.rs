//! Connections that become raw streams, spliced byte by byte: attach, exec, sessions.

use std::io;
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rmachine_engine::{ApiVersion, Upgrade, full};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::ApiError;
use super::forward::{LOOKUP, Outgoing, PATIENT, passed};
use crate::cluster::NodeEngine;
use crate::listen::Served;

/// How long a client may take to hang up after the engine has ended. Hanging up on it at once
/// could cost it what it has not read yet.
const LINGER: Duration = Duration::from_secs(10);

/// Sends the request and splices the two connections, if the engine agrees; else its answer is
/// the client's.
///
/// # Errors
/// [`ApiError::Engine`] when there is no answer.
pub async fn splice(
    node: &NodeEngine,
    outgoing: Outgoing,
    wanted: Option<HeaderValue>,
    client: Option<ApiVersion>,
    upgrade: OnUpgrade,
) -> Result<Served, ApiError> {
    let Some(protocol) = wanted else {
        return node.pass(outgoing, client, PATIENT).await;
    };
    let mut request = outgoing.request(node, client)?;
    request.headers_mut().insert(UPGRADE, protocol);
    let taken = node.engine.upgrade(request, LOOKUP).await;
    let (head, engine) = match taken.map_err(|source| node.failed(source))? {
        Upgrade::Answered(answer) => return Ok(passed(answer)),
        Upgrade::Taken(head, engine) => (head, engine),
    };
    tokio::spawn(async move {
        let spliced = match upgrade.await {
            Ok(client) => both_ways(TokioIo::new(client), engine).await,
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = spliced {
            tracing::debug!("a stream broke: {error}");
        }
    });
    let mut answer = Response::new(full(""));
    *answer.status_mut() = head.status;
    *answer.headers_mut() = head.headers;
    let connection = HeaderValue::from_static("Upgrade");
    answer.headers_mut().insert(CONNECTION, connection);
    Ok(answer)
}

/// Copies both ways until the engine ends its side. A client that ends its own may go on reading.
async fn both_ways(
    client: impl AsyncRead + AsyncWrite,
    engine: impl AsyncRead + AsyncWrite,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_engine, mut to_engine) = tokio::io::split(engine);
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_engine).await?;
        to_engine.shutdown().await?;
        // The engine decides when it is over.
        std::future::pending::<io::Result<()>>().await
    };
    let down = async {
        tokio::io::copy(&mut from_engine, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::select! {
        up = up => up?,
        down = down => down?,
    }
    drop((from_engine, to_engine));
    let mut sink = tokio::io::sink();
    let hanging_up = tokio::io::copy(&mut from_client, &mut sink);
    match tokio::time::timeout(LINGER, hanging_up).await {
        Ok(ended) => ended.map(|_| ()),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_client_that_says_no_more_still_hears_everything() {
        let (mut client, near) = duplex(64);
        let (far, mut engine) = duplex(64);
        let spliced = tokio::spawn(both_ways(near, far));
        client.write_all(b"in").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        engine.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"in");
        engine.write_all(b"out").await.unwrap();
        engine.shutdown().await.unwrap();
        let mut answered = Vec::new();
        client.read_to_end(&mut answered).await.unwrap();
        assert_eq!(answered, b"out");
        drop(client);
        spliced.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_end_of_the_engine_is_the_end() {
        let (mut client, near) = duplex(64);
        let (far, mut engine) = duplex(64);
        let spliced = tokio::spawn(both_ways(near, far));
        engine.write_all(b"bye").await.unwrap();
        drop(engine);
        let mut answered = Vec::new();
        client.read_to_end(&mut answered).await.unwrap();
        assert_eq!(answered, b"bye");
        client.write_all(b"too late").await.unwrap();
        drop(client);
        spliced.await.unwrap().unwrap();
    }
}
