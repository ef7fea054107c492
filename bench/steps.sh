#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sourced where a trial runs: each step and version becomes a line of the file $seen.
: "${seen:?the file for what is seen}"
failed=0   # of the script that sources this: its exit code

step() {   # WORDS: run them, keep the time; 7 is a finished run that may not be compared
    local start=$SECONDS status=0
    "$@" || status=$?
    printf '%s: exit code %s, %s s\n' "$*" "$status" "$((SECONDS - start))" >>"$seen"
    # shellcheck disable=SC2034  # read where this is sourced
    [ "$status" -eq 0 ] || [ "$status" -eq 7 ] || failed=1
}

version() {   # NAME WORDS: the first line that they print
    local said
    said=$("${@:2}" 2>/dev/null | head -n 1)
    printf '%s: %s\n' "$1" "${said:-none}" >>"$seen"
}

versions() {
    version system sed -n 's/^PRETTY_NAME=//p' /etc/os-release
    version QEMU qemu-system-x86_64 --version
    version libvirt virsh --version
    version Vagrant vagrant --version
    version Python /usr/bin/python3 --version
}
