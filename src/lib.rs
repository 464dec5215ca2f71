//! The command line of rmachine.
