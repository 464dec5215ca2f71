//! The image of the companion `rswarm`: one static binary and nothing else, made in memory.
//!
//! The same binary always gives the same image, so that an engine that has it is told by its ID.
//! This crate talks to no engine. Start reading at [`Image`].

mod image;

pub use image::{Architecture, Image};
