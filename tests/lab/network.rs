use super::engine::{Lab, lab};

/// A network beside the one that every host is on. Goes when it is dropped, after its hosts.
#[derive(Debug)]
pub struct Network {
    lab: &'static Lab,
    name: String,
}

impl Network {
    /// Makes a network, where there is a lab.
    pub fn create() -> Option<Self> {
        let lab = lab()?;
        let name = lab.fresh_name("net");
        lab.engine_ok(30, ["network", "create", "--label", &Lab::label(), &name]);
        Some(Self { lab, name })
    }

    /// The engine's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.lab.engine(30, ["network", "rm", &self.name]);
    }
}
