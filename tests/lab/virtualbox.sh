#!/bin/sh
# The real VirtualBox, on computers that cannot run it: a Linux under QEMU, whose emulated processor
# has AMD-V, loads VirtualBox's kernel modules and runs VMs.
#
#   tests/lab/virtualbox.sh [-t SECONDS] [-c CPU] [-m MEGABYTES] [-a ARGUMENTS] DIRECTORY
#   tests/lab/virtualbox.sh build
#
# Runs DIRECTORY/script there as root, in DIRECTORY, with the modules loaded and VBoxManage in the
# PATH, and exits as it does; with 125 where it did not come to its end within SECONDS (900).
# CPU is QEMU's name of another processor: qemu64,-svm has no AMD-V. It has 3072 MB of memory, unless
# -m says otherwise. ARGUMENTS go to the kernel; with `lab.nomodules` VirtualBox's modules are not
# loaded.
#
# The lab, which is all that `build` makes, lies in $RMACHINE_LAB (default /var/lib/rmachine-lab) and
# is built once, from Debian's packages: 2 GB. Exits with 77 and the reason where it cannot be.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../../.ci/build-env.sh
. "$HERE/../../.ci/build-env.sh"
LAB=${RMACHINE_LAB:-/var/lib/rmachine-lab}/virtualbox
# What the modules are built for, and what runs the whole; sid has VirtualBox.
PACKAGES="virtualbox virtualbox-dkms linux-image-cloud-amd64 linux-headers-cloud-amd64 udev kmod
    openssh-client qemu-system-x86 virtiofsd busybox-static cpio e2fsprogs xz-utils"

main() {
    [ "$(id -u)" = 0 ] || cannot "only root can make a lab"
    [ "$(uname -m)" = x86_64 ] || cannot "the lab is for x86_64"
    if [ -z "${LAB_ALONE:-}" ]; then
        # What is mounted from here on goes with this process, however it ends.
        unshare --mount true 2>/dev/null || cannot "nothing can be mounted here"
        LAB_ALONE=yes exec unshare --mount --propagation private "$HERE/virtualbox.sh" "$@"
    fi
    limit=900
    cpu=qemu64,+svm,+npt,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand
    arguments=
    memory=3072
    while getopts t:c:m:a: option; do
        case $option in
            t) limit=$OPTARG ;;
            c) cpu=$OPTARG ;;
            m) memory=$OPTARG ;;
            a) arguments=$OPTARG ;;
            *) exit 2 ;;
        esac
    done
    shift $((OPTIND - 1))
    if [ "$1" = build ]; then
        build
        return
    fi
    shared=$(cd "$1" && pwd)
    [ -f "$shared/script" ] || {
        echo "there is no $shared/script" >&2
        exit 2
    }
    build
    run
}

