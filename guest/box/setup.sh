#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs once inside the box's tree while it is built (mmdebstrap's customize hook).
#   setup.sh TREE
set -eu
tree=$1

chroot "$tree" useradd --create-home --shell /bin/bash --password '*' vagrant
for home in root home/vagrant; do
    install -d -m 0700 "$tree/$home/.ssh"
    install -m 0600 "$tree/root/authorized_keys" "$tree/$home/.ssh/authorized_keys"
done
chroot "$tree" chown -R vagrant:vagrant /home/vagrant
rm "$tree/root/authorized_keys"
chmod 0440 "$tree/etc/sudoers.d/vagrant"

rm -f "$tree"/etc/ssh/ssh_host_*
echo testbed > "$tree/etc/hostname"
: > "$tree/etc/machine-id"
rm -f "$tree/etc/resolv.conf"

# Timers and services that would wake up in mid-trial, or that only slow the boot.
chroot "$tree" systemctl --quiet enable systemd-networkd qemu-guest-agent ssh
chroot "$tree" systemctl --quiet disable systemd-timesyncd systemd-resolved 2>/dev/null || true
chroot "$tree" systemctl --quiet mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer man-db.timer \
    sysstat.service sysstat-collect.timer sysstat-summary.timer \
    systemd-networkd-wait-online.service systemd-pstore.service \
    getty@tty1.service getty.target console-setup.service keyboard-setup.service \
    systemd-random-seed.service nftables.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    systemd-journal-flush.service systemd-sysusers.service systemd-network-generator.service \
    systemd-machine-id-commit.service systemd-ask-password-console.path \
    systemd-ask-password-wall.path dev-hugepages.mount dev-mqueue.mount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount modprobe@configfs.service \
    modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
    modprobe@fuse.service modprobe@loop.service

# The project's own arms, built here by the same compiler and headers as in a guest, at the same
# path. One that does not build is left to the guest, which tells why.
kernel=$(basename "$(readlink -f "$tree"/lib/modules/*)")
made="$tree/opt/testbed/made/$kernel"
install -d "$made"
while read -r name stamp line; do
    folder=/opt/testbed/guest/arms/$name
    # shellcheck disable=SC2016  # for the shell inside
    if chroot "$tree" env -i HOME=/tmp LC_ALL=C PATH=/usr/bin:/bin:/usr/sbin:/sbin \
        KERNEL="/lib/modules/$kernel/build" sh -c 'cd "$1" && eval "$2"' sh "$folder" "$line" >&2
    then
        mv "$tree$folder" "$made/$stamp"
    fi
done < "$tree/opt/testbed/arms.txt"
rm -r "$tree/opt/testbed/guest" "$tree/opt/testbed/arms.txt"

install -d "$tree/usr/share/testbed"
# shellcheck disable=SC2016  # dpkg-query's own variables
chroot "$tree" dpkg-query -W -f '${Package} ${Version}\n' > "$tree/usr/share/testbed/packages.txt"
