#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The client's side of the experiment: its address on the link and the way to the
# namespace behind the server. Safe to run again.
#
#   client.sh ADDRESS/PREFIX SERVER TARGET
set -eu
address=$1 server=$2 target=$3

printf '[Match]\nName=lab0\n[Network]\nAddress=%s\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
    "$address" > /etc/systemd/network/20-lab0.network
ip -4 -batch - << LINK
link set lab0 up
address flush dev lab0
address add $address dev lab0
route replace $target/32 via $server
LINK

# Last: a machine with this name is set up. It is gone when the machine starts again.
echo client > /proc/sys/kernel/hostname
