//! What is written into the root of the image, beside what packages bring.

/// A file of `templates/iso/root`.
macro_rules! rooted {
    ($path:literal, $mode:literal) => {
        (
            $path,
            $mode,
            include_str!(concat!("../../../../templates/iso/root/", $path)),
        )
    };
}

/// The files: where, with which permission bits, and their text.
pub(super) const FILES: &[(&str, u32, &str)] = &[
    rooted!("etc/acpi/PWRF/00000080", 0o755),
    rooted!("etc/chrony/chrony.conf", 0o644),
    rooted!("etc/group", 0o644),
    rooted!("etc/init.d/docker", 0o755),
    rooted!("etc/inittab", 0o644),
    rooted!("etc/nsswitch.conf", 0o644),
    rooted!("etc/pam.d/other", 0o644),
    rooted!("etc/pam.d/sudo", 0o644),
    rooted!("etc/pam.d/sudo-i", 0o644),
    rooted!("etc/passwd", 0o644),
    rooted!("etc/profile", 0o644),
    rooted!("etc/rc/accounts", 0o755),
    rooted!("etc/rc/asked", 0o755),
    rooted!("etc/rc/boot", 0o755),
    rooted!("etc/rc/console", 0o755),
    rooted!("etc/rc/disk", 0o644),
    rooted!("etc/rc/down", 0o755),
    rooted!("etc/rc/engine", 0o755),
    rooted!("etc/rc/keys", 0o755),
    rooted!("etc/rc/lease", 0o755),
    rooted!("etc/rc/network", 0o755),
    rooted!("etc/rc/shares", 0o755),
    rooted!("etc/shadow", 0o600),
    rooted!("etc/ssh/sshd_config", 0o644),
    rooted!("etc/sudoers.d/docker", 0o440),
    rooted!("usr/bin/sethostname", 0o755),
    rooted!("usr/sbin/shutdown", 0o755),
];

/// The links: where, and to what.
pub(super) const LINKS: &[(&str, &str)] = &[
    // What outlives a reboot lies on the disk.
    ("etc/docker", "/var/lib/boot2docker/etc/docker"),
    ("etc/mtab", "/proc/self/mounts"),
    ("usr/bin/sh", "dash"),
    ("usr/sbin/init", "../bin/busybox"),
    // What Debian's scripts choose.
    ("usr/sbin/ip6tables", "ip6tables-nft"),
    ("usr/sbin/ip6tables-restore", "ip6tables-nft-restore"),
    ("usr/sbin/ip6tables-save", "ip6tables-nft-save"),
    ("usr/sbin/iptables", "iptables-nft"),
    ("usr/sbin/iptables-restore", "iptables-nft-restore"),
    ("usr/sbin/iptables-save", "iptables-nft-save"),
    ("var/lib/rmachine", "boot2docker/rmachine"),
    ("var/lock", "/run/lock"),
    ("var/run", "/run"),
];

/// The directories that must be there, with their permission bits.
pub(super) const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("home/docker", 0o755),
    ("media/above", 0o755),
    ("media/below", 0o755),
    ("media/iso", 0o755),
    ("mnt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr/local/bin", 0o755),
    ("usr/local/sbin", 0o755),
    ("var/lib/boot2docker", 0o755),
    ("var/lib/chrony", 0o755),
    ("var/lib/docker", 0o710),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// What packages bring, with the permission bits that Debian's scripts give it.
pub(super) const PACKAGED: &[(&str, u32)] = &[("etc/sudoers", 0o440), ("usr/bin/sudo", 0o4755)];

/// What of the packages is not kept.
pub(super) const UNWANTED: &str = include_str!("../../../../templates/iso/unwanted");
