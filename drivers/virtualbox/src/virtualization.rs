use std::fs;
use std::path::Path;

use rmachine_driver::CheckFailure;

use crate::answer::Version;
use crate::failure::found;
use crate::said::{FREE_VIRTUALIZATION, GIVE_VIRTUALIZATION, LOAD_MODULE};

/// What Linux tells of its kernel modules, as far as VirtualBox cares.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Kernel {
    /// Whether `/dev/vboxdrv` is there.
    pub vboxdrv: bool,
    /// Whether KVM is loaded, for this processor.
    pub kvm: bool,
    /// Whether KVM takes the processor's virtualization as soon as it is loaded; kernels before
    /// 6.12 have no such parameter and take it with the first VM.
    pub kvm_takes_at_load: Option<bool>,
}

/// From this version on, VirtualBox goes together with a KVM that has taken virtualization.
const SHARES_WITH_KVM: Version = Version::new(7, 2, 10);

/// From this version on, it goes together with one that is loaded and has not, too; those between
/// leave it to KVM to switch virtualization on, and fail where it did not.
const NEEDS_NO_KVM: Version = Version::new(7, 2, 22);

impl Kernel {
    /// Looks at the kernel of the computer with this root.
    pub fn look(root: &Path) -> Self {
        let module = |name: &str| root.join("sys/module").join(name).is_dir();
        let parameter = root.join("sys/module/kvm/parameters/enable_virt_at_load");
        let parameter = fs::read_to_string(parameter);
        Self {
            vboxdrv: root.join("dev/vboxdrv").exists(),
            kvm: module("kvm_intel") || module("kvm_amd"),
            kvm_takes_at_load: parameter.ok().map(|text| matches!(text.trim(), "Y" | "1")),
        }
    }

    /// What keeps this VirtualBox from running VMs.
    pub fn failures(&self, version: Version) -> Vec<CheckFailure> {
        let mut failures = Vec::new();
        if !self.vboxdrv {
            failures.push(found(
                "kernel module",
                "vboxdrv is not loaded: there is no /dev/vboxdrv".to_owned(),
                LOAD_MODULE,
            ));
        }
        failures.extend(self.conflict(version));
        failures
    }

    fn conflict(&self, version: Version) -> Option<CheckFailure> {
        let takes = self.kvm_takes_at_load.filter(|_| self.kvm)?;
        let (shares, needs_none) = (version >= SHARES_WITH_KVM, version >= NEEDS_NO_KVM);
        match (takes, shares, needs_none) {
            (true, false, _) => Some(found(
                "kvm",
                format!(
                    "KVM is loaded and has taken the processor's virtualization, which VirtualBox {version} cannot share"
                ),
                FREE_VIRTUALIZATION,
            )),
            (false, true, false) => Some(found(
                "kvm",
                format!(
                    "KVM is loaded with enable_virt_at_load off, and VirtualBox {version} fails or freezes the computer then"
                ),
                GIVE_VIRTUALIZATION,
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_is_in_the_way_in_both_directions() {
        let (old, new) = (Version::new(7, 0, 22), Version::new(7, 2, 12));
        let newest = Version::new(7, 2, 22);
        let subjects = |kvm, takes, version| -> Vec<String> {
            let kernel = Kernel {
                vboxdrv: true,
                kvm,
                kvm_takes_at_load: takes,
            };
            let failures = kernel.failures(version);
            failures.into_iter().map(|f| f.subject).collect()
        };
        assert_eq!(subjects(true, Some(true), old), ["kvm"]);
        assert_eq!(subjects(true, Some(false), new), ["kvm"]);
        for (kvm, takes, version) in [
            (true, Some(true), new),
            (true, Some(false), old),
            (true, None, old),
            (true, None, new),
            (false, Some(true), old),
            (false, Some(false), new),
            (true, Some(true), newest),
            (true, Some(false), newest),
        ] {
            assert!(
                subjects(kvm, takes, version).is_empty(),
                "{kvm} {takes:?} {version}"
            );
        }
    }

    #[test]
    fn every_reason_is_found() {
        let kernel = Kernel {
            vboxdrv: false,
            kvm: true,
            kvm_takes_at_load: Some(true),
        };
        assert_eq!(kernel.failures(Version::new(7, 0, 0)).len(), 2);
    }
}
