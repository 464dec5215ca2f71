//! The machine record, the store on disk, locks and the journal of phases
