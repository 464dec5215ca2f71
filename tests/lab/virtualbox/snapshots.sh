# Snapshots on the real VirtualBox: of a running machine and of a stopped one.
# shellcheck shell=sh disable=SC2046,SC2086 # lists of options
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

step "create" patiently rmachine create $MACHINE one
address=$(rmachine ip one)
on() { docker $(rmachine config one) "$@"; }
on volume create before >/dev/null
step "snapshot create, running" rmachine snapshot create one running
same "state" Running "$(rmachine status one)"
on volume create after >/dev/null
step "snapshot restore" patiently rmachine snapshot restore one running
same "state" Running "$(rmachine status one)"
same "address" "$address" "$(rmachine ip one)"
same "volumes" before "$(on volume ls -q)"
rmachine stop one
step "snapshot create, stopped" rmachine snapshot create one stopped
rmachine snapshot ls
same "snapshots" "running stopped" "$(rmachine snapshot ls -q one | tr '\n' ' ' | sed 's/ $//')"
step "snapshot restore, from stopped to running" patiently rmachine snapshot restore one running
same "state" Running "$(rmachine status one)"
step "snapshot restore, from running to stopped" patiently rmachine snapshot restore one stopped
same "state" Running "$(rmachine status one)"
same "volumes" before "$(on volume ls -q)"
step "snapshot rm" rmachine snapshot rm one running
step "rm, with a snapshot" rmachine rm -y one
nothing_is_left
ended
