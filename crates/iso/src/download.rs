//! One download over HTTP that goes on where it broke off.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode};
use rmachine_driver::Report;
use serde::{Deserialize, Serialize};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use url::Url;

use crate::IsoError;
use crate::error::Broken;
use crate::progress::Progress;

/// How long a server may take to be reached, and to send the next piece.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
const PIECE_LIMIT: Duration = Duration::from_secs(30);
/// Timeout of one request with its whole body: a server that sends a byte now and then must not keep
/// a download, and the lock of its ISO, for ever.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);
/// Largest ISO that is downloaded, in bytes. boot2docker has 60 MB, an ISO built here 200 MB.
pub const MAX_DOWNLOAD: u64 = 2 << 30;
/// Redirects that one request follows.
const MAX_REDIRECTS: usize = 5;
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

/// The client for downloads: redirects and the proxies of the environment are its business.
pub(crate) fn client() -> Result<Client, IsoError> {
    Client::builder()
        .user_agent(concat!("rmachine/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(PIECE_LIMIT)
        .timeout(REQUEST_TIMEOUT)
        .redirect(Policy::custom(|attempt| match unwanted(&attempt) {
            None => attempt.follow(),
            Some(reason) => attempt.error(reason),
        }))
        .build()
        .map_err(|source| IsoError::Client { source })
}

/// Returns why a redirect is not followed.
fn unwanted(attempt: &Attempt<'_>) -> Option<&'static str> {
    let left_https = |url: &Url| url.scheme() == "https" && attempt.url().scheme() != "https";
    if attempt.previous().len() > MAX_REDIRECTS {
        Some("too many redirects")
    } else if attempt.previous().iter().any(left_https) {
        Some("a redirect leaves https")
    } else {
        None
    }
}

impl Download<'_> {
    /// Fetches the file from the first place that gives it, and says which that was.
    pub(crate) async fn run(&self, client: &Client, urls: &[Url]) -> Result<Url, IsoError> {
        let mut last = None;
        for url in urls {
            if let Some(error) = &last {
                let error: &IsoError = error;
                self.report.warn(&format!("{error}; trying {url}"));
            }
            match self.from(client, url).await {
                Ok(()) => return Ok(url.clone()),
                Err(
                    error @ (IsoError::Refused { .. }
                    | IsoError::Download { .. }
                    | IsoError::Redirect { .. }
                    | IsoError::TooLarge { .. }),
                ) => {
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
            tracing::debug!(%url, got, in_vain, ?broken, "the download broke off");
            if in_vain >= ATTEMPTS {
                return Err(IsoError::Download {
                    url: url.to_string(),
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
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_redirect() => {
                return Err(Ended::Failed(IsoError::Redirect {
                    url: without_credentials(url),
                    source: error.without_url(),
                }));
            }
            Err(error) => return Err(broken(error)),
        };
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
                    url: url.to_string(),
                    status,
                }));
            }
        };
        match self.receive(response, from).await {
            Err(Ended::Failed(error @ IsoError::TooLarge { .. })) => {
                self.discard().await?;
                Err(Ended::Failed(error))
            }
            ended => ended,
        }
    }

    /// Appends what comes.
    async fn receive(&self, mut response: Response, from: u64) -> Result<(), Ended> {
        let shown = without_credentials(response.url());
        let too_large = || IsoError::TooLarge {
            url: shown.clone(),
            limit: MAX_DOWNLOAD,
        };
        let rest = response.content_length();
        let total = rest.map(|rest| from.saturating_add(rest));
        if total.unwrap_or(from) > MAX_DOWNLOAD {
            return Err(Ended::Failed(too_large()));
        }
        let write = |error| Ended::Failed(IsoError::io("write", self.part)(error));
        let mut file = self.open().await.map_err(write)?;
        let mut progress = Progress::new(self.report, self.what.clone(), from);
        let mut got = from;
        progress.at(got, total);
        let ended = loop {
            match response.chunk().await {
                Ok(Some(piece)) => {
                    let length = piece.len() as u64;
                    if got.saturating_add(length) > MAX_DOWNLOAD {
                        break Err(Ended::Failed(too_large()));
                    }
                    file.write_all(&piece).await.map_err(write)?;
                    got += length;
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
        let version = origin.version.filter(|_| origin.url == url.as_str());
        (length > 0 && (version.is_some() || self.checked)).then_some((length, version))
    }

    /// Starts over, with the note of what comes now.
    async fn begin(&self, url: &Url, response: &Response) -> Result<(), Ended> {
        self.discard().await?;
        let origin = Origin {
            url: url.to_string(),
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

fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // Neither fails for a URL of http or https.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn broken(error: reqwest::Error) -> Ended {
    Ended::Broken(Broken::Connection(error.without_url()))
}

fn answered(text: &str) -> Ended {
    Ended::Broken(Broken::Answer(text.to_owned()))
}
