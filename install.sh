#!/bin/sh
# Builds rmachine and rswarm from this checkout and installs them.
#
#   ./install.sh                install the programs and rmachine's shell completions
#   ./install.sh --demo         the same, and make a cluster of three machines to look at
#   ./install.sh --remove-demo  remove that cluster and all that was made for it
#   ./install.sh --uninstall    remove what was installed; machines stay
#
# Everything goes below $PREFIX (default /usr/local); `--prefix DIR` says it too. Packages that a
# build needs are installed by apt-get, which needs root.
set -eu

DEMO=/var/lib/rmachine-demo
DEMO_CLUSTER=examples/quickstart.yml
DEMO_MASTER=quick-manager-1
DEMO_BRIDGE=rmachine-demo

main() {
    cd "$(dirname "$0")"
    # shellcheck source-path=SCRIPTDIR source=.ci/build-env.sh
    . .ci/build-env.sh
    # shellcheck source-path=SCRIPTDIR source=.ci/private-engine.sh
    . .ci/private-engine.sh
    PREFIX=${PREFIX:-/usr/local}
    action=install
    while [ $# -gt 0 ]; do
        case $1 in
            --demo) action=demo ;;
            --remove-demo) action=remove_demo ;;
            --uninstall) action=uninstall ;;
            --prefix)
                [ $# -ge 2 ] || usage
                PREFIX=$2
                shift
                ;;
            --prefix=*) PREFIX=${1#--prefix=} ;;
            --help | -h)
                help
                exit 0
                ;;
            *) usage ;;
        esac
        shift
    done
    case $PREFIX in
        /*) ;;
        *) stop "the prefix must be an absolute path, not $PREFIX" ;;
    esac
    program=$PREFIX/bin/rmachine
    companion=$PREFIX/bin/rswarm
    bash_completion=$PREFIX/share/bash-completion/completions/rmachine
    zsh_completion=$PREFIX/share/zsh/site-functions/_rmachine
    fish_completion=$PREFIX/share/fish/vendor_completions.d/rmachine.fish
    "$action"
}

install() {
    build_env || stop "$build_env_error"
    writable "$PREFIX" || stop "$PREFIX cannot be written to; run this as root (sudo ./install.sh)," \
        "or choose a place of your own: PREFIX=\$HOME/.local ./install.sh"
    say "building rmachine and rswarm; the first time this takes some minutes"
    built=${CARGO_TARGET_DIR:-target}
    static=$(uname -m)-unknown-linux-gnu
    # Two builds at once: either ends with minutes on a single processor.
    build_companion &
    building=$!
    trap 'kill "$building" 2>/dev/null; exit 130' INT TERM
    failed=
    cargo build --release --locked --bin rmachine || failed=rmachine
    wait "$building" || failed=rswarm
    trap - INT TERM
    [ -z "$failed" ] || stop "the build of $failed failed"
    put 755 "$program" <"$built/release/rmachine"
    put 755 "$companion" <"$built/$static/companion/rswarm"
    "$program" completion bash | put 644 "$bash_completion"
    "$program" completion zsh | put 644 "$zsh_completion"
    "$program" completion fish | put 644 "$fish_completion"
    say "installed $("$program" --version) as $program"
    say "installed $("$companion" --version) as $companion"
    case :$PATH: in
        *":$PREFIX/bin:"*) ;;
        *) say "$PREFIX/bin is not on your PATH yet" ;;
    esac
}

# rswarm runs on any host and alone in its image, so it is static. All else is for its size: it never
# unwinds, so it needs no tables for that, and relocations are packed.
build_companion() {
    RUSTFLAGS="-C target-feature=+crt-static -C force-unwind-tables=no"
    RUSTFLAGS="$RUSTFLAGS -C link-arg=-Wl,-z,pack-relative-relocs"
    export RUSTFLAGS AWS_LC_SYS_CFLAGS=-fno-asynchronous-unwind-tables
    exec cargo rustc --quiet --locked --profile companion --target "$static" -p rswarm --bin rswarm \
        -- -C "link-arg=-Wl,-T,$PWD/swarm/no-unwinding.ld"
}

uninstall() {
    [ ! -e "$program" ] || writable "$PREFIX" || stop "$PREFIX cannot be written to; run this as root"
    rm -f "$program" "$companion" "$bash_completion" "$zsh_completion" "$fish_completion"
    say "removed $program and $companion; machines and certificates in ~/.docker/machine stay"
    [ ! -e "$DEMO" ] || say "the demonstration's machines stay too; ./install.sh --remove-demo removes them"
}

demo() {
    [ "$(id -u)" = 0 ] || stop "the demonstration starts containers that are hosts; run it as root:" \
        "sudo ./install.sh --demo"
    install
    apt_install ca-certificates debootstrap iproute2 iptables openssh-client || stop "$build_env_error"
    command -v dockerd >/dev/null || apt_install docker.io || stop "$build_env_error"
    # From Debian 13 on the client is a package of its own.
    command -v docker >/dev/null || apt_install docker-cli || stop "$build_env_error"
    mkdir -p "$DEMO"
    chmod 700 "$DEMO"
    demo_engine
    # What --remove-demo has to know.
    [ -e "$DEMO/engine-url" ] || made_on_engine >"$DEMO/made-before"
    printf '%s\n' "$engine" >"$DEMO/engine-url"
    printf '%s\n' "$program" >"$DEMO/program"
    export MACHINE_STORAGE_PATH="$DEMO/store" MACHINE_DOCKER_HOST="$engine"

    # Machines that an earlier run has made are only started again.
    # shellcheck disable=SC2046 # a list of names
    timeout 120 "$program" start $("$program" ls -q) >/dev/null 2>&1 || true
    say "making the cluster of $DEMO_CLUSTER; the first time, an image for hosts is built from" \
        "Debian's packages"
    timeout 1800 "$program" up "$DEMO_CLUSTER" ||
        stop "the cluster could not be made; run this again to go on, or ./install.sh --remove-demo"

    show "$program" ls
    environment=$("$program" env --shell sh --swarm "$DEMO_MASTER")
    eval "$environment"
    # shellcheck disable=SC2016 # to be read, not run
    printf '\n$ eval "$(rmachine env --swarm %s)"\n' "$DEMO_MASTER"
    show docker info
    # An image that needs no registry, for a container on each node.
    "$companion" image --tag hello:1 | timeout 120 docker load >/dev/null ||
        stop "the cluster does not take an image"
    for container in hello1 hello2 hello3; do
        timeout 60 docker rm --force "$container" >/dev/null 2>&1 || true
        show docker run --detach --name "$container" hello:1 discovery
    done
    show docker ps
    cat <<END

A cluster of three machines runs, each with an engine of its own behind mutual TLS. To use it:

    export MACHINE_STORAGE_PATH=$MACHINE_STORAGE_PATH
    eval "\$(rmachine env --swarm $DEMO_MASTER)"
    docker info
    rmachine ssh quick-node-1

To remove it and all that was made for it:

    ./install.sh --remove-demo
END
}

remove_demo() {
    [ -d "$DEMO" ] || {
        say "there is no demonstration"
        return 0
    }
    [ "$(id -u)" = 0 ] || stop "run this as root: sudo ./install.sh --remove-demo"
    [ -x "$program" ] || program=$(cat "$DEMO/program" 2>/dev/null) || true
    engine=$(cat "$DEMO/engine-url" 2>/dev/null) || true
    if [ "$engine" = "unix://$DEMO/docker.sock" ] && ! private_engine_runs "$DEMO"; then
        say "the private engine does not run any more, and its containers with it"
    elif [ -d "$DEMO/store" ] && [ -x "$program" ]; then
        MACHINE_STORAGE_PATH=$DEMO/store timeout 300 "$program" down "$DEMO_CLUSTER"
    elif [ -n "$engine" ] && ! private_engine_runs "$DEMO"; then
        stop "rmachine is not there any more to remove the machines; run ./install.sh first"
    fi
    if [ -n "$engine" ] && timeout 20 docker -H "$engine" version >/dev/null 2>&1; then
        made_on_engine | grep -vxF -f "$DEMO/made-before" | while read -r kind id; do
            # What other machines use by now stays.
            timeout 60 docker -H "$engine" "$kind" rm "$id" >/dev/null 2>&1 || true
        done
    fi
    private_engine_stop "$DEMO" "$DEMO_BRIDGE" || stop "the private engine does not stop"
    private_engine_remove "$DEMO"
    say "removed the demonstration"
}

# An engine to make the machines on: the one that runs here, or a private one.
demo_engine() {
    for engine in unix:///var/run/docker.sock "unix://$DEMO/docker.sock"; do
        ! timeout 20 docker -H "$engine" version >/dev/null 2>&1 || return 0
    done
    say "no engine runs here: starting a private one, with all its data in $DEMO"
    private_engine_start "$DEMO" "$DEMO_BRIDGE" || {
        tail -n 20 "$DEMO/dockerd.log" >&2
        stop "the private engine does not start; its log is $DEMO/dockerd.log"
    }
}

# The images and networks of rmachine on the engine.
made_on_engine() {
    timeout 30 docker -H "$engine" image ls --filter label=io.rmachine.node --format 'image {{.ID}}'
    timeout 30 docker -H "$engine" network ls --filter label=io.rmachine.network --format 'network {{.ID}}'
}

# put MODE FILE: installs standard input; a program that runs stays whole.
put() {
    mkdir -p "$(dirname "$2")"
    cat >"$2.new"
    chmod "$1" "$2.new"
    mv -f "$2.new" "$2"
}

# Whether something can be made in a directory, which may not be there yet.
writable() {
    directory=$1
    while [ ! -e "$directory" ]; do directory=$(dirname "$directory"); done
    [ -w "$directory" ]
}

# show COMMAND...: what is typed, and what comes of it.
show() {
    printf '\n$ %s' "$(basename "$1")"
    for word; do
        [ "$word" = "$1" ] || printf ' %s' "$word"
    done
    printf '\n'
    timeout 60 "$@"
}

help() { sed -n '2,10s/^# \{0,1\}//p' install.sh; }

usage() {
    help >&2
    exit 2
}

say() { printf 'install.sh: %s\n' "$*" >&2; }

stop() {
    say "$*"
    exit 1
}

main "$@"
