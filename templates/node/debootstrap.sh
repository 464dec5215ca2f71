# Makes the node image's root without a registry and writes it to standard output as a tar.
# Runs as root in a mount and a process namespace of its own, so that nothing it mounts or starts
# outlives it. Progress goes to standard error.
# usage: sh debootstrap.sh DIRECTORY RELEASE MIRROR (DIRECTORY holds setup.sh, packages, rootfs/)
set -eu
directory=$1
release=$2
mirror=$3
root=$directory/root

echo "step: bootstrapping Debian $release" >&2
debootstrap --variant=minbase "$release" "$root" ${mirror:+"$mirror"} >&2
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
cp -R "$directory/rootfs/." "$root/"
mkdir -p "$root/opt/rmachine"
cp "$directory/packages" "$directory/setup.sh" "$root/opt/rmachine/"
# Names must resolve while packages are fetched.
cat /etc/resolv.conf >"$root/etc/resolv.conf"
chroot "$root" /bin/sh /opt/rmachine/setup.sh /opt/rmachine "$release" "$mirror" >&2
rm -r "$root/opt/rmachine"
# These are of the computer that builds.
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
umount "$root/proc"
echo "step: packing the image" >&2
tar -C "$root" --numeric-owner --one-file-system -cf - .