build() {
    mkdir -p "$LAB"
    exec 9>"$LAB/lock"
    flock -w 1800 9 || cannot "another virtualbox.sh has held $LAB/lock for half an hour"
    apt_install debootstrap 9>&- || cannot "$build_env_error"
    # Built anew when what builds it changes: all from here to what runs it.
    made=$LAB/$(sed -n '/^build() {/,/^run() {/p' "$HERE/virtualbox.sh" | sha256sum | cut -c1-16)
    tree=$made/tree
    [ ! -f "$made/done" ] || return 0
    for old in "$LAB"/*/; do
        [ ! -d "$old" ] || rm -rf --one-file-system "$old"
    done
    mkdir -p "$made"
    say "installing VirtualBox"
    install_packages
    say "making a disk of it"
    image
    # What has only built the modules.
    rm -rf "$tree"/usr/lib/gcc* "$tree/usr/libexec/gcc" "$tree/usr/src" "$tree/usr/share/doc" \
        "$tree/usr/share/locale" "$tree"/usr/lib/x86_64-linux-gnu/libLLVM*
    touch "$made/done"
}

install_packages() {
    mirror=$(mirror)
    [ -n "$mirror" ] || cannot "apt names no archive of Debian"
    timeout 600 debootstrap --variant=minbase --components=main,contrib \
        --include=ca-certificates,iproute2,procps sid "$tree" "$mirror" \
        >"$LAB/log" 2>&1 9>&- || cannot_see "the archive has no sid"
    printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
    chmod 755 "$tree/usr/sbin/policy-rc.d"
    echo 'Acquire::Check-Valid-Until false;' >"$tree/etc/apt/apt.conf.d/lab"
    cp /etc/resolv.conf "$tree/etc/resolv.conf"
    mount -t proc proc "$tree/proc"
    # shellcheck disable=SC2086 # a list of names
    {
        timeout 200 chroot "$tree" apt-get update &&
            DEBIAN_FRONTEND=noninteractive timeout 1500 chroot "$tree" \
                apt-get install -y --no-install-recommends $PACKAGES &&
            chroot "$tree" apt-get clean
    } >>"$LAB/log" 2>&1 9>&- </dev/null || failed=yes
    umount "$tree/proc"
    [ -z "${failed:-}" ] || cannot_see "VirtualBox could not be installed"
    rm -rf "$tree"/var/lib/apt/lists/*
}

image() {
    kernel=$(basename "$(find "$tree/lib/modules" -maxdepth 1 -name '*-cloud-amd64' | sort | tail -n 1)")
    [ -e "$tree/lib/modules/$kernel/updates/dkms/vboxdrv.ko.xz" ] ||
        cannot "VirtualBox's modules were not built for Linux $kernel"
    cp "$tree/boot/vmlinuz-$kernel" "$made/kernel"

    # What finds the disk and hands over to it.
    first=$tree/tmp/first
    mkdir -p "$first/bin" "$first/proc" "$first/sys" "$first/dev" "$first/disk"
    cp "$tree/bin/busybox" "$first/bin/busybox"
    driver=$(find "$tree/lib/modules/$kernel" -name 'virtio_blk.ko*')
    xz -dc "$driver" >"$first/virtio_blk.ko"
    first_init >"$first/init"
    chmod 755 "$first/init"
    chroot "$tree" sh -c 'cd /tmp/first && find . | cpio -o -H newc --quiet' >"$made/initrd"
    rm -rf "$first"

    # The disk: the tree without what only builds or emulates.
    disk=$made/disk-tree
    mkdir "$disk"
    tar -C "$tree" -cf - --one-file-system --exclude='./usr/share/doc' --exclude='./usr/share/man' \
        --exclude='./usr/share/locale' --exclude='./boot' --exclude='./usr/src' \
        --exclude='./usr/lib/gcc*' --exclude='./usr/libexec/gcc' --exclude='*/libLLVM*' \
        --exclude='./usr/share/qemu' --exclude='./usr/bin/qemu*' . | tar -C "$disk" -xpf -
    outer_init >"$disk/lab-init"
    chmod 755 "$disk/lab-init"
    truncate -s 2G "$made/disk"
    mkdir -p "$tree/made"
    mount --bind "$made" "$tree/made"
    mount -t proc proc "$tree/proc"
    chroot "$tree" mke2fs -q -t ext4 -O '^has_journal,^metadata_csum' -m 0 -d /made/disk-tree \
        /made/disk || failed=yes
    umount "$tree/made" "$tree/proc"
    rm -rf "$disk"
    [ -z "${failed:-}" ] || cannot "no disk could be made"
}

first_init() {
    cat <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
$b mount -t sysfs sys /sys
$b insmod /virtio_blk.ko
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ ! -b /dev/vda ] || break
    $b sleep 0.2
done
$b mount -t ext4 -o rw,noatime /dev/vda /disk
for kept in dev proc sys; do $b mount --move /$kept /disk/$kept; done
exec $b switch_root /disk /lab-init
INIT
}

