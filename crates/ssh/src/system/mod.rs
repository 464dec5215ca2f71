//! The system's `ssh`: one master process a host, and a short-lived client of it a command.

mod master;
mod words;

pub(crate) use master::Master;
