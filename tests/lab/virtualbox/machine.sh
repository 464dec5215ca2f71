# The life of one machine on the real VirtualBox.
# shellcheck shell=sh disable=SC2086 # a list of options
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

step "create" patiently rmachine create $MACHINE one
address=$(rmachine ip one)
same "name" one "$(rmachine ssh one hostname)"
certificate=$(sha256sum <"$MACHINE_STORAGE_PATH/machines/one/server.pem")
step "stop" rmachine stop one
same "state" Stopped "$(rmachine status one)"
step "start" patiently rmachine start one
same "address" "$address" "$(rmachine ip one)"
same "certificate" "$certificate" "$(sha256sum <"$MACHINE_STORAGE_PATH/machines/one/server.pem")"
eval "$(rmachine env --shell sh one)"
same "engine" one "$(docker info --format '{{.Name}}')"
step "rm" rmachine rm -y one
nothing_is_left
ended
