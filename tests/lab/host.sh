#!/bin/sh
# Makes a debootstrapped tree ($1) a host of the lab: what a provider hands over, and no more.
set -eu
root=$1

# Units for devices and terminals that a container does not have.
for unit in systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-modules-load.service systemd-logind.service sys-kernel-debug.mount \
    sys-kernel-config.mount sys-kernel-tracing.mount dev-hugepages.mount getty.target \
    console-getty.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# Who may become root: root is, `admin` just so, `careful` with a password, `guest` not at all.
for user in admin careful guest; do
    chroot "$root" useradd --create-home --shell /bin/bash "$user"
done
echo 'admin ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/admin"
echo 'careful ALL=(ALL) ALL' >"$root/etc/sudoers.d/careful"
chmod 440 "$root/etc/sudoers.d/admin" "$root/etc/sudoers.d/careful"
echo 'careful:open sesame' | chroot "$root" chpasswd

# Every host makes its own keys and identity at its first start.
rm -f "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
cat >"$root/etc/systemd/system/host-keys.service" <<'UNIT'
[Unit]
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -N "" -t ed25519 -f /etc/ssh/ssh_host_ed25519_key
ExecStart=/usr/bin/ssh-keygen -q -N "" -t ecdsa -f /etc/ssh/ssh_host_ecdsa_key
[Install]
WantedBy=ssh.service
UNIT
mkdir -p "$root/etc/systemd/system/ssh.service.wants"
ln -sf ../host-keys.service "$root/etc/systemd/system/ssh.service.wants/host-keys.service"

rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb
