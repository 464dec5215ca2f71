//! One download over HTTP that goes on where it broke off.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rmachine_driver::Report;
use serde::{Deserialize, Serialize};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use url::Url;

use crate::IsoError;
use crate::error::Broken;
use crate::progress::Progress;
use crate::source::public;

/// How long a server may take to be reached, and to send the next piece.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
const PIECE_LIMIT: Duration = Duration::from_secs(30);
/// How often in a row nothing may come.
const ATTEMPTS: u32 = 5;
/// The pause after the first broken attempt; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What is downloaded, and where it goes until it is whole.
pub(crate) struct Download<'a> {
    /// For messages: the name of the ISO.
    pub what: String,
    /// The file that grows.
    pub part: &'a Path,
    /// Whether a checksum will tell if pieces do not belong together.
    pub checked: bool,
    pub report: &'a dyn Report,
}

/// What the file that grows is a part of: a note beside it.
#[derive(Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct Origin {
    url: String,
    /// What the server calls this version of the file: an entity tag, or a date.
    version: Option<String>,
}

/// Why an attempt ended.
enum Ended {
    /// It may go on.
    Broken(Broken),
    /// It will not.
    Failed(IsoError),
}

/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// The client for downloads, which follows redirects and uses the proxies of the environment.
///
/// Without a checksum, `https` is what vouches for the file: a redirect from there to `http` is an
/// error.
pub(crate) fn client(checked: bool) -> Result<Client, IsoError> {
    let redirects = Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else if !checked && loses_tls(attempt.previous().last(), attempt.url()) {
            attempt.error("the server redirects from https to http")
        } else {
            attempt.follow()
        }
    });
    Client::builder()
        .redirect(redirects)
        .user_agent(concat!("rmachine/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(PIECE_LIMIT)
        .build()
        .map_err(|source| IsoError::Client { source })
}

impl Download<'_> {
    /// Fetches the file from the first place that gives it, and says which that was.
    pub(crate) async fn run<'u>(
        &self,
        client: &Client,
        urls: &'u [Url],
    ) -> Result<&'u Url, IsoError> {
        let mut last = None;
        for url in urls {
            if let Some(error) = &last {
                let error: &IsoError = error;
                self.report
                    .warn(&format!("{error}; trying {}", public(url)));
            }
            match self.from(client, url).await {
                Ok(()) => return Ok(url),
                Err(error @ (IsoError::Refused { .. } | IsoError::Download { .. })) => {
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| IsoError::NotAnIso {
            path: self.part.to_owned(),
            reason: "nobody has it".to_owned(),
            cached: None,
        }))
    }

    async fn from(&self, client: &Client, url: &Url) -> Result<(), IsoError> {
        if url.scheme() == "http" && !self.checked {
            self.report.warn(&format!(
                "{} is downloaded over plain http and without a checksum: whoever is on the way can \
                 replace it; use https, or 'rmachine iso pull --sha256'",
                public(url)
            ));
        }
        let mut in_vain = 0;
        loop {
            let before = self.length().await;
            let broken = match self.attempt(client, url).await {
                Ok(()) => return Ok(()),
                Err(Ended::Failed(error)) => return Err(error),
                Err(Ended::Broken(broken)) => broken,
            };
            let got = self.length().await;
            in_vain = if got > before { 1 } else { in_vain + 1 };
            tracing::debug!(
                url = public(url),
                got,
                in_vain,
                ?broken,
                "the download broke off"
            );
            if in_vain >= ATTEMPTS {
                return Err(IsoError::Download {
                    url: public(url),
                    attempts: in_vain,
                    got,
                    source: broken,
                });
            }
            let pause = FIRST_PAUSE * 2_u32.pow(in_vain - 1);
            self.report.step(&format!(
                "the download of {} broke off ({broken}); going on in {} s",
                self.what,
                pause.as_secs().max(1)
            ));
            tokio::time::sleep(pause).await;
        }
    }

    /// One request: the rest of the file, or all of it.
    async fn attempt(&self, client: &Client, url: &Url) -> Result<(), Ended> {
        let mut request = client
            .get(url.clone())
            // What is compressed on the way has other ranges.
            .header(ACCEPT_ENCODING, "identity");
        let resumed = self.resumable(url).await;
        if let Some((from, version)) = &resumed {
            request = request.header(RANGE, format!("bytes={from}-"));
            if let Some(version) = version {
                request = request.header(IF_RANGE, version);
            }
        }
        let response = request.send().await.map_err(broken)?;
        let from = match (response.status(), resumed) {
            (StatusCode::PARTIAL_CONTENT, Some((from, noted))) => {
                if range_start(response.headers()) != Some(from) {
                    self.discard().await?;
                    return Err(answered("the server sent another piece than was asked for"));
                }
                // Some servers know Range and not If-Range.
                if noted.is_some_and(|noted| is_other(&noted, response.headers())) {
                    self.discard().await?;
                    return Err(answered("the file has changed meanwhile"));
                }
                from
            }
            (StatusCode::OK, _) => {
                self.begin(url, &response).await?;
                0
            }
            // There is no rest: it broke off after the last byte.
            (StatusCode::RANGE_NOT_SATISFIABLE, Some((from, _)))
                if whole_length(response.headers()) == Some(from) =>
            {
                return Ok(());
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => {
                self.discard().await?;
                return Err(answered("the file has become shorter"));
            }
            (status, _) if may_pass(status) => return Err(Ended::Broken(Broken::Status(status))),
            (status, _) => {
                return Err(Ended::Failed(IsoError::Refused {
                    url: public(url),
                    status,
                }));
            }
        };
        self.receive(response, from).await
    }

    /// Appends what comes.
    async fn receive(&self, mut response: Response, from: u64) -> Result<(), Ended> {
        let total = response.content_length().map(|rest| from + rest);
        let write = |error| Ended::Failed(IsoError::io("write", self.part)(error));
        let mut file = self.open().await.map_err(write)?;
        let mut progress = Progress::new(self.report, self.what.clone(), from);
        let mut got = from;
        progress.at(got, total);
        let ended = loop {
            match response.chunk().await {
                Ok(Some(piece)) => {
                    file.write_all(&piece).await.map_err(write)?;
                    got += piece.len() as u64;
                    progress.at(got, total);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(broken(error)),
            }
        };
        // What has come is kept, also when no more comes.
        file.flush().await.map_err(write)?;
        ended?;
        match total {
            Some(total) if got != total => Err(answered("the server ended too early")),
            _ => Ok(()),
        }
    }

    async fn open(&self) -> std::io::Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.part)
            .await
    }

    async fn length(&self) -> u64 {
        let found = tokio::fs::metadata(self.part).await;
        found.map_or(0, |found| found.len())
    }

    /// From where on a request can ask, and for which version. Pieces of which nobody could tell
    /// whether they belong together are not put together.
    async fn resumable(&self, url: &Url) -> Option<(u64, Option<String>)> {
        let length = self.length().await;
        let origin = tokio::fs::read(self.note()).await.ok()?;
        let origin: Origin = serde_json::from_slice(&origin).ok()?;
        let version = origin.version.filter(|_| origin.url == public(url));
        (length > 0 && (version.is_some() || self.checked)).then_some((length, version))
    }

    /// Starts over, with the note of what comes now.
    async fn begin(&self, url: &Url, response: &Response) -> Result<(), Ended> {
        self.discard().await?;
        let origin = Origin {
            url: public(url),
            version: version(response.headers()),
        };
        let text = serde_json::to_vec(&origin).unwrap_or_default();
        let note = self.note();
        tokio::fs::write(&note, text)
            .await
            .map_err(|error| Ended::Failed(IsoError::io("write", note)(error)))
    }

    /// Forgets what has come.
    async fn discard(&self) -> Result<(), Ended> {
        discard(self.part).await.map_err(Ended::Failed)
    }

    fn note(&self) -> PathBuf {
        note_of(self.part)
    }
}

