//! The docker driver: hosts as system containers on a local engine
