//! What VirtualBox says when something is wrong, and what it means.
//!
//! One table for VBoxManage and for VBox.log: both use the same codes. The codes come before the
//! words, which change with the version and the language.

/// What is known about a complaint of VirtualBox's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The host's kernel module is not loaded.
    NoModule,
    /// The kernel module is another version's.
    ModuleMismatch,
    /// The kernel module lets only others in.
    ModuleDenied,
    /// The processor has no AMD-V, or a hypervisor above keeps it.
    NoAmdV,
    /// AMD-V is off in the firmware.
    AmdVOff,
    /// Another hypervisor has AMD-V.
    AmdVInUse,
    /// The kernel has AMD-V off, and VirtualBox may not turn it on.
    AmdVNotEnabled,
    /// The processor has no VT-x, or a hypervisor above keeps it.
    NoVtX,
    /// VT-x is off in the firmware.
    VtXOff,
    /// Another hypervisor has VT-x.
    VtXInUse,
    /// Windows keeps the processor's virtualization for itself.
    HyperV,
    /// A host port that is to be forwarded is taken.
    PortTaken,
    /// The VM's host-only adapter is gone.
    AdapterGone,
    /// The host-only adapter could not be made, for want of its kernel module.
    NoAdapterModule,
    /// A disk or file system is full.
    DiskFull,
    /// The host has no memory for the VM.
    NoMemory,
    /// The VM's process ended before it ran.
    EndedEarly,
    /// VirtualBox's server does not start.
    NoServer,
    /// The VM, or what else was named, is not registered.
    NotFound,
    /// It is there already.
    Exists,
    /// The VM has no snapshots at all.
    NoSnapshots,
    /// The VM is held by another process, or by its own.
    Locked,
    /// The VM is not running.
    NotRunning,
    /// The VM is in a state that does not allow it.
    WrongState,
    /// The VM is on its way from one state to another.
    NotReady,
    /// A file is missing.
    FileMissing,
    /// A file could not be opened for writing.
    FileDenied,
    /// Not allowed: an address outside of the allowed ranges, most often.
    Denied,
    /// The VM's files are gone or cannot be read, and its registration is all that is left.
    Inaccessible,
    /// This VirtualBox does not know the command or the option.
    Unknown,
    /// Something else.
    Other,
}

/// Texts that identify a trouble, the most telling first.
const SIGNS: &[(&str, Trouble)] = &[
    ("VERR_SVM_NO_SVM", Trouble::NoAmdV),
    ("VERR_SVM_DISABLED", Trouble::AmdVOff),
    ("VERR_SVM_IN_USE", Trouble::AmdVInUse),
    ("VERR_SVM_HOST_SVME_NOT_ENABLED", Trouble::AmdVNotEnabled),
    ("VERR_VMX_NO_VMX", Trouble::NoVtX),
    ("VERR_VMX_MSR_ALL_VMX_DISABLED", Trouble::VtXOff),
    ("VERR_VMX_MSR_VMX_DISABLED", Trouble::VtXOff),
    ("VERR_VMX_MSR_VMXON_DISABLED", Trouble::VtXOff),
    ("VERR_VMX_IN_VMX_ROOT_MODE", Trouble::VtXInUse),
    ("VERR_NEM_", Trouble::HyperV),
    ("VERR_NAT_REDIR_SETUP", Trouble::PortTaken),
    ("VERR_VM_DRIVER_VERSION_MISMATCH", Trouble::ModuleMismatch),
    ("VERR_VM_DRIVER_NOT_ACCESSIBLE", Trouble::ModuleDenied),
    ("VERR_VM_DRIVER_NOT_INSTALLED", Trouble::NoModule),
    ("VERR_VM_DRIVER_LOAD_ERROR", Trouble::NoModule),
    ("/dev/vboxnetctl", Trouble::NoAdapterModule),
    (
        "Nonexistent host networking interface",
        Trouble::AdapterGone,
    ),
    ("VERR_DISK_FULL", Trouble::DiskFull),
    ("DrvVD_DISKFULL", Trouble::DiskFull),
    ("No space left on device", Trouble::DiskFull),
    ("VERR_NO_MEMORY", Trouble::NoMemory),
    ("VERR_NO_LOW_MEMORY", Trouble::NoMemory),
    ("VERR_NO_PHYS_MEMORY", Trouble::NoMemory),
    ("VERR_ALREADY_EXISTS", Trouble::Exists),
    ("VERR_FILE_NOT_FOUND", Trouble::FileMissing),
    ("VERR_PATH_NOT_FOUND", Trouble::FileMissing),
    ("VERR_ACCESS_DENIED", Trouble::FileDenied),
    ("NS_ERROR_SOCKET_FAIL", Trouble::NoServer),
    ("COM server is not running", Trouble::NoServer),
    ("Failed to create the VirtualBox object", Trouble::NoServer),
    ("has terminated unexpectedly", Trouble::EndedEarly),
    ("does not have any snapshots", Trouble::NoSnapshots),
    ("VBOX_E_OBJECT_NOT_FOUND", Trouble::NotFound),
    ("Failed to find DHCP server", Trouble::NotFound),
    ("DHCP server does not exist", Trouble::NotFound),
    ("could not be found", Trouble::NotFound),
    ("already exists", Trouble::Exists),
    ("is not currently running", Trouble::NotRunning),
    ("functionality is limited", Trouble::Inaccessible),
    ("The object is not ready", Trouble::NotReady),
    ("The session is not locked", Trouble::NotReady),
    ("VBOX_E_INVALID_OBJECT_STATE", Trouble::Locked),
    // Said, with E_ACCESSDENIED, while the VM's own process is starting.
    ("has tried to lock the machine", Trouble::Locked),
    ("VBOX_E_INVALID_VM_STATE", Trouble::WrongState),
    ("E_ACCESSDENIED", Trouble::Denied),
    ("Invalid command", Trouble::Unknown),
    ("nknown option", Trouble::Unknown),
    ("Invalid parameter", Trouble::Unknown),
    ("Unknown subcommand", Trouble::Unknown),
    ("Syntax error", Trouble::Unknown),
];

