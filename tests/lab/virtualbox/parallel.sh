# Machines made by two processes at the same time on the real VirtualBox: one network, an address
# each. And a process that is killed at each step of it, and undone, or gone on with.
# shellcheck shell=sh
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

both() {
    (begun one "$BOOTS") &
    first=$!
    (begun two "$BOOTS") &
    wait $first && wait $!
}
step "create of two VMs, in two processes" both
addresses=$(for name in one two; do rmachine inspect -f '{{.Driver.IPAddress}}' $name; done)
same "addresses" 2 "$(echo "$addresses" | grep -c '^192\.168\.58\.')"
same "different ones" 2 "$(echo "$addresses" | sort -u | wc -l)"
same "states" "Running Running" "$(rmachine status one two | tr '\n' ' ' | sed 's/ $//')"
same "adapters" 1 "$(has hostonlyifs | grep -c '^Name:')"
step "rm both" rmachine rm -y one two
nothing_is_left

for words in "checking" "making a host-only network" "making the VM" "starting the VM"; do
    for seconds in 0 2; do
        begun cut "$words" $seconds
        echo "-- killed $seconds s after \"$words\": $(has vms)"
        rmachine rm -y cut
        nothing_is_left
    done
done
begun cut "making a host-only network" 1
begun cut "starting the VM"
step "create after two kills" begun cut "$BOOTS"
same "state" Running "$(rmachine status cut)"
same "VMs" 1 "$(has vms | grep -c '^"')"
same "adapters" 1 "$(has hostonlyifs | grep -c '^Name:')"

# Killed in the middle of the host's configuration, when the system has booted.
step "create, killed as it configures" begun cut "configuring the engine"
# shellcheck disable=SC2086 # a list of options
step "create after that" patiently rmachine create $MACHINE cut
# shellcheck disable=SC2046 # a list of options
same "engine" cut "$(docker $(rmachine config cut) info --format '{{.Name}}')"
step "rm" rmachine rm -y cut
nothing_is_left
ended
