use rmachine_iso::{Cache, IsoName, Sha256, Source};

use super::{megabytes, one};
use crate::cli::App;
use crate::drivers::ISO_MIRROR;
use crate::error::{CommandError, Status};

/// Download an ISO into the cache, unless it is there
///
/// A download that broke off goes on where it ended, also in another run. The proxies that
/// HTTP_PROXY, HTTPS_PROXY and NO_PROXY name are used.
#[derive(clap::Args)]
pub struct Args {
    /// Where it is: http://, https:// or file:// [default: the last release of boot2docker]
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// Its name in the cache [default: from the URL]
    #[arg(long)]
    name: Option<IsoName>,

    /// The checksum that it must have [default: of boot2docker, the published one]
    #[arg(long, value_name = "DIGITS")]
    sha256: Option<Sha256>,

    /// A place that has boot2docker's releases, asked before their own
    #[arg(long, value_name = "URL", env = ISO_MIRROR, hide_env_values = true)]
    mirror: Option<String>,

    /// Download it anew, whatever the cache has
    #[arg(long)]
    again: bool,
}

/// Downloads the ISO.
pub async fn run(args: Args, app: &App, cache: &Cache) -> Result<Status, CommandError> {
    let mirror = args.mirror.as_deref().filter(|mirror| !mirror.is_empty());
    let source = match &args.url {
        Some(url) => Source::at(url),
        None => Source::boot2docker(mirror),
    };
    let mut source = source.map_err(|error| CommandError::usage(error.to_string()))?;
    if let Some(name) = args.name {
        source = source.named(name);
    }
    if let Some(sha256) = args.sha256 {
        source = source.checked(sha256);
    }
    one(app, source.name(), async |line| {
        let iso = match source.file() {
            Some(file) => {
                let (name, sha256) = (source.name(), source.sha256());
                cache.import(&file, name, sha256, args.again, line).await?
            }
            None if args.again => cache.obtain_anew(&source, line).await?,
            None => cache.obtain(&source, line).await?,
        };
        let path = iso.path.display();
        Ok(format!("{path}, {}, {}", iso.label, megabytes(iso.size)))
    })
    .await
}
