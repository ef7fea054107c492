#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds one arm from its own sources and the shared ones, and from nothing else:
#
#     unshare --mount --pid --fork --kill-child --mount-proc sh build.sh NAME FOLDER UID LINE
#
# In mounts of its own, the account UID finds FOLDER as arms/NAME beside arms/include, and may
# write there and in empty places for temporary files alone. What LINE leaves running ends with it.
set -eu
name=$1 folder=$2 uid=$3 line=$4
guest=/opt/testbed/guest
umask 022
ulimit -f 131072 # blocks of 512 bytes: no file of a build has more than 64 MiB

mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p /mnt/arms/include "/mnt/arms/$name"
mount --bind "$guest/arms/include" /mnt/arms/include
mount --bind "$folder" "/mnt/arms/$name"
mount --move /mnt "$guest"
for place in /tmp /var/tmp /dev/shm /run/lock; do
	mount -t tmpfs -o mode=1777 tmpfs "$place"
done

cd "$guest/arms/$name"
exec env -i HOME=/tmp LC_ALL=C PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin \
	setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all --bounding-set=-all \
	--no-new-privs sh -c "$line"
