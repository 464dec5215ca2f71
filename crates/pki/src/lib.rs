//! Certificate authority, certificates, chains, expiry
