# Turns a minimal Debian into the node image: systemd, sshd, an engine as the release ships it.
# Runs inside the image's own root, as root, after rootfs/ was laid over it.
# usage: sh setup.sh DIRECTORY RELEASE MIRROR (with an empty mirror, what the tree already uses)
set -eu
directory=$1
release=$2
mirror=$3
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

step() { echo "step: $*" >&2; }

# Packages must not start their services: nothing runs here yet.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
# The tree is thrown away when the build fails, so nothing needs to reach the disk early.
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/build

if [ -n "$mirror" ]; then
    rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
    echo "deb $mirror $release main" >/etc/apt/sources.list
elif [ -s /etc/apt/sources.list ]; then
    # What debootstrap chose by itself has the security suite beside it; a base image names its own.
    case $release in
        sid | unstable | testing) ;;
        *)
            security="s|^deb \([^ ]*\)/debian/* .*|deb \1/debian-security $release-security main|p"
            sed -n "$security" /etc/apt/sources.list | head -n 1 >>/etc/apt/sources.list
            ;;
    esac
fi

step "reading the package lists of $release"
apt-get update -q
set -- $(cat "$directory/packages")
# From trixie on the client is a package of its own.
if apt-cache pkgnames docker-cli | grep -qx docker-cli; then
    set -- "$@" docker-cli
fi
step "installing $# packages"
apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"

step "setting up the node"
useradd --create-home --uid 1000 --gid docker --shell /bin/bash docker
# No password fits, and the account is not locked: sshd lets a key in.
usermod --password '*' docker
chmod 440 /etc/sudoers.d/docker

systemctl -q set-default multi-user.target
systemctl -q enable ssh.service rmachine-host-keys.service
# What belongs to the machine below: its terminals, devices, modules, sysctls and disks.
systemctl -q mask \
    console-getty.service getty.target getty-static.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-modules-load.service systemd-sysctl.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    systemd-remount-fs.service systemd-firstboot.service systemd-update-utmp.service \
    dev-hugepages.mount sys-fs-fuse-connections.mount \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer

step "cleaning up"
apt-get clean
# Each machine makes its own identity at its first boot.
rm -f /etc/ssh/ssh_host_* /etc/docker/key.json /var/lib/dbus/machine-id
: >/etc/machine-id
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old
find /var/log -type f -delete
find /usr/share/doc -depth -type f ! -name copyright -delete
find /usr/share/doc -depth -type d -empty -delete
rm -rf /usr/share/man/* /usr/share/info/* /usr/share/lintian/*
find /usr/share/locale -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/build
