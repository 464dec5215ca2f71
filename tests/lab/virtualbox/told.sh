# Sourced after common.sh: what rmachine tells, without what is another one in each run.
# shellcheck shell=sh

# told WHAT COMMAND...: its standard error, and how it exits, under a heading in the file `told`.
told() {
    printf '## %s\n' "$1" >>told
    shift
    status=0
    "$@" >/dev/null 2>err || status=$?
    sed -E -e 's/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/[VM]/g' \
        -e 's/port [0-9]{5}/port [PORT]/g' -e 's/: [0-9]+ MB are free/: [MB] MB are free/' \
        -e "s#$MACHINE_STORAGE_PATH#[STORE]#g" -e 's/process [0-9]+/process [PID]/' -e 's/\.rmachine-[A-Za-z0-9]+/.rmachine-[TMP]/' err |
        grep -E '^(error|caused by|hint|.*warning):? ' >>told || true
    printf 'exit: %s\n\n' "$status" >>told
}

# What was told already.
cat_to_stderr() { cat "$@" >&2; }
