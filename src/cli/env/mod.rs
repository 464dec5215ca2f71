//! `env`: the variables that make a docker client talk to a machine.

mod proxy;
mod shell;
#[cfg(test)]
mod shell_tests;
