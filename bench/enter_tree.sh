#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run a command in a tree that mmdebstrap made, with mount and process namespaces of its own.
#
#   bench/enter_tree.sh TREE COMMAND [WORD ...]
#
# All that the command starts ends with it. /run and /tmp are fresh; the network is this machine's.
set -eu
if [ "$1" != --inside ]; then
    exec unshare --mount --pid --fork --kill-child bash "$0" --inside "$@"
fi
tree=$2
shift 2
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
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