# What a real computer has time for, an emulated one has not:
# - VirtualBox asks for a timer at up to 20 kHz while a VM runs.
# - A VM that lags behind gets its time stamps from VirtualBox and no longer from the processor, and
#   the ticks that it has missed sooner. Under emulation every VM lags.
# - Linux lets two VMs take turns every 0.7 ms, hardly longer than one entry into a VM takes here.
outer_init() {
    cat <<'INIT'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root LC_ALL=C.UTF-8
mount -t tmpfs -o size=75% tmpfs /tmp
mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm /shared
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t debugfs debugfs /sys/kernel/debug
echo 100000000 >/sys/kernel/debug/sched/base_slice_ns
echo NO_HRTICK >/sys/kernel/debug/sched/features
ip link set lo up
echo 1 >/proc/sys/kernel/printk
mount -t virtiofs shared /shared
mkdir -p ~/.config/VirtualBox
setting() { printf '<ExtraDataItem name="VBoxInternal/TM/%s" value="%s"/>\n' "$1" "$2"; }
{
    echo '<?xml version="1.0"?>'
    echo '<VirtualBox xmlns="http://www.virtualbox.org/" version="1.12-linux"><Global><ExtraData>'
    setting HostHzMax 100
    setting TSCMode RealTSCOffset
    setting CatchUpGiveUpThreshold 1000000000
    for i in 0 1 2 3 4 5 6 7 8 9; do
        setting CatchUpStartThreshold$i 5${i}0000000
        setting CatchUpPrecentage$i $((i + 1))
    done
    echo '</ExtraData></Global></VirtualBox>'
} >~/.config/VirtualBox/VirtualBox.xml
grep -q lab.nomodules /proc/cmdline || modprobe -a vboxdrv vboxnetflt vboxnetadp
cd /shared
sh ./script
status=$?
cd /
echo "$status" >/shared/status
sync
umount -l /shared
echo o >/proc/sysrq-trigger
sleep 10
INIT
}

run() {
    rm -f "$shared/status"
    work=$(mktemp -d "$tree/tmp/run.XXXXXX")
    inside=${work#"$tree"}
    files=
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    # The emulator runs in the tree, and is given there what it needs of the world outside.
    mkdir "$work/shared" "$work/made"
    mount --bind "$shared" "$work/shared"
    mount --bind "$made" "$work/made"
    mount -t proc proc "$tree/proc"
    mount --bind /dev "$tree/dev"
    exec 9>&-

    chroot "$tree" /usr/libexec/virtiofsd --socket-path="$inside/files" \
        --shared-dir "$inside/shared" --cache never --sandbox none >"$work/files.log" 2>&1 &
    files=$!
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ ! -S "$work/files" ] || break
        sleep 0.2
    done
    # One processor: what QEMU has translated of the kernel's text does not follow when another
    # processor patches it.
    timeout --kill-after=5 "$limit" chroot "$tree" qemu-system-x86_64 -accel tcg -M q35 \
        -cpu "$cpu" -m "$memory" -smp 1 -nodefaults -no-user-config -display none -no-reboot \
        -object "memory-backend-memfd,id=memory,size=${memory}M,share=on" -numa node,memdev=memory \
        -kernel "$inside/made/kernel" -initrd "$inside/made/initrd" \
        -append "console=hvc0 quiet panic=1 mitigations=off nokaslr tsc=reliable $arguments" \
        -drive "file=$inside/made/disk,format=raw,if=virtio,snapshot=on" \
        -chardev "socket,id=files,path=$inside/files" \
        -device vhost-user-fs-pci,chardev=files,tag=shared \
        -device virtio-rng-pci -device virtio-serial-pci -chardev stdio,id=console \
        -device virtconsole,chardev=console </dev/null 2>"$work/qemu.log" || true
    if [ -f "$shared/status" ]; then
        exit "$(cat "$shared/status")"
    fi
    grep -v "doesn't support" "$work/qemu.log" >&2 || true
    say "the script did not come to its end within $limit s"
    exit 125
}

# shellcheck disable=SC2317 # the traps call it
clean_up() {
    trap - EXIT INT TERM
    if [ -n "$files" ]; then
        kill "$files" 2>/dev/null || true
        wait "$files" || true
    fi
    if umount "$work/shared" "$work/made"; then
        rm -rf --one-file-system "$work"
    fi
}

# The mirror of Debian that this machine itself uses, if it says.
mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(ORIGIN)/$(LABEL)/$(COMPONENT) $(REPO_URI)' 2>/dev/null |
        awk '$1 == "Debian/Debian/main" && $2 ~ /^https?:/ { print $2; exit }'
}

cannot() {
    printf 'skipped: %s\n' "$*" >&2
    exit 77
}

cannot_see() {
    tail -n 20 "$LAB/log" >&2
    cannot "$*"
}

say() { printf 'virtualbox.sh: %s\n' "$*" >&2; }

main "$@"
