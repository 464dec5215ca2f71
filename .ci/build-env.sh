# Sourced by what builds rmachine, in the root of the checkout: puts the pinned Rust toolchain on
# the PATH and installs the packages that a build needs. Sets `build_env_error` and returns 1 where
# that cannot be.
# shellcheck shell=sh disable=SC2034

build_env() {
    build_env_error=
    build_toolchain && build_packages
}

build_toolchain() {
    command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    if ! command -v cargo >/dev/null; then
        build_env_error="there is no cargo; install Rust from https://rustup.rs first"
        return 1
    fi
    command -v rustup >/dev/null || return 0
    [ -z "${RUSTUP_TOOLCHAIN:-}" ] || return 0
    pinned=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
    ! rustup toolchain list | grep -q "^$pinned-" || return 0
    # The same release under another name, such as `stable`, spares a download.
    for toolchain in $(rustup toolchain list | cut -d ' ' -f 1); do
        case $(rustup run "$toolchain" rustc --version 2>/dev/null) in
            "rustc $pinned "*)
                export RUSTUP_TOOLCHAIN="$toolchain"
                return 0
                ;;
        esac
    done
    rustup toolchain install "$pinned" --profile minimal >&2 || {
        build_env_error="the Rust toolchain $pinned could not be installed"
        return 1
    }
}

build_packages() {
    packages=
    command -v cc >/dev/null || packages="gcc libc6-dev"
    command -v pkg-config >/dev/null || packages="$packages pkg-config"
    [ -e /usr/include/openssl/ssl.h ] || packages="$packages libssl-dev"
    # shellcheck disable=SC2086 # a list of names
    apt_install $packages
}

# apt_install PACKAGE...: what of these is not there.
apt_install() {
    missing=
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        build_env_error="there is no apt-get; install by hand what Debian calls$missing"
        return 1
    elif [ "$(id -u)" != 0 ]; then
        build_env_error="packages are missing; first run: sudo apt-get install$missing"
        return 1
    fi
    echo "installing$missing" >&2
    apt_log=$(mktemp)
    # shellcheck disable=SC2086 # a list of names
    if {
        timeout 300 apt-get update -q &&
            DEBIAN_FRONTEND=noninteractive timeout 900 \
                apt-get install -q -y --no-install-recommends $missing
    } >"$apt_log" 2>&1 </dev/null; then
        rm -f "$apt_log"
    else
        tail -n 20 "$apt_log" >&2
        rm -f "$apt_log"
        build_env_error="apt-get could not install$missing"
        return 1
    fi
}
