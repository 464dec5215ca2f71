# Addresses on the real VirtualBox: one that only the machine knows, and one that is lost.
# shellcheck shell=sh disable=SC2086 # a list of options
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

answers() {
    eval "$(rmachine env --shell sh one)"
    same "engine" one "$(docker info --format '{{.Name}}')"
}

step "create, with any address" patiently rmachine create $MACHINE \
    --virtualbox-hostonly-address dhcp one
address=$(rmachine ip one)
same "network" 192.168.58 "${address%.*}"
same "address" "$address" "$(rmachine ssh one ip -4 -o address show dev eth1 |
    sed -n 's|.* inet \([0-9.]*\)/.*|\1|p')"
answers
step "ls" rmachine ls
step "stop" rmachine stop one
VBoxManage dhcpserver remove --netname HostInterfaceNetworking-vboxnet0
VBoxManage hostonlyif remove vboxnet0
step "start, without its adapter" patiently rmachine start one
address=$(rmachine ip one)
same "network" 192.168.58 "${address%.*}"
answers
step "rm" rmachine rm -y one
nothing_is_left

step "create" patiently rmachine create $MACHINE one
address=$(rmachine ip one)
step "stop" rmachine stop one
# Another machine's now.
VBoxManage dhcpserver remove --netname HostInterfaceNetworking-vboxnet0
VBoxManage dhcpserver add --netname HostInterfaceNetworking-vboxnet0 --ip 192.168.58.2 \
    --netmask 255.255.255.0 --lowerip 192.168.58.128 --upperip 192.168.58.254 --enable \
    --mac-address 080027000001 --fixed-address "$address"
step "start, without its address" patiently rmachine start one
[ "$(rmachine ip one)" != "$address" ] || fail "the address is still $address"
answers
step "rm" rmachine rm -y one
ended
