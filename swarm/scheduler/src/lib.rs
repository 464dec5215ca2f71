//! Chooses the node for a container: pure functions over what is known of the nodes.
//!
//! Knows no engine, no network and no clock.
