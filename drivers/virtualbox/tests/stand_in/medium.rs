use std::fs;
use std::path::Path;

use crate::answer::{Answer, FILE_ERROR, IN_USE, INVALID};
use crate::state::Store;

const MEDIUM: &str = "MediumWrap, interface IMedium, callee nsISupports";

pub fn clone(store: &mut Store, from: &str, to: &str) -> Answer {
    if store.all.disks.iter().any(|disk| disk == to) {
        let words = format!(
            "Cannot register the hard disk '{to}' because a hard disk '{to}' already exists"
        );
        return Answer::refused(&words, INVALID, MEDIUM);
    }
    if fs::copy(from, to).is_err() {
        return missing(from);
    }
    store.all.disks.push(to.to_owned());
    Answer::said(
        "Clone medium created in format 'VMDK'. UUID: 0240d31c-e1cc-4931-b1c6-5ef42a16c0d5\n"
            .to_owned(),
    )
    .with_progress()
}

/// A disk that is not known is opened before, so it must be there.
pub fn close(store: &mut Store, disk: &str) -> Answer {
    let has = |vm: &&crate::state::Vm| vm.media.values().any(|medium| medium == disk);
    let attached = store.all.vms.iter().filter(has).count();
    if attached > 0 {
        let words = format!(
            "Medium '{disk}' cannot be closed because it is still attached to {attached} virtual machines"
        );
        return Answer::refused(&words, IN_USE, MEDIUM);
    }
    if !store.all.disks.iter().any(|known| known == disk) && !Path::new(disk).exists() {
        return missing(disk);
    }
    store.all.disks.retain(|known| known != disk);
    Answer::nothing()
}

fn missing(disk: &str) -> Answer {
    let words = format!("Could not find file for the medium '{disk}' (VERR_FILE_NOT_FOUND)");
    Answer::refused(&words, FILE_ERROR, MEDIUM)
}
