# Sourced by the other files here, which run in the emulated computer of ../virtualbox.sh: programs
# and a store in a directory that VirtualBox can run from. HOME stays as it is: VirtualBox's server,
# which runs already, has its settings there.
# shellcheck shell=sh

export MACHINE_STORAGE_PATH=/tmp/store PATH="/tmp/bin:$PATH"
export RMACHINE_COMPANION=/tmp/bin/rswarm
mkdir -p /tmp/bin "$MACHINE_STORAGE_PATH/cache"
cp bin/rmachine bin/rswarm bin/docker /tmp/bin/
cp bin/machine.iso "$MACHINE_STORAGE_PATH/cache/boot2docker-lab.iso"

# What every machine here is made with.
# shellcheck disable=SC2034 # for those who source it
MACHINE="-d virtualbox --iso boot2docker-lab --virtualbox-memory 768 --virtualbox-no-share"

began=$(date +%s.%N)

# step NAME COMMAND...: tells how long it takes, and ends all when it fails.
step() {
    step_name=$1 step_began=$(date +%s.%N)
    shift
    "$@" || fail "$step_name failed"
    date +%s.%N | awk -v began="$step_began" -v name="$step_name" \
        '{ printf "== %-40s %7.1f s\n", name, $1 - began }'
}

# patiently COMMAND...: again where it gave up waiting. An emulated computer that has half a processor
# boots for longer than rmachine waits for a real one, and rmachine goes on where it stopped.
patiently() {
    for attempt in 1 2 3 4 5 6 7 8; do
        exited=0
        "$@" || exited=$?
        [ $exited != 0 ] || return 0
        echo "-- attempt $attempt exited with $exited"
        gave_up "$exited" || break
    done
    return "$exited"
}

# gave_up CODE: whether rmachine exits like that when it has waited long enough: 7, and 8 where all
# that it met until then was an sshd or an engine that did not answer. Whatever else fails is no
# matter of time.
gave_up() { [ "$1" = 7 ] || [ "$1" = 8 ]; }

# same WHAT EXPECTED FOUND
same() {
    [ "$2" = "$3" ] || fail "$1: expected \"$2\", found \"$3\""
}

fail() {
    echo "FAILED: $*"
    for log in "$MACHINE_STORAGE_PATH"/machines/*/*/Logs/VBox.log; do
        [ ! -f "$log" ] || { echo "-- $log" && tail -n 15 "$log"; }
    done
    exit 1
}

# What VirtualBox has of this kind: vms, hostonlyifs, hdds, dhcpservers.
has() {
    VBoxManage list "$1" | grep -E '^(Name:|NetworkName:|UUID:|")' || true
}

# VirtualBox may have a DHCP server from the beginning.
servers_before=$(has dhcpservers)

nothing_is_left() {
    for kind in vms hostonlyifs hdds; do
        same "$kind" "" "$(has "$kind")"
    done
    same "dhcpservers" "" "$(has dhcpservers | grep -vxF "$servers_before" || true)"
    same "kept addresses" "" "$(VBoxManage list dhcpservers | grep '^Individual Config:' || true)"
}

ended() {
    date +%s.%N | awk -v began="$began" '{ printf "== %-40s %7.1f s\n", "all", $1 - began }'
}

# begun NAME WORDS [SECONDS]: a create that has said WORDS, and is killed SECONDS later. What it told
# is in NAME.out. One that gave up waiting before is begun again.
begun() {
    for attempt in 1 2 3 4 5 6 7 8; do
        # shellcheck disable=SC2086 # a list of options
        rmachine create $MACHINE "$1" >"$1.out" 2>&1 &
        creator=$!
        for _ in $(seq 900); do
            ! grep -q "$2" "$1.out" || break 2
            kill -0 $creator 2>/dev/null || break
            sleep 0.5
        done
        ! kill -0 $creator 2>/dev/null || break
        exited=0
        wait $creator || exited=$?
        echo "-- attempt $attempt exited with $exited before \"$2\""
        gave_up $exited || break
    done
    grep -q "$2" "$1.out" || { cat "$1.out" && fail "create never said \"$2\""; }
    sleep "${3:-0}"
    # It may have come to its end before.
    kill -KILL "$creator" 2>/dev/null || true
    wait "$creator" 2>/dev/null || true
}

# What create says when its VM is there and it waits for the system in it.
# shellcheck disable=SC2034 # for those who source it
BOOTS="connecting to"
