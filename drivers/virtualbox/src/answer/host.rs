use super::blocks::{blocks, value};

/// The computer, as VirtualBox sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Host {
    /// Whether the processor offers virtualization.
    pub virtualization: Option<bool>,
    /// How many processors are on.
    pub processors: Option<u32>,
    /// In megabytes.
    pub memory: Option<u64>,
    /// In megabytes.
    pub free_memory: Option<u64>,
}

/// Reads `list hostinfo`.
pub fn host(text: &str) -> Host {
    let Some(block) = blocks(text, "Host Information").into_iter().next() else {
        return Host::default();
    };
    let number = |key: &str| value(&block, &[key])?.split(' ').next()?.parse().ok();
    Host {
        virtualization: value(&block, &["Processor supports HW virtualization"])
            .map(|answer| answer == "yes"),
        processors: number("Processor online count").and_then(|n| u32::try_from(n).ok()),
        memory: number("Memory size"),
        free_memory: number("Memory available"),
    }
}
