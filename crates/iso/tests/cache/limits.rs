//! Servers that send too much, or send on and on to others.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rmachine_driver::Silent;
use rmachine_iso::{IsoError, MAX_DOWNLOAD, Source};

use crate::{cache, name};

/// A server that answers every request with the same bytes; its address, and how many it had.
fn server(response: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(response.as_bytes());
        }
    });
    (address, requests)
}

fn source(address: &str) -> Source {
    let url = format!("http://user:secret@{address}/b.iso");
    Source::at(&url).unwrap().named(name("b"))
}

#[tokio::test]
async fn download_that_is_announced_too_large_is_not_begun() {
    let length = MAX_DOWNLOAD + 1;
    let (address, _) = server(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
    ));
    let (_dir, cache) = cache();
    let error = cache.obtain(&source(&address), &Silent).await.unwrap_err();
    assert!(matches!(error, IsoError::TooLarge { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("http://{address}/b.iso is larger than {MAX_DOWNLOAD} bytes, the limit for an ISO")
    );
    assert!(!cache.dir().join(".b.part").exists());
}

#[tokio::test]
async fn download_of_unknown_length_ends_at_the_limit() {
    let from = MAX_DOWNLOAD - 100;
    let (address, _) = server(format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"one\"\r\n\
         Content-Range: bytes {from}-{MAX_DOWNLOAD}/*\r\nConnection: close\r\n\r\n{}",
        "x".repeat(1000)
    ));
    let (_dir, cache) = cache();
    // All but the end is there already: a hole, which takes no space.
    fs::create_dir_all(cache.dir()).unwrap();
    let part = cache.dir().join(".b.part");
    File::create(&part).unwrap().set_len(from).unwrap();
    let note = serde_json::json!({
        "Url": format!("http://user:secret@{address}/b.iso"),
        "Version": "\"one\"",
    });
    fs::write(cache.dir().join(".b.part.json"), note.to_string()).unwrap();
    let error = cache.obtain(&source(&address), &Silent).await.unwrap_err();
    assert!(matches!(error, IsoError::TooLarge { .. }), "{error:?}");
    assert!(!part.exists());
}

#[tokio::test]
async fn redirects_without_end_are_an_error_at_once() {
    let response = "HTTP/1.1 302 Found\r\nLocation: /b.iso\r\nContent-Length: 0\r\n\
                    Connection: close\r\n\r\n";
    let (address, requests) = server(response.to_owned());
    let (_dir, cache) = cache();
    let error = cache.obtain(&source(&address), &Silent).await.unwrap_err();
    assert!(matches!(error, IsoError::Redirect { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    assert_eq!(requests.load(Ordering::Relaxed), 6);
}
