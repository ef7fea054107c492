#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The client's side of the experiment: its address on the link and the way to the
# namespace behind the server. Safe to run again.
#
#   client.sh ADDRESS/PREFIX SERVER TARGET
set -eu
address=$1 server=$2 target=$3

cat > /etc/systemd/network/20-lab0.network <<NETWORK
[Match]
Name=lab0
[Network]
Address=$address
LinkLocalAddressing=no
IPv6AcceptRA=no
NETWORK
ip link set lab0 up
ip -4 address flush dev lab0
ip address add "$address" dev lab0
ip route replace "$target/32" via "$server"

# Last: a machine with this name is set up. It is gone when the machine starts again.
echo client > /proc/sys/kernel/hostname
