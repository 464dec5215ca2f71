# A computer that cannot run VMs says why.
# shellcheck shell=sh disable=SC2086 # a list of options
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
# shellcheck source-path=SCRIPTDIR source=told.sh
. ./told.sh

told "create" rmachine create $MACHINE one
told "create without looking" rmachine create $MACHINE --virtualbox-no-vtx-check one
rmachine rm -y --force one
nothing_is_left
