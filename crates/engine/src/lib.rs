//! Docker Engine API over mutual TLS or a local socket
