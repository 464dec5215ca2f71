use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use rmachine_iso::{BuildEngine, BuildOrder, BuildPackages, Cache, IsoName, PackageLock};

use super::{megabytes, one};
use crate::cli::App;
use crate::error::{CommandError, Status};

/// Build an ISO in the manner of boot2docker from Debian's packages
///
/// The newest packages are taken from the archive that apt uses here; no root is needed. Beside the
/// ISO lies NAME.packages, the list of what it is made of: --lock builds the same ISO from it, byte
/// for byte, also when the archive has newer ones, as long as the cache has the old.
#[derive(clap::Args)]
pub struct Args {
    /// Its name in the cache; one that has the name is replaced [default: boot2docker-ENGINE]
    #[arg(long)]
    name: Option<IsoName>,

    /// The engine; 20.10 is the last one that takes --cluster-store
    #[arg(long, value_name = "VERSION", default_value = BuildEngine::NAMES[0],
          value_parser = PossibleValuesParser::new(BuildEngine::NAMES)
              .try_map(|name| name.parse::<BuildEngine>()))]
    engine: BuildEngine,

    /// Build just what this list of packages says
    #[arg(long, value_name = "FILE", conflicts_with = "engine")]
    lock: Option<PathBuf>,

    /// A place that has Debian's archive [default: the one that apt uses]
    #[arg(long, value_name = "URL")]
    archive: Option<String>,
}

/// Builds the ISO.
pub async fn run(args: Args, app: &App, cache: &Cache) -> Result<Status, CommandError> {
    let packages = match &args.lock {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                CommandError::failed(format!("cannot read {}", path.display())).caused_by(&error)
            })?;
            BuildPackages::Locked(
                text.parse::<PackageLock>()
                    .map_err(|error| CommandError::usage(format!("{}, {error}", path.display())))?,
            )
        }
        None => BuildPackages::Newest(args.engine, epoch(app)?),
    };
    let engine = match &packages {
        BuildPackages::Newest(engine, _) => *engine,
        BuildPackages::Locked(lock) => lock.engine,
    };
    let name = match args.name {
        Some(name) => name,
        None => format!("boot2docker-{engine}")
            .parse()
            .map_err(|error| CommandError::failed("no name").caused_by(&error))?,
    };
    let order = BuildOrder {
        name,
        packages,
        archive: args.archive,
        search_path: app.process.var("PATH").unwrap_or_default().to_owned(),
    };
    one(app, &order.name, async |line| {
        let built = rmachine_iso::build(cache, &order, line).await?;
        let (path, iso) = (built.iso.path.display(), &built.iso);
        let (size, list) = (megabytes(iso.size), built.lock_path.display());
        Ok(format!(
            "{path}, {}, {size}; its packages are in {list}",
            iso.label
        ))
    })
    .await
}

/// The date of what is built: `SOURCE_DATE_EPOCH`, else now.
fn epoch(app: &App) -> Result<u64, CommandError> {
    match app.process.var("SOURCE_DATE_EPOCH") {
        Some(text) => text.parse().map_err(|error| {
            CommandError::usage("SOURCE_DATE_EPOCH is no number of seconds").caused_by(&error)
        }),
        None => Ok(app
            .process
            .now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())),
    }
}
