#!/bin/sh
# An ISO to boot: `iso.sh PROGRAM` lets PROGRAM, an rmachine, build one and prints its path.
#
# It lies in $RMACHINE_LAB (default /var/lib/rmachine-lab) and is built once for all that goes into
# it from here; packages are kept. Installs what builds it and what boots it. Exits with 77 and the
# reason where that cannot be.
set -eu

program=$1
HERE=$(cd "$(dirname "$0")" && pwd)
cd "$HERE/../.."
# shellcheck source-path=SCRIPTDIR source=../../.ci/build-env.sh
. .ci/build-env.sh
LAB=${RMACHINE_LAB:-/var/lib/rmachine-lab}/iso

cannot() {
    printf 'skipped: %s\n' "$*" >&2
    exit 77
}

[ "$(id -u)" = 0 ] || cannot "only root can make a lab"
[ "$(uname -m)" = x86_64 ] || cannot "the ISO is for x86_64"
mkdir -p "$LAB/packages"
exec 9>"$LAB/lock"
flock -w 1200 9 || cannot "another iso.sh has held $LAB/lock for 20 minutes"
apt_install squashfs-tools xorriso cpio kmod xz-utils qemu-system-x86 openssh-client 9>&- ||
    cannot "$build_env_error"

key=$(find templates/iso crates/iso/src/build -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
iso=$LAB/$key/cache/lab.iso
if [ ! -f "$iso" ]; then
    mkdir -p "$LAB/$key/cache"
    ln -sfn "$LAB/packages" "$LAB/$key/cache/packages"
    MACHINE_STORAGE_PATH=$LAB/$key timeout 900 "$program" iso build --name lab >&2 9>&- </dev/null || {
        status=$?
        # Without an archive there is nothing to build from; all else is a fault.
        [ "$status" != 3 ] || cannot "an ISO cannot be built here"
        exit "$status"
    }
    for other in "$LAB"/*/; do
        case $other in
            "$LAB/$key/" | "$LAB/packages/") ;;
            *) rm -rf "$other" ;;
        esac
    done
fi
echo "$iso"
