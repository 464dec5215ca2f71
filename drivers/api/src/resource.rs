use serde::{Deserialize, Serialize};

use crate::DriverError;

/// Something a driver makes for one machine, and must take away with it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Resource {
    /// What it is, in the driver's words: `container`, `volume`, `vm`, `disk`, `key`.
    pub kind: String,
    /// How the driver finds it again: a name or an id that is known before it is made.
    pub id: String,
}

impl Resource {
    /// A resource of this kind, found again by this id.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            id: id.into(),
        }
    }
}

/// The list of what a driver made, kept with the machine's record.
pub trait ResourceJournal: Send + Sync {
    /// Notes that the driver is about to make a resource.
    ///
    /// When this returns, the note is on disk: a driver calls it before it makes the thing, so
    /// that nothing is left behind that no record names. Noting the same resource twice is
    /// harmless.
    ///
    /// # Errors
    /// When the record cannot be written; the driver must then not go on.
    fn about_to_make(&self, resource: &Resource) -> Result<(), DriverError>;

    /// Notes that a resource is gone.
    ///
    /// # Errors
    /// When the record cannot be written.
    fn removed(&self, resource: &Resource) -> Result<(), DriverError>;

    /// What was noted and is not gone, oldest first.
    fn owned(&self) -> Vec<Resource>;
}

/// Keeps nothing: for drivers that make nothing, and for tests of such.
pub struct Unrecorded;

impl ResourceJournal for Unrecorded {
    fn about_to_make(&self, _resource: &Resource) -> Result<(), DriverError> {
        Ok(())
    }

    fn removed(&self, _resource: &Resource) -> Result<(), DriverError> {
        Ok(())
    }

    fn owned(&self) -> Vec<Resource> {
        Vec::new()
    }
}
