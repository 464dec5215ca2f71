//! One SSH connection a host, many commands
