use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rmachine_ssh::ConnectOptions;

/// What of the program's surroundings matters to this driver.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where this computer's own files begin: `/`.
    pub root: PathBuf,
    /// The person's home directory, where Boot2Docker left its key.
    pub home: Option<PathBuf>,
    /// `PATH`.
    pub search_path: Option<OsString>,
    /// `VBOX_MANAGE`: the program itself, past all searching.
    pub vbox_manage: Option<PathBuf>,
    /// `VBOX_INSTALL_PATH` and `VBOX_MSI_INSTALL_PATH`, which installers on Windows set.
    pub install_paths: Vec<PathBuf>,
    /// `VBOX_USER_HOME`: where VirtualBox keeps what it knows, past all searching.
    pub user_home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `LC_ALL`, which would translate what VBoxManage says.
    pub locale: Option<OsString>,
    /// The operating system that VirtualBox runs on.
    pub system: System,
    /// How machines are asked over SSH.
    pub ssh: ConnectOptions,
}

/// The operating system that VirtualBox runs on, as far as it behaves differently there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum System {
    /// Linux, and whatever behaves like it.
    Linux,
    /// macOS: no host-only adapters from VirtualBox 7 on, but host-only networks.
    MacOs,
    /// Windows: no limits on host-only addresses.
    Windows,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            home: None,
            search_path: None,
            vbox_manage: None,
            install_paths: Vec::new(),
            user_home: None,
            config_home: None,
            locale: None,
            system: System::default(),
            ssh: ConnectOptions::default(),
        }
    }
}

impl Default for System {
    fn default() -> Self {
        match std::env::consts::OS {
            "macos" => Self::MacOs,
            "windows" => Self::Windows,
            _ => Self::Linux,
        }
    }
}

/// The name of the program.
const PROGRAM: &str = "VBoxManage";

/// Where VBoxManage is: the variable goes before `PATH`, and that before what installers do.
pub fn vbox_manage(surroundings: &Surroundings) -> Option<PathBuf> {
    if let Some(given) = &surroundings.vbox_manage {
        return Some(given.clone());
    }
    let here = Path::new("/");
    which::which_in(PROGRAM, surroundings.search_path.as_ref(), here)
        .ok()
        .or_else(|| candidates(surroundings).into_iter().find(|p| p.is_file()))
}

/// Where installers put it besides `PATH`.
fn candidates(surroundings: &Surroundings) -> Vec<PathBuf> {
    let usual: &[&str] = match surroundings.system {
        System::Linux => &["/usr/bin", "/usr/lib/virtualbox", "/opt/VirtualBox"],
        System::MacOs => &[
            "/usr/local/bin",
            "/Applications/VirtualBox.app/Contents/MacOS",
        ],
        System::Windows => &[r"C:\Program Files\Oracle\VirtualBox"],
    };
    let name = match surroundings.system {
        System::Windows => "VBoxManage.exe",
        _ => PROGRAM,
    };
    let installed = surroundings.install_paths.iter().map(PathBuf::as_path);
    installed
        .chain(usual.iter().map(Path::new))
        .map(|directory| directory.join(name))
        .collect()
}

/// Where VirtualBox keeps what it knows of the person's VMs and networks, if it is there already.
pub fn user_directory(surroundings: &Surroundings) -> Option<PathBuf> {
    if let Some(given) = &surroundings.user_home {
        return given.is_dir().then(|| given.clone());
    }
    let home = surroundings.home.as_ref()?;
    let old = home.join(".VirtualBox");
    let places = match surroundings.system {
        System::Linux => {
            let config = surroundings.config_home.as_deref();
            let config = config.unwrap_or(Path::new(".config"));
            vec![old, home.join(config).join("VirtualBox")]
        }
        System::MacOs => vec![home.join("Library/VirtualBox")],
        System::Windows => vec![old],
    };
    places.into_iter().find(|place| place.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(directory: &Path, name: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = directory.join(name);
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o755)
            .open(&path)
            .unwrap();
        path
    }

    #[test]
    fn the_variable_goes_before_the_path_and_that_before_the_installers() {
        let directory = tempfile::tempdir().unwrap();
        let (on_path, installed) = (
            directory.path().join("bin"),
            directory.path().join("Oracle VM"),
        );
        std::fs::create_dir_all(&on_path).unwrap();
        std::fs::create_dir_all(&installed).unwrap();
        let mut surroundings = Surroundings {
            search_path: Some(on_path.clone().into_os_string()),
            install_paths: vec![installed.clone()],
            system: System::Windows,
            ..Surroundings::default()
        };
        assert_eq!(vbox_manage(&surroundings), None);
        let by_installer = program(&installed, "VBoxManage.exe");
        assert_eq!(vbox_manage(&surroundings), Some(by_installer));
        let by_path = program(&on_path, "VBoxManage");
        assert_eq!(vbox_manage(&surroundings), Some(by_path));
        surroundings.vbox_manage = Some("/else/where".into());
        assert_eq!(vbox_manage(&surroundings), Some("/else/where".into()));
    }

    #[test]
    fn virtualbox_keeps_what_it_knows_where_it_has_kept_it_before() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let found = |surroundings: &Surroundings| user_directory(surroundings);
        let mut linux = Surroundings {
            home: Some(at("home")),
            system: System::Linux,
            ..Surroundings::default()
        };
        let mac = Surroundings {
            system: System::MacOs,
            ..linux.clone()
        };
        assert_eq!(found(&linux), None);
        for made in [
            "home/.config/VirtualBox",
            "config/VirtualBox",
            "home/Library/VirtualBox",
            "given",
        ] {
            std::fs::create_dir_all(at(made)).unwrap();
        }
        assert_eq!(found(&linux), Some(at("home/.config/VirtualBox")));
        assert_eq!(found(&mac), Some(at("home/Library/VirtualBox")));
        linux.config_home = Some(at("config"));
        assert_eq!(found(&linux), Some(at("config/VirtualBox")));
        std::fs::create_dir(at("home/.VirtualBox")).unwrap();
        assert_eq!(found(&linux), Some(at("home/.VirtualBox")));
        linux.user_home = Some(at("given"));
        assert_eq!(found(&linux), Some(at("given")));
        linux.user_home = Some(at("nowhere"));
        assert_eq!(found(&linux), None);
    }
}
