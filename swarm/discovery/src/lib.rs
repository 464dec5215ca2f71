//! Who belongs to a cluster, and who leads it: a stream of changes, one implementation a store.
//!
//! Knows nothing of engines, schedulers or the Docker API.
