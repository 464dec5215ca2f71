use std::path::PathBuf;

use rmachine_driver::MachineName;
use rmachine_lifecycle::StoreRequest;
use rmachine_machine::{StoreKind, StoreSource};

use crate::error::CommandError;

#[derive(clap::Args)]
#[command(next_help_heading = "Store options")]
#[group(skip)]
pub struct StoreArgs {
    /// Start a server of a store on the machine, for clusters of several masters
    #[arg(long, value_name = "KIND",
          value_parser = clap::builder::PossibleValuesParser::new(StoreKind::NAMES))]
    store: Option<String>,

    /// A machine with a server of the store that this one joins [default: begin a store]
    #[arg(long, value_name = "NAME", requires = "store")]
    store_join: Option<MachineName>,

    /// The program of this computer that the server runs [default: what the server runs that it
    /// joins, or the one on the PATH]
    #[arg(long, value_name = "PATH", requires = "store",
          value_hint = clap::ValueHint::FilePath)]
    store_binary: Option<PathBuf>,

    /// The image of a registry that the server runs, in place of a program
    #[arg(
        long,
        value_name = "IMAGE",
        requires = "store",
        conflicts_with = "store_binary"
    )]
    store_image: Option<String>,

    /// The server runs the program that the distribution of its host has
    #[arg(
        long,
        requires = "store",
        conflicts_with_all = ["store_binary", "store_image"]
    )]
    store_package: bool,
}

impl StoreArgs {
    /// What is asked of the machine with a server of a store; `None` for a machine without.
    ///
    /// # Errors
    /// When the kind is none, or the program's path cannot be told.
    pub fn request(&self) -> Result<Option<StoreRequest>, CommandError> {
        let Some(kind) = &self.store else {
            return Ok(None);
        };
        let kind: StoreKind =
            kind.parse()
                .map_err(|error: rmachine_machine::UnknownStoreKind| {
                    CommandError::usage(error.to_string())
                })?;
        let source = match (&self.store_binary, &self.store_image) {
            (Some(path), _) => Some(StoreSource::Program(std::path::absolute(path).map_err(
                |error| {
                    CommandError::usage(format!("--store-binary {} is no path", path.display()))
                        .caused_by(&error)
                },
            )?)),
            (None, Some(image)) => Some(StoreSource::Image(image.clone())),
            (None, None) => self.store_package.then_some(StoreSource::Package),
        };
        Ok(Some(StoreRequest {
            kind,
            join: self.store_join.clone(),
            source,
        }))
    }

    /// Whether several machines of one call would each begin a store.
    pub fn is_sole(&self) -> bool {
        self.store.is_some() && self.store_join.is_none()
    }
}
