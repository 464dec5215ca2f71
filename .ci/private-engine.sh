# Sourced by what needs an engine of its own, beside others on the same machine: all that it keeps
# lies in one directory, and its bridge is not docker0.
# shellcheck shell=sh

# private_engine_start DIRECTORY BRIDGE: at unix://DIRECTORY/docker.sock; its log is
# DIRECTORY/dockerd.log. Nothing when it runs already.
private_engine_start() {
    ! private_engine_runs "$1" || return 0
    # The engine finds an address for a bridge that has none.
    [ -e "/sys/class/net/$2" ] || ip link add "$2" type bridge
    ip link set "$2" up
    setsid dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/dockerd.pid" \
        --host "unix://$1/docker.sock" --bridge "$2" >"$1/dockerd.log" 2>&1 </dev/null 9>&- &
    wait_for 60 timeout 5 docker -H "unix://$1/docker.sock" version
}

# private_engine_runs DIRECTORY: sets `private_engine_pid`.
private_engine_runs() {
    private_engine_pid=$(cat "$1/dockerd.pid" 2>/dev/null) || return 1
    # The number may be another program's by now.
    [ "$(cat "/proc/$private_engine_pid/comm" 2>/dev/null)" = dockerd ]
}

# private_engine_stop DIRECTORY BRIDGE: with its containers, its bridges and the rules for them.
private_engine_stop() {
    private_engine_runs "$1" || return 0
    bridges=$(timeout 20 docker -H "unix://$1/docker.sock" network ls --quiet --filter driver=bridge |
        sed 's/^/br-/') || bridges=
    kill "$private_engine_pid"
    wait_for 60 test ! -e "/proc/$private_engine_pid" || return 1
    for bridge in "$2" $bridges; do
        [ -e "/sys/class/net/$bridge" ] || continue
        ip link del "$bridge"
        for table in filter nat; do
            iptables -w -t "$table" -S | sed -n "/ $bridge /s/^-A/-D/p" | while read -r rule; do
                # shellcheck disable=SC2086 # words of iptables' own
                iptables -w -t "$table" $rule
            done
        done
    done
}

# private_engine_remove DIRECTORY: what a stopped engine has kept.
private_engine_remove() {
    # An engine that was killed has left things mounted.
    awk -v under="$1/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r |
        while read -r mounted; do umount "$mounted"; done
    rm -rf "$1"
}

# wait_for SECONDS COMMAND...
wait_for() {
    seconds=$1
    shift
    until "$@" >/dev/null 2>&1; do
        seconds=$((seconds - 1))
        [ "$seconds" -gt 0 ] || return 1
        sleep 1
    done
}
