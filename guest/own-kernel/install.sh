#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs a kernel of one's own in the box's tree, before box/setup.sh: what a [box] kernel adds.
#   install.sh TREE PACKAGES RELEASE
# PACKAGES is a folder with .deb files. apt works from outside, and dpkg inside finds them at the
# same path. What they depend on comes from the box's mirror.
set -eu
tree=$1 packages=$2 release=$3

install -d "$tree$packages"
cp "$packages"/*.deb "$tree$packages"
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install --yes --no-install-recommends \
    -o DPkg::Chroot-Directory="$tree" "$packages"/*.deb >&2 || {
    echo "the kernel's packages cannot be installed: what is lacking belongs to kernel_headers" >&2
    exit 1
}
rm -r "${tree:?}$packages"
rmdir "$(dirname "$tree$packages")" 2>/dev/null || true

build=/lib/modules/$release/build
if ! chroot "$tree" test -e "$build/Makefile"; then
    echo "the headers are installed, but $build is not there: no module can be built for $release" >&2
    exit 1
fi
# Programs of a kernel's build are made where the kernel was, for that system's C library.
for program in scripts/basic/fixdep scripts/mod/modpost; do
    if chroot "$tree" ldd "$build/$program" 2>&1 | grep 'not found' >&2; then
        echo "the headers' $program was made for a newer system than the box's release of Debian" >&2
        exit 1
    fi
done
