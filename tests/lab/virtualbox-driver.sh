#!/bin/sh
# The virtualbox driver on the real VirtualBox, in the lab of virtualbox.sh: two machines are made,
# stopped, started and removed, and keep their addresses. Then on computers that cannot run VMs:
# without the kernel modules, and without AMD-V.
#
#   tests/lab/virtualbox-driver.sh ISO    boots this boot2docker image (iso.sh builds one)
#
# Takes some minutes: all of it is emulated. Exits with 77 and the reason where the lab cannot be.
set -eu

iso=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/../.."
# shellcheck source-path=SCRIPTDIR source=../../.ci/build-env.sh
. .ci/build-env.sh
build_env || {
    echo "skipped: $build_env_error" >&2
    exit 77
}
program=$(cargo test --locked -p rmachine-virtualbox --test real --no-run 2>&1 |
    sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
[ -n "$program" ] || {
    echo "the test was not built" >&2
    exit 1
}
shared=$(mktemp -d)
trap 'rm -rf "$shared"' EXIT
cp "$program" "$shared/test"
cp "$iso" "$shared/machine.iso"
# lives WHAT-IS-MISSING OPTIONS OF virtualbox.sh
lives() {
    # VirtualBox runs nothing from the shared directory.
    cat >"$shared/script" <<SCRIPT
cp test machine.iso /tmp/
export RMACHINE_TEST_VBOXMANAGE=/usr/bin/VBoxManage RMACHINE_TEST_ISO=/tmp/machine.iso $1
timeout 1700 /tmp/test --nocapture
SCRIPT
    shift
    tests/lab/virtualbox.sh -t 1800 "$@" "$shared"
}

lives ""
lives RMACHINE_TEST_BROKEN=module -a lab.nomodules
lives RMACHINE_TEST_BROKEN=amd-v -c qemu64,-svm
