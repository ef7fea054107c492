#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run the testbed on KVM where no hardware has it: in an emulated computer whose CPU has AMD's SVM.
#
#   sudo bench/kvm_computer.sh [FOLDER [MINUTES]]     # /var/tmp/testbed-kvm, 120
#
# Makes a Debian 12 with systemd and an ordinary user, and sets this commit up in its tree: packages
# and box. Then QEMU boots it (TCG, 2 CPUs, 6 GB), and the user brings both machines up on KVM, runs
# the experiment, saves and restores. The disk and what was found stay in FOLDER; while the
# disk is there, a further call begins at the boot. No packet leaves the emulated computer.
# Prints what it ran, with times; exit code 1 when something went wrong.
set -euo pipefail

[ "$(id -u)" -eq 0 ] || { echo "only root may make the tree: use sudo" >&2; exit 1; }
bench=$(dirname "$(readlink -f "$0")")
work=$(readlink -m "${1:-/var/tmp/testbed-kvm}")
minutes=${2:-120}
tree=$work/tree disk=$work/disk.raw key=$work/key
install -d -m 0700 "$work"

make_disk() {
    trap 'rm -rf --one-file-system "$tree" "$disk.new"' EXIT
    mmdebstrap --quiet --variant=important bookworm "$tree" --include=ca-certificates \
        --include=linux-image-amd64,systemd-sysv,libpam-systemd,openssh-server,sudo,python3-venv
    "$bench/put_into_tree.sh" "$tree" /testbed >/dev/null
    [ -e "$key" ] || ssh-keygen -q -t ed25519 -N '' -f "$key"
    cp "$key.pub" "$tree/key.pub"
    echo '/dev/vda / ext4 noatime 0 0' >"$tree/etc/fstab"
    printf '[Match]\nType=ether\n[Network]\nDHCP=yes\n' >"$tree/etc/systemd/network/10-all.network"
    cat >"$tree/root/inside.sh" <<'END'
set -eu
systemctl --quiet enable systemd-networkd ssh
useradd --create-home --shell /bin/bash --groups sudo student
echo 'student ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/student
install -d -o student -g student -m 0700 ~student/.ssh
install -o student -g student -m 0600 /key.pub ~student/.ssh/authorized_keys
mv /testbed ~student/testbed
chown -R student: ~student/testbed
install -d -m 0755 -o student /run/student
setpriv --reuid student --regid student --init-groups env HOME=/home/student USER=student \
    XDG_RUNTIME_DIR=/run/student \
    sh -c 'cd ~/testbed && ./lab setup && .venv/bin/testbed box build'
usermod --append --groups kvm student   # the group came with QEMU
apt-get clean
END
    "$bench/enter_tree.sh" "$tree" bash /root/inside.sh
    cp "$tree"/boot/vmlinuz-* "$work/vmlinuz"
    cp "$tree"/boot/initrd.img-* "$work/initrd.img"
    truncate -s 12G "$disk.new"
    mke2fs -q -F -t ext4 -O '^has_journal' -d "$tree" "$disk.new"
    mv "$disk.new" "$disk"
    rm -rf --one-file-system "$tree"
    trap - EXIT
}

[ -e "$disk" ] || make_disk

exec 9>"$work/lock"
flock --nonblock 9 || { echo "another call runs the computer in $work" >&2; exit 1; }
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
timeout --kill-after=10 "${minutes}m" qemu-system-x86_64 -name testbed-kvm-computer \
    -accel tcg,thread=multi -cpu max -smp 2 -m 6000 -nodefaults -no-reboot -display none \
    -kernel "$work/vmlinuz" -initrd "$work/initrd.img" -append 'root=/dev/vda rw console=ttyS0 quiet' \
    -drive "if=virtio,format=raw,cache=unsafe,file=$disk" -serial "file:$work/console.log" \
    -netdev "user,id=way-in,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22" \
    -device virtio-net-pci,netdev=way-in 9>&- &
computer=$!
trap 'kill "$computer" 2>/dev/null; wait "$computer" || true' EXIT

inside() {
    ssh -q -i "$key" -p "$port" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ConnectTimeout=60 -o ServerAliveInterval=30 -o ServerAliveCountMax=20 student@127.0.0.1 "$@"
}

begun=$SECONDS
until inside true; do
    kill -0 "$computer" 2>/dev/null || { tail -n 20 "$work/console.log" >&2; exit 1; }
    sleep 2
done
echo "the computer answers after $((SECONDS - begun)) s"
commit=$(git -C "$bench" rev-parse --short HEAD)
git -C "$(dirname "$bench")" archive "$commit" | inside tar -x -C testbed
status=0
inside 'bash -s' <<'END' || status=$?
set -u
cd ~/testbed
seen=~/seen
: >"$seen"
. bench/steps.sh
[ -e /dev/kvm ] || sudo modprobe kvm_amd
step .venv/bin/testbed down --destroy </dev/null
step .venv/bin/testbed up --timings </dev/null
step .venv/bin/testbed check --arms none,netfilter,xdp </dev/null
step .venv/bin/testbed bench --both --no-count </dev/null
step .venv/bin/testbed down </dev/null
step .venv/bin/testbed up --timings </dev/null
step .venv/bin/testbed bench --both --no-count --trials 1 </dev/null
step .venv/bin/testbed doctor </dev/null
step .venv/bin/testbed down --destroy </dev/null
version CPU sed -n 's/^model name.*: //p' /proc/cpuinfo
versions
exit $failed
END
inside cat seen >"$work/seen" || status=1
inside tar -C testbed -czf - results >"$work/results.tar.gz" || status=1
inside sudo systemctl poweroff || true
wait "$computer" || true
trap - EXIT
echo
echo "on KVM in an emulated computer, $(date -u +%F), commit $commit; its runs: $work/results.tar.gz"
cat "$work/seen"
exit $((status != 0))
