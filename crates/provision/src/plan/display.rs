//! A plan as a person reads it.

use std::fmt;

use crate::facts::PackageManager;
use crate::plan::{FileWrite, Plan, Stage, Step};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing to do");
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
            if let Step::Write(file) = step
                && !file.secret
                && !file.path.ends_with(".pem")
            {
                for line in file.content.lines() {
                    writeln!(f, "    {line}")?;
                }
            }
        }
        if self.stage == Stage::Install {
            writeln!(f, "look at what the installation brought, and configure it")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InstallPackages { needed, .. } => write!(f, "install {}", needed.join(", ")),
            Self::RunInstallScript { url, .. } => write!(f, "fetch {url} and run it"),
            Self::TidyUp => write!(f, "take away what an interrupted run staged"),
            Self::Write(file) => write!(f, "write {} (mode {:04o})", file.path, file.mode),
            Self::Remove { path } => write!(f, "remove {path}"),
            Self::SetHostname { name } => write!(f, "name the host {name}"),
            Self::Unmask => write!(f, "let docker.service start again"),
            Self::Validate { .. } => write!(f, "let dockerd check the configuration"),
            Self::ReloadUnits => write!(f, "let systemd read its units again"),
            Self::Enable { service } => write!(f, "start {service} at boot"),
            Self::Restart { service, reasons } => {
                write!(f, "restart {service}: {}", reasons.join(", "))
            }
        }
    }
}

impl fmt::Debug for FileWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = if self.secret { "…" } else { &self.content };
        f.debug_struct("FileWrite")
            .field("path", &self.path)
            .field("mode", &format_args!("{:04o}", self.mode))
            .field("content", &content)
            .finish()
    }
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Yum => "yum",
            Self::Zypper => "zypper",
            Self::Pacman => "pacman",
            Self::Apk => "apk",
        })
    }
}