/// What the wrapper of distributions says on the standard output, whatever was asked.
const WRAPPER: &str = "/dev/vboxdrv does not exist";

impl Trouble {
    /// What a text of VirtualBox's tells of, if of anything.
    pub fn find(text: &str) -> Option<Self> {
        SIGNS
            .iter()
            .find(|(sign, _)| text.contains(sign))
            .map(|(_, trouble)| *trouble)
    }

    /// Whether an answer bears the warning of the wrapper that distributions put before it.
    pub fn module_is_missing(answer: &str) -> bool {
        answer.contains(WRAPPER)
    }

    /// What it means, for somebody who does not know VirtualBox's codes.
    pub fn sentence(self) -> Option<&'static str> {
        Some(match self {
            Self::NoModule | Self::EndedEarly => {
                "VirtualBox's kernel module is not loaded, or does not let the VM in"
            }
            Self::ModuleMismatch => "VirtualBox's kernel module belongs to another version of it",
            Self::ModuleDenied => "VirtualBox's kernel module does not let this user in",
            Self::NoAmdV => "this computer offers no AMD-V to VirtualBox",
            Self::NoVtX => "this computer offers no VT-x to VirtualBox",
            Self::AmdVOff => "AMD-V is switched off in this computer's firmware",
            Self::VtXOff => "VT-x is switched off in this computer's firmware",
            Self::AmdVInUse => "another hypervisor, most likely KVM, holds AMD-V",
            Self::VtXInUse => "another hypervisor, most likely KVM, holds VT-x",
            Self::AmdVNotEnabled => "the kernel has switched AMD-V off, and VirtualBox needs it on",
            Self::HyperV => "Windows' own hypervisor holds the processor's virtualization",
            Self::PortTaken => "a port of this computer that leads to the VM is taken",
            Self::AdapterGone => "the VM's host-only adapter is gone",
            Self::NoAdapterModule => "the kernel module of host-only adapters is not loaded",
            Self::DiskFull => "the disk is full",
            Self::NoMemory => "there is not enough free memory for the VM",
            Self::NoServer => "VirtualBox's own server does not start",
            Self::NotFound => "VirtualBox does not know it",
            Self::Exists => "it exists already",
            Self::NoSnapshots => "the VM has no snapshots",
            Self::Locked => "the VM is in use by another program",
            Self::NotRunning => "the VM is not running",
            Self::WrongState => "the VM's state does not allow it",
            Self::NotReady => "the VM is changing its state",
            Self::FileMissing => "a file that the VM needs is missing",
            Self::FileDenied => "VirtualBox may not write where the machine is to be",
            Self::Inaccessible => "the VM's files are gone",
            Self::Denied => "VirtualBox does not allow it",
            Self::Unknown => "this version of VirtualBox does not know the command",
            Self::Other => return None,
        })
    }

    /// What to do about it.
    pub fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Self::NoModule | Self::EndedEarly | Self::NoAdapterModule => LOAD_MODULE,
            Self::ModuleMismatch => {
                "rebuild the kernel modules (sudo /sbin/vboxconfig, or reinstall virtualbox-dkms) and load them again"
            }
            Self::ModuleDenied => {
                "join the group vboxusers (sudo usermod -aG vboxusers $USER), and log in again"
            }
            Self::NoAmdV | Self::NoVtX => {
                "switch virtualization on in the firmware; in a VM, switch nested virtualization on in the hypervisor above"
            }
            Self::AmdVOff | Self::VtXOff => {
                "switch it on in the firmware's settings (SVM, AMD-V, VT-x)"
            }
            Self::AmdVInUse | Self::VtXInUse => FREE_VIRTUALIZATION,
            Self::AmdVNotEnabled => GIVE_VIRTUALIZATION,
            Self::HyperV => {
                "switch off Hyper-V and what needs it (bcdedit /set hypervisorlaunchtype off), and reboot"
            }
            Self::PortTaken => "free the port; `rmachine start` picks another one by itself",
            Self::AdapterGone => {
                "`rmachine start` makes it again; start the machine with it and not in VirtualBox"
            }
            Self::DiskFull => "free some space, and run the command again",
            Self::NoMemory => {
                "stop another VM, or remove the machine and make it with less --virtualbox-memory"
            }
            Self::NoServer => {
                "end what is left of it (VBoxSVC, VBoxXPCOMIPCD) and look into ~/.config/VirtualBox/VBoxSVC.log"
            }
            Self::Locked => {
                "close the VM's settings and windows in VirtualBox, and run the command again"
            }
            Self::WrongState | Self::NotReady => "wait a moment, and run the command again",
            Self::FileMissing => "put the file back where the message says it was",
            Self::FileDenied => "give the user who runs VirtualBox the right to write there",
            Self::Denied => {
                "allow the addresses in /etc/vbox/networks.conf, or remove the machine and choose others with --virtualbox-hostonly-cidr"
            }
            Self::Inaccessible => "put the files back, or remove the machine with `rmachine rm`",
            Self::Unknown => "install a newer VirtualBox",
            Self::NotFound | Self::Exists | Self::NoSnapshots | Self::NotRunning | Self::Other => {
                return None;
            }
        })
    }
}

