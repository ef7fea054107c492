#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The client's side of the experiment: its address on the link and the way to the
# namespace behind the server. Safe to run again.
#
#   client.sh ADDRESS/PREFIX SERVER TARGET
set -eu
nic=lab0 # the box names it: box/files/etc/systemd/network/20-lab0.link
address=$1 server=$2 target=$3

printf '[Match]\nName=%s\n[Network]\nAddress=%s\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
    "$nic" "$address" > "/etc/systemd/network/20-$nic.network"
ip -4 -batch - << LINK
link set $nic up
address flush dev $nic
address add $address dev $nic
route replace $target/32 via $server
LINK

# Last: a machine with this name is set up. It is gone when the machine starts again.
echo client > /proc/sys/kernel/hostname
