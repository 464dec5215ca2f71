//! The `rmachine` program.
fn main() {}