/// Whether a redirect leads from `https` to something else.
fn loses_tls(from: Option<&Url>, to: &Url) -> bool {
    from.is_some_and(|from| from.scheme() == "https") && to.scheme() != "https"
}

/// Removes a part and its note.
pub(crate) async fn discard(part: &Path) -> Result<(), IsoError> {
    for path in [part.to_owned(), note_of(part)] {
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(IsoError::io("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn note_of(part: &Path) -> PathBuf {
    part.with_extension("part.json")
}

/// A server's trouble that may be over in a moment.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
}

/// What `If-Range` takes: a strong entity tag, else a date.
fn version(headers: &HeaderMap) -> Option<String> {
    text(headers, ETAG)
        .filter(|tag| !tag.starts_with("W/"))
        .or_else(|| text(headers, LAST_MODIFIED))
        .map(str::to_owned)
}

/// Whether a server's answer says that it is of another version than the noted one.
fn is_other(noted: &str, headers: &HeaderMap) -> bool {
    let kind = if noted.starts_with('"') {
        ETAG
    } else {
        LAST_MODIFIED
    };
    text(headers, kind).is_some_and(|version| version != noted)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, CONTENT_RANGE)?;
    let (start, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    start.trim().parse().ok()
}

/// The length of the file, as a server says it that has nothing at the range that was asked for.
fn whole_length(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, CONTENT_RANGE)?;
    range.strip_prefix("bytes */")?.trim().parse().ok()
}

fn broken(error: reqwest::Error) -> Ended {
    Ended::Broken(Broken::Connection(error.without_url()))
}

fn answered(text: &str) -> Ended {
    Ended::Broken(Broken::Answer(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_from_https_to_http_loses_tls() {
        let url = |scheme: &str| Url::parse(&format!("{scheme}://example.org/")).unwrap();
        assert!(loses_tls(Some(&url("https")), &url("http")));
        assert!(!loses_tls(Some(&url("https")), &url("https")));
        assert!(!loses_tls(Some(&url("http")), &url("https")));
        assert!(!loses_tls(Some(&url("http")), &url("http")));
    }
}
