//! Stores that break the rules of their protocol.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use rswarm_discovery::{StoreOptions, Update, discovery};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A Consul that answers at once, with these indexes one after the other and the last for ever.
struct Consul {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Consul {
    async fn start(indexes: &'static [u64]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let recorded = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut answered = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = vec![0; 16 * 1024];
                let read = stream.read(&mut buffer).await.unwrap_or_default();
                let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
                let line = head.lines().next().unwrap_or_default().to_owned();
                recorded.lock().unwrap().push(line);
                let index = indexes[answered.min(indexes.len() - 1)];
                answered += 1;
                // Each answer has another member, so that the watch reports it.
                let value = ["YToxMA==", "YToxMQ==", "YToxMg==", "YToxMw=="][answered % 4];
                let body = format!(r#"[{{"Value":"{value}"}}]"#);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nX-Consul-Index: {index}\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, requests }
    }

    /// The indexes that a watch asks for until it has reported so many changes.
    async fn queried(&self, changes: usize) -> Vec<String> {
        let url = format!("consul://{}", self.address).parse().unwrap();
        let store = discovery(&url, StoreOptions::default()).unwrap();
        let mut watch = store.watch();
        let mut reported = 0;
        while reported < changes {
            match watch.next().await {
                Some(Update::Members(_)) => reported += 1,
                other => panic!("{other:?}"),
            }
        }
        let requests = self.requests.lock().unwrap();
        let index = |line: &String| {
            let (_, rest) = line.split_once("index=")?;
            Some(rest.split('&').next()?.to_owned())
        };
        requests.iter().take(changes).filter_map(index).collect()
    }
}

#[tokio::test]
async fn consul_index_zero_is_queried_as_one() {
    let consul = Consul::start(&[0]).await;
    assert_eq!(consul.queried(3).await, ["0", "1", "1"]);
}

#[tokio::test]
async fn consul_index_that_goes_backwards_is_reset() {
    let consul = Consul::start(&[100, 7, 8, 9]).await;
    // The answer with the index 7 is not used: what follows it is a listing without an index.
    assert_eq!(consul.queried(3).await, ["0", "100", "0"]);
}