/// What to do where the kernel module is missing.
pub const LOAD_MODULE: &str = "load VirtualBox's kernel modules (sudo modprobe -a vboxdrv vboxnetflt vboxnetadp); where there are none, install virtualbox-dkms and the kernel's headers, or run sudo /sbin/vboxconfig";

/// What to do where KVM holds the processor's virtualization.
pub const FREE_VIRTUALIZATION: &str =
    "unload KVM (sudo modprobe -r kvm_intel kvm_amd), or boot with kvm.enable_virt_at_load=0";

/// What to do where KVM has left the processor's virtualization off.
pub const GIVE_VIRTUALIZATION: &str =
    "unload KVM (sudo modprobe -r kvm_intel kvm_amd), or boot with kvm.enable_virt_at_load=1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_before_what_surrounds_them() {
        let table = [
            (
                "error: AMD-V is not available (VERR_SVM_NO_SVM)\nerror: Details: code NS_ERROR_FAILURE (0x80004005)",
                Trouble::NoAmdV,
            ),
            (
                "The object is not ready\nerror: Details: code E_ACCESSDENIED (0x80070005)",
                Trouble::NotReady,
            ),
            (
                "An unexpected process (PID=0x00001003) has tried to lock the machine 'cut', while only the process started by LaunchVMProcess (PID=0x00001000) is allowed\nerror: Details: code E_ACCESSDENIED (0x80070005)",
                Trouble::Locked,
            ),
            (
                "Code E_ACCESSDENIED (0x80070005) - Access denied",
                Trouble::Denied,
            ),
            (
                "Machine settings file '/m/n.vbox' already exists\ncode VBOX_E_FILE_ERROR (0x80bb0004)",
                Trouble::Exists,
            ),
            (
                "Failed to open image (VERR_FILE_NOT_FOUND)\ncode NS_ERROR_FAILURE",
                Trouble::FileMissing,
            ),
        ];
        for (text, trouble) in table {
            assert_eq!(Trouble::find(text), Some(trouble), "{text}");
        }
        assert_eq!(Trouble::find("Waiting for VM \"a\" to power on..."), None);
    }

    #[test]
    fn every_trouble_of_the_table_is_explained() {
        for (sign, trouble) in SIGNS {
            assert!(trouble.sentence().is_some(), "{sign}");
        }
    }

    #[test]
    fn the_wrappers_warning_is_no_trouble_of_the_command() {
        let warning =
            "WARNING: The character device /dev/vboxdrv does not exist.\n\t Please install";
        assert!(Trouble::module_is_missing(warning));
        assert_eq!(Trouble::find(warning), None);
    }
}
