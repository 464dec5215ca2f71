# Shared folders on the real VirtualBox: what is in a directory of this computer is on the machine.
# shellcheck shell=sh disable=SC2086 # a list of options
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

shared="/tmp/what is shared"
mkdir -p "$shared"
echo hello >"$shared/a file"
MACHINE=$(printf '%s' "$MACHINE" | sed 's/ --virtualbox-no-share//')
step "create" patiently rmachine create $MACHINE --virtualbox-share-folder "$shared:our-data" one
rmachine ssh one mount | grep 'our-data' || fail "the folder is not mounted"
same "file" hello "$(rmachine ssh one cat "'/our-data/a file'")"
rmachine ssh one 'echo back | sudo tee "/our-data/their file" >/dev/null'
same "their file" back "$(cat "$shared/their file")"
step "restart" patiently rmachine restart one
same "file" hello "$(rmachine ssh one cat "'/our-data/a file'")"
step "rm" rmachine rm -y one
nothing_is_left
ended
