use std::sync::{Mutex, PoisonError};

use rmachine_driver::{DriverError, Resource, ResourceJournal};

/// A journal in memory, which a test can look into.
#[derive(Default)]
pub struct Remembered(Mutex<Vec<Resource>>);

impl ResourceJournal for Remembered {
    fn about_to_make(&self, resource: &Resource) -> Result<(), DriverError> {
        let mut owned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !owned.contains(resource) {
            owned.push(resource.clone());
        }
        Ok(())
    }

    fn removed(&self, resource: &Resource) -> Result<(), DriverError> {
        let mut owned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owned.retain(|other| other != resource);
        Ok(())
    }

    fn owned(&self) -> Vec<Resource> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
