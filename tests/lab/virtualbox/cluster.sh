# A cluster of two machines on the real VirtualBox: made, asked, stopped, started, restarted, cut off
# and removed.
# shellcheck shell=sh disable=SC2046,SC2086 # lists of options
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

step "create node1, the master" patiently rmachine create $MACHINE --swarm --swarm-master node1
step "create node2, joining" patiently rmachine create $MACHINE --swarm node2
rmachine ls

# In a shell of its own: what follows talks to no engine by itself.
info() {
    (
        eval "$(rmachine env --shell sh --swarm node1)"
        docker info
    )
}
ask() { info >seen; }
step "docker info of the cluster" ask
cat seen
same "nodes" 2 "$(sed -n 's/^ *Nodes: //p' seen)"
for node in node1 node2; do
    grep -q " $node: " seen || fail "docker info does not list $node"
    same "name of $node" "$node" "$(rmachine ssh $node hostname)"
done
same "containers" "swarm-agent swarm-agent-master" \
    "$(docker $(rmachine config node1) ps --format '{{.Names}}' | sort | tr '\n' ' ' | sed 's/ $//')"

address=$(rmachine ip node2)
certificate=$(sha256sum <"$MACHINE_STORAGE_PATH/machines/node2/server.pem")
unchanged() {
    same "address" "$address" "$(rmachine ip node2)"
    same "certificate" "$certificate" \
        "$(sha256sum <"$MACHINE_STORAGE_PATH/machines/node2/server.pem")"
    same "engine" node2 "$(docker $(rmachine config node2) info --format '{{.Name}}')"
}
step "ssh" rmachine ssh node2 true
step "stop node2" rmachine stop node2
same "state" Stopped "$(rmachine status node2)"
step "start node2" patiently rmachine start node2
unchanged
step "restart node2" patiently rmachine restart node2
unchanged
step "kill node2" rmachine kill node2
same "state" Stopped "$(rmachine status node2)"
step "start node2 after kill" patiently rmachine start node2
unchanged

# The cluster has noticed that it is back.
healthy() {
    for _ in $(seq 60); do
        ask
        [ "$(grep -c 'Status: Healthy' seen)" != 2 ] || return 0
        sleep 2
    done
    return 1
}
step "node2 healthy again" healthy

step "rm node2" rmachine rm -y node2
step "rm node1" rmachine rm -y node1
nothing_is_left
ended
