use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use rmachine_driver::DriverError;

use crate::failure;

/// A port of this computer that nothing listens at now.
pub fn free() -> Result<u16, DriverError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    let address = bound.map_err(|source| failure::file(Path::new("127.0.0.1"), source))?;
    Ok(address.port())
}

/// Whether nothing listens at a port of this computer.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
