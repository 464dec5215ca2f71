use std::fmt;
use std::io;

use serde_json::{Value, json};

use crate::WholeProgram;
use crate::archive::{add, hex};

/// Where the binary lies in the image.
const BINARY: &str = "rswarm";

/// The label with the hash of the binary: what an image is known by where its ID is another one,
/// as in engines that keep their images in containerd.
pub const BINARY_LABEL: &str = "io.rmachine.companion.binary";

/// Every time in an image is this one: nothing in it may depend on when it was made.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// The processors that a binary can be for, as engines call them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Architecture {
    /// `x86_64`
    Amd64,
    /// `aarch64`
    Arm64,
}

impl Architecture {
    /// The one that this program was built for; `None` when it is neither.
    pub fn current() -> Option<Self> {
        Self::of_machine(std::env::consts::ARCH)
    }

    /// The one that an engine, or `uname -m`, calls so; `None` for others.
    pub fn of_machine(text: &str) -> Option<Self> {
        match text {
            "amd64" | "x86_64" => Some(Self::Amd64),
            "arm64" | "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

/// An image whose content is one program, its entrypoint, and what that needs.
///
/// Engines read it in the format of `docker save`: an archive with `manifest.json`, the image's
/// configuration and its layers (moby's image specification, version 1.2).
pub struct Image {
    id: String,
    config: Vec<u8>,
    layer: Vec<u8>,
    diff_id: String,
    binary: String,
}

impl Image {
    /// The image of the companion's binary.
    ///
    /// # Errors
    /// When the binary is too large for an archive.
    pub fn of(binary: &[u8], architecture: Architecture, version: &str) -> io::Result<Self> {
        let layer = layer(&[(BINARY, binary)])?;
        let diff_id = hex(&layer);
        let binary = hex(binary);
        let config = config(architecture, version, &diff_id, &binary);
        Ok(Self::assembled(layer, diff_id, binary, &config))
    }

    /// The image of another program, which gets this name in it.
    ///
    /// # Errors
    /// When the program is too large for an archive.
    pub fn of_program(program: &WholeProgram, name: &str) -> io::Result<Self> {
        let layer = layer(&program.files(name))?;
        let diff_id = hex(&layer);
        let config = json!({
            "architecture": program.architecture().to_string(),
            "os": "linux",
            "created": EPOCH,
            "config": {
                "Entrypoint": [format!("/{name}")],
                "Env": ["PATH=/"],
                "Labels": {BINARY_LABEL: diff_id},
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
            "history": [{"created": EPOCH, "created_by": "rmachine"}],
        });
        Ok(Self::assembled(layer, diff_id.clone(), diff_id, &config))
    }

    fn assembled(layer: Vec<u8>, diff_id: String, binary: String, config: &Value) -> Self {
        let config = config.to_string();
        Self {
            id: hex(config.as_bytes()),
            config: config.into_bytes(),
            layer,
            diff_id,
            binary,
        }
    }

    /// The image's ID, `sha256:` and 64 hexadecimal digits: what an engine calls it once it is
    /// loaded.
    pub fn id(&self) -> String {
        format!("sha256:{}", self.id)
    }

    /// The hash of what runs, as in [`BINARY_LABEL`].
    pub fn binary(&self) -> &str {
        &self.binary
    }

    /// How large the image is, in bytes.
    pub fn size(&self) -> usize {
        self.layer.len()
    }

    /// The archive that `docker load` takes, with this tag, such as `rswarm:1.0.0`.
    ///
    /// # Errors
    /// When the archive cannot hold it.
    pub fn archive(&self, tag: &str) -> io::Result<Vec<u8>> {
        let config = format!("{}.json", self.id);
        let layer = format!("{}/layer.tar", self.diff_id);
        let manifest = json!([{"Config": &config, "RepoTags": [tag], "Layers": [&layer]}]);
        let mut archive = tar::Builder::new(Vec::with_capacity(self.layer.len() + 16 * 1024));
        add(&mut archive, &config, 0o644, &self.config)?;
        add(&mut archive, &layer, 0o644, &self.layer)?;
        add(
            &mut archive,
            "manifest.json",
            0o644,
            manifest.to_string().as_bytes(),
        )?;
        archive.into_inner()
    }
}

fn layer(files: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let size: usize = files.iter().map(|(_, content)| content.len() + 1024).sum();
    let mut archive = tar::Builder::new(Vec::with_capacity(size + 4096));
    for (path, content) in files {
        add(&mut archive, path, 0o755, content)?;
    }
    archive.into_inner()
}

/// Inside a container the manager listens on every address, as the original's image had it.
fn config(architecture: Architecture, version: &str, diff_id: &str, binary: &str) -> Value {
    json!({
        "architecture": architecture.to_string(),
        "os": "linux",
        "created": EPOCH,
        "config": {
            "Entrypoint": [format!("/{BINARY}")],
            "Cmd": ["--help"],
            "Env": ["SWARM_HOST=:2375", "PATH=/"],
            "ExposedPorts": {"2375/tcp": {}},
            "Labels": {
                BINARY_LABEL: binary,
                "org.opencontainers.image.title": "rswarm",
                "org.opencontainers.image.version": version,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
        "history": [{"created": EPOCH, "created_by": "rmachine"}],
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn image(binary: &[u8]) -> Image {
        Image::of(binary, Architecture::Amd64, "1.0.0").unwrap()
    }

    fn files(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn the_same_binary_is_the_same_image() {
        assert_eq!(image(b"elf").id(), image(b"elf").id());
        assert_eq!(
            image(b"elf").archive("a:1").unwrap(),
            image(b"elf").archive("a:1").unwrap()
        );
        assert_ne!(image(b"elf").id(), image(b"other").id());
        let arm = Image::of(b"elf", Architecture::Arm64, "1.0.0").unwrap();
        assert_ne!(image(b"elf").id(), arm.id());
    }

    #[test]
    fn the_archive_names_what_it_holds_by_its_hash() {
        let image = image(b"elf");
        let archive = files(&image.archive("rswarm:1.0.0").unwrap());
        let manifest: Value = serde_json::from_slice(&archive[2].1).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "rswarm:1.0.0");
        assert_eq!(manifest[0]["Config"], archive[0].0);
        assert_eq!(manifest[0]["Layers"][0], archive[1].0);
        assert_eq!(image.id(), format!("sha256:{}", hex(&archive[0].1)));
        let config: Value = serde_json::from_slice(&archive[0].1).unwrap();
        let diff_id = format!("sha256:{}", hex(&archive[1].1));
        assert_eq!(config["rootfs"]["diff_ids"][0], diff_id);
        let layer = files(&archive[1].1);
        assert_eq!(layer, [("rswarm".to_owned(), b"elf".to_vec())]);
    }
}
