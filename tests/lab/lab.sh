#!/bin/sh
# The lab: a private engine, and images of the stock hosts that the tests adopt.
#
#   tests/lab/lab.sh up      install what is missing, start the engine, build the images;
#                            print the variables that the tests read, as shell assignments
#   tests/lab/lab.sh down    stop the engine that `up` started
#   tests/lab/lab.sh clean   the same, and remove all that the lab keeps on disk
#
# The lab lies in $RMACHINE_LAB (default /var/lib/rmachine-lab). Where RMACHINE_LAB_ENGINE is set
# to the URL of an engine, that one is used, and left running by `down`. Everything is built once:
# an image's tag is the hash of its recipe. Exits with 77 and the reason where a lab cannot be.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../../.ci/build-env.sh
. "$HERE/../../.ci/build-env.sh"
# shellcheck source-path=SCRIPTDIR source=../../.ci/private-engine.sh
. "$HERE/../../.ci/private-engine.sh"
LAB=${RMACHINE_LAB:-/var/lib/rmachine-lab}
ENGINE=${RMACHINE_LAB_ENGINE:-unix://$LAB/docker.sock}
# A name of its own for every lab: 15 letters at most.
BRIDGE=lab-$(printf '%s' "$LAB" | sha256sum | cut -c1-8)
BASE=systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,iptables,ca-certificates,curl,procps,kmod

main() {
    case ${1:-} in
        up) up ;;
        down) down ;;
        clean) clean ;;
        *)
            sed -n '2,11s/^# \{0,1\}//p' "$HERE/lab.sh" >&2
            exit 2
            ;;
    esac
}

up() {
    [ "$(id -u)" = 0 ] || cannot "only root can make a lab"
    command -v apt-get >/dev/null || cannot "a lab needs Debian's apt-get"
    mkdir -p "$LAB"
    exec 9>"$LAB/lock"
    flock -w 1800 9 || cannot "another lab.sh has held $LAB/lock for half an hour"
    apt_install docker.io debootstrap openssh-client openssh-server iptables iproute2 openssl \
        faketime fish zsh tcsh etcd-server zookeeper docker-compose 9>&- || cannot "$build_env_error"
    started=
    start_engine

    lab_network

    bare=$(base_image bare bookworm)
    engine_image bookworm "$bare" docker.io >/dev/null
    bare_trixie=$(base_image bare-trixie trixie)
    engine_image trixie "$bare_trixie" docker.io docker-cli >/dev/null
    # sid's own systemd knows cgroups of version 2 only.
    engine_image sid "$bare_trixie" -t sid docker.io docker-cli >/dev/null
    # The last Debian that has it.
    elsewhere consul bullseye usr/bin/consul 9>&-
    # The first one that has it in Go; the one in Python is installed.
    elsewhere docker-compose trixie usr/bin/docker-compose 9>&-
    printf 'RMACHINE_LAB_ENGINE=%s\nRMACHINE_LAB_STARTED=%s\n' "$ENGINE" "$started"
    printf 'RMACHINE_LAB_PROGRAMS=%s\n' "$LAB/programs/usr/bin"
}

# elsewhere PACKAGE RELEASE PROGRAM: what this machine's own release does not have. The package is
# unpacked and not installed, so that the machine's packages do not change. Without it, the tests that
# need it are skipped.
elsewhere() {
    [ ! -x "$LAB/programs/$3" ] || return 0
    source=$(mirror)
    [ -n "$source" ] || {
        say "there is no $1: apt-get names no mirror of Debian"
        return 0
    }
    say "fetching $1 of $2"
    apt=$LAB/apt/$2 package=$1
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$LAB/programs"
    echo "deb $source $2 main" >"$apt/sources.list"
    set -- -q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt" -o APT::Sandbox::User=root
    (
        cd "$apt" && timeout 300 apt-get "$@" update && timeout 300 apt-get "$@" download "$package" &&
            dpkg -x "$package"_*.deb "$LAB/programs"
    ) >"$LAB/$package.log" 2>&1 || say "there is no $package; $LAB/$package.log says why"
}

down() {
    private_engine_stop "$LAB" "$BRIDGE" || {
        say "the engine does not stop"
        exit 1
    }
}

clean() {
    down
    private_engine_remove "$LAB"
}

