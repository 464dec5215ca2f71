//! Archives in which nothing depends on when and by whom they were made, and their hashes.

use std::fmt::Write as _;
use std::io;

use sha2::{Digest, Sha256};

/// Adds a file that belongs to root.
pub(crate) fn add(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, path, content)
}

/// The SHA-256 of some content, in hexadecimal digits.
pub(crate) fn hex(content: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(content) {
        // A string takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
