//! The `rswarm` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    set_up_allocator();
    rswarm::cli::run(std::env::args_os())
}

/// A manager makes and drops many small things between those that stay. The C library's allocator
/// would look through them whenever something larger is wanted, and give memory back to the kernel
/// only to ask for it again with the next long list.
#[cfg(target_env = "gnu")]
#[allow(
    unsafe_code,
    reason = "the C library has no other way; nothing has been allocated by other threads yet"
)]
fn set_up_allocator() {
    use nix::libc::{M_MXFAST, M_TRIM_THRESHOLD, mallopt};

    /// The free memory at the heap's end that is kept, in bytes.
    const KEPT: i32 = 4 << 20;

    // SAFETY: both are parameters that mallopt(3) names, with values that it allows.
    unsafe {
        mallopt(M_MXFAST, 0);
        mallopt(M_TRIM_THRESHOLD, KEPT);
    }
}

#[cfg(not(target_env = "gnu"))]
fn set_up_allocator() {}