start_engine() {
    ! engine 10 version >/dev/null 2>&1 || return 0
    [ -z "${RMACHINE_LAB_ENGINE:-}" ] || cannot "no engine answers at $ENGINE"
    say "starting an engine in $LAB"
    started=yes
    private_engine_start "$LAB" "$BRIDGE" || cannot_see dockerd.log "the engine did not come up"
}

# The network of the hosts, on which a test chooses their addresses: they keep them when they are
# switched off and on. That takes a subnet of one's own choice, so the engine is asked for a free one.
# An engine 20.10 that was given no gateway tells none before it starts again.
lab_network() {
    ! engine 30 network inspect rmachine-lab >/dev/null 2>&1 || return 0
    engine 30 network create rmachine-lab >/dev/null
    subnet=$(engine 30 network inspect --format '{{(index .IPAM.Config 0).Subnet}}' rmachine-lab)
    engine 30 network rm rmachine-lab >/dev/null
    engine 30 network create --subnet "$subnet" --gateway "${subnet%.*}.1" rmachine-lab >/dev/null
}

# base_image NAME RELEASE: a host as a provider hands it over, with no engine; prints its tag.
base_image() {
    image=rmachine-lab/$1 release=$2
    tag=$image:$(printf '%s\n' "$release" "$BASE" | cat - "$HERE/host.sh" | hash)
    if ! has "$tag"; then
        say "building $tag"
        root=$(mktemp -d "$LAB/root.XXXXXX")
        bootstrap "$release" "$root" >"$LAB/image.log" 2>&1 </dev/null || {
            rm -rf "$root"
            cannot_see image.log "debootstrap could not make a $release"
        }
        tar -C "$root" --numeric-owner --one-file-system -cf - . |
            engine 600 import --change 'CMD ["/sbin/init"]' --change 'ENV container=docker' - "$tag" \
                >/dev/null
        rm -rf "$root"
    fi
    engine 30 tag "$tag" "$image:latest"
    echo "$tag"
}

# bootstrap RELEASE DIRECTORY
bootstrap() {
    # shellcheck disable=SC2046 # no mirror, no word
    timeout 1200 debootstrap --variant=minbase --include="$BASE" "$1" "$2" $(mirror) &&
        sh "$HERE/host.sh" "$2"
}

# engine_image NAME FROM [-t RELEASE] PACKAGES...: a base with the engine of its release, or of a
# newer one, just as the package leaves it.
engine_image() {
    image=rmachine-lab/$1 from=$2 newer=:
    shift 2
    # A mirror's copy of a release in development may be older than it is meant to be used.
    [ "$1" != -t ] || newer="sed 's/ [a-z]* main/ $2 main/' /etc/apt/sources.list >/etc/apt/sources.list.d/$2.list \\
    && printf 'Package: *\\nPin: release n=$2\\nPin-Priority: 100\\n' >/etc/apt/preferences.d/$2 \\
    && echo 'Acquire::Check-Valid-Until false;' >/etc/apt/apt.conf.d/$2"
    recipe="FROM $from
RUN $newer && printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \\
    && apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $* \\
    && apt-get clean && rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/* /etc/docker/key.json"
    tag=$image:$(printf '%s\n' "$recipe" | hash)
    if ! has "$tag"; then
        say "building $tag"
        printf '%s\n' "$recipe" | DOCKER_BUILDKIT=0 engine 1200 build --force-rm --network host -t "$tag" - \
            >"$LAB/image.log" 2>&1 || cannot_see image.log "the packages could not be installed"
    fi
    engine 30 tag "$tag" "$image:latest"
    echo "$tag"
}

# The mirror of Debian that this machine itself uses, if it says.
mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(ORIGIN)/$(LABEL)/$(COMPONENT) $(REPO_URI)' 2>/dev/null |
        awk '$1 == "Debian/Debian/main" && $2 ~ /^https?:/ { print $2; exit }'
}

# engine LIMIT ARGS...: the engine's client; no call waits for ever.
engine() {
    limit=$1
    shift
    timeout "$limit" docker -H "$ENGINE" "$@" 9>&-
}

has() { engine 30 image inspect "$1" >/dev/null 2>&1; }

hash() { sha256sum | cut -c1-16; }

say() { printf 'lab: %s\n' "$*" >&2; }

cannot() {
    say "skipped: $*"
    exit 77
}

# cannot_see LOG REASON...
cannot_see() {
    tail -n 20 "$LAB/$1" >&2
    shift
    cannot "$@"
}

main "$@"
