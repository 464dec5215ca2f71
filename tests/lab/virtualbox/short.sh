# What needs a few minutes of the real VirtualBox: a create that is cut off while the VM's system
# boots, the VM cut off, and a create that goes on to the very end.
# shellcheck shell=sh
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

runs() {
    same "state" Running "$(rmachine status one)"
    same "VMs" 1 "$(has vms | grep -c '^"one"')"
    same "adapters" 1 "$(has hostonlyifs | grep -c '^Name:')"
    same "DHCP servers" 1 "$(has dhcpservers | grep -c 'HostInterfaceNetworking')"
    VBoxManage showvminfo one --machinereadable >vm
    same "port of SSH" "$(rmachine inspect -f '{{.Driver.SSHPort}}' one)" \
        "$(sed -n 's/^Forwarding(0)="ssh,tcp,127\.0\.0\.1,\([0-9]*\),,22"$/\1/p' vm)"
    same "adapter" "$(has hostonlyifs | sed -n 's/^Name: *//p')" \
        "$(sed -n 's/^hostonlyadapter2="\(.*\)"$/\1/p' vm)"
}

step "create of a VM that boots" begun one "$BOOTS"
runs
address=$(rmachine inspect -f '{{.Driver.IPAddress}}' one)
same "address" 192.168.58 "${address%.*}"
step "kill" rmachine kill one
same "state" Stopped "$(rmachine status one)"
# shellcheck disable=SC2086 # a list of options
step "create, gone on with" patiently rmachine create $MACHINE one
runs
same "address" "$address" "$(rmachine ip one)"
eval "$(rmachine env --shell sh one)"
same "engine" one "$(docker info --format '{{.Name}}')"
step "rm" rmachine rm -y one
nothing_is_left
ended
