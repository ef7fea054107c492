#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run ./lab on another release of Debian, from nothing to a report, without installing it.
#
#   sudo bench/distributions.sh SUITE [WORD ...]     # e.g. trixie, trixie --provider libvirt
#
# Makes a tree of that release (mmdebstrap), enters it with mount and process namespaces of its own
# and runs `./lab WORD ...` of this commit there as root, then status, doctor and down --destroy.
# The network is this machine's; the tree and all that ran in it are gone afterwards.
# Prints what it ran, with versions and times; exit code 1 when something went wrong.
set -euo pipefail

suite=${1:?"which release? e.g. bench/distributions.sh trixie"}
shift
[ "$(id -u)" -eq 0 ] || { echo "only root may make the tree: use sudo" >&2; exit 1; }
checkout=$(dirname "$(dirname "$(readlink -f "$0")")")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/testbed-$suite.XXXXXX")
tree=$work/tree
trap 'rm -rf --one-file-system "$work"' EXIT

mmdebstrap --quiet --variant=minbase --include=ca-certificates "$suite" "$tree"
mkdir "$tree/root/testbed"
commit=$(git -C "$checkout" rev-parse --short HEAD)
git -C "$checkout" archive "$commit" | tar -x -C "$tree/root/testbed"
# How this machine reaches its mirrors.
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs /etc/apt/apt.conf.d; do
    [ ! -e $file ] || cp -aLT --remove-destination $file "$tree$file"
done

cat >"$tree/root/inside.sh" <<'END'
set -u
cd /root/testbed
failed=0
step() {   # WORDS: run them, keep the time; 7 is a finished run that may not be compared
    local start=$SECONDS status=0
    "$@" || status=$?
    printf '%s: exit code %s, %s s\n' "$*" "$status" "$((SECONDS - start))" >>/root/seen
    [ "$status" -eq 0 ] || [ "$status" -eq 7 ] || failed=1
}
version() {
    local said
    said=$("${@:2}" 2>/dev/null | head -n 1)
    printf '%s: %s\n' "$1" "${said:-none}" >>/root/seen
}

step ./lab "$@"
step .venv/bin/testbed status
step .venv/bin/testbed doctor
[ -s results/latest/report.html ] || { echo "no report" >>/root/seen; failed=1; }
step .venv/bin/testbed down --destroy
version system sed -n 's/^PRETTY_NAME=//p' /etc/os-release
version QEMU qemu-system-x86_64 --version
version libvirt virsh --version
version Vagrant vagrant --version
version Python /usr/bin/python3 --version
exit $failed
END

cat >"$work/enter.sh" <<'END'
set -eu
tree=$1
shift
mount --make-rprivate /
mount --bind "$tree" "$tree"
cd "$tree"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p old
# Not chroot: the kernel refuses user namespaces inside one, and mmdebstrap needs them.
pivot_root . old
umount -l /old
# What tells programs of a proxy and its certificates goes along.
mapfile -t carried < <(env | grep -E '^(https?_proxy|no_proxy|(SSL|PIP|REQUESTS)_C[A-Z_]*)=' || true)
exec env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 "${carried[@]}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash /root/inside.sh "$@"
END

status=0
unshare --mount --pid --fork --kill-child bash "$work/enter.sh" "$tree" "$@" || status=$?
echo
echo "./lab${*:+ $*} on $suite, $(date -u +%F), commit $commit:"
cat "$tree/root/seen" || status=1
exit $((status != 0))
