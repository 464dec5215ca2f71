# What rmachine tells of VirtualBox's errors, each of them provoked on the real one. No system has to
# boot for them.
# shellcheck shell=sh disable=SC2086 # a list of options
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
# shellcheck source-path=SCRIPTDIR source=told.sh
. ./told.sh

told "a range that VirtualBox does not allow" \
    rmachine create $MACHINE --virtualbox-hostonly-cidr 192.168.99.1/24 one
told "more memory than there is" \
    rmachine create -d virtualbox --iso boot2docker-lab --virtualbox-memory 100000 one
told "an ISO that is not in the cache" \
    rmachine create -d virtualbox --iso nowhere --virtualbox-memory 768 one

mkdir /tmp/small
mount -t tmpfs -o size=60m tmpfs /tmp/small
told "no room for a machine" rmachine --storage-path /tmp/small create $MACHINE one
umount /tmp/small

begun one "$BOOTS"
id=$(rmachine inspect -f '{{.Driver.VMID}}' one)
rmachine kill one

# taken: another program listens at the machine's port of SSH.
taken() {
    port=$(rmachine inspect -f '{{.Driver.SSHPort}}' one)
    perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
        LocalAddr => "127.0.0.1", LocalPort => shift) or die "$@"; sleep 3600' "$port" &
    taker=$!
    sleep 2
}
# free: it does so no more, and the machine has another port.
free() {
    [ "$(rmachine inspect -f '{{.Driver.SSHPort}}' one)" != "$port" ] || fail "the port is the same"
    kill $taker
    wait $taker 2>/dev/null || true
}

taken
begun one "$BOOTS"
told "SSH's port, taken by another program" cat_to_stderr one.out
free
rmachine kill one

# fill DIRECTORY KB: leaves only so much room there.
fill() {
    room=$(df --output=avail -k "$1" | tail -n 1)
    head -c "$((room - $2))k" /dev/zero >"$1/filler"
}

# A disk that is full when rmachine or VirtualBox wants to write.
fill /tmp 8
told "a disk that fills up" timeout 200 rmachine create $MACHINE two
rm /tmp/filler
rmachine rm -y --force two

# One that is full when the system in the VM writes: VirtualBox stops the VM. It goes on from there.
mkdir /tmp/tight
mount -t tmpfs -o size=700m tmpfs /tmp/tight
mkdir /tmp/tight/cache
cp bin/machine.iso /tmp/tight/cache/boot2docker-lab.iso
tightly() { rmachine --storage-path /tmp/tight "$@"; }
fill_once_it_boots() {
    until grep -q "$BOOTS" err; do sleep 1; done
    fill /tmp/tight 60
}
rm err
fill_once_it_boots 2>/dev/null &
filling=$!
told "a disk that fills up while the system boots" tightly create $MACHINE two
wait $filling
same "state" Paused "$(tightly status two)"
rm /tmp/tight/filler
step "create, with room again" patiently tightly create $MACHINE two
tightly rm -y two
umount /tmp/tight

# Another program holds the VM: it is stopped in the middle of a change.
held=
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do
    VBoxManage modifyvm "$id" --description "attempt $attempt" &
    holder=$!
    sleep "0.$((attempt % 9 + 1))"
    if kill -STOP $holder 2>/dev/null; then
        if ! timeout 30 VBoxManage modifyvm "$id" --description other 2>held.err &&
            grep -q 'locked' held.err; then
            held=yes
            break
        fi
        # It may have come to its end before the signal.
        kill -CONT $holder 2>/dev/null || true
    fi
    wait $holder || true
done
if [ -n "$held" ]; then
    told "a VM that another program holds" timeout 400 rmachine create $MACHINE one
    kill -CONT $holder
    wait $holder || true
else
    echo "-- no other program could be made to hold the VM"
fi

rm "$MACHINE_STORAGE_PATH/machines/one/boot2docker.iso"
mv "$MACHINE_STORAGE_PATH/cache/boot2docker-lab.iso" /tmp/away.iso
told "its ISO gone, and the cache's" rmachine create $MACHINE one
mv /tmp/away.iso "$MACHINE_STORAGE_PATH/cache/boot2docker-lab.iso"

VBoxManage unregistervm "$id" --delete
told "a VM that was deleted: status" rmachine status one
told "a VM that was deleted: ip" rmachine ip one
told "a VM that was deleted: kill" rmachine kill one
told "a VM that was deleted: rm" rmachine rm -y one
nothing_is_left
ended
