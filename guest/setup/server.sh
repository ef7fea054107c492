#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The server's side of the experiment: its address on the link, and behind it a
# namespace that only the forwarding path reaches. Safe to run again.
#
#   server.sh ADDRESS/PREFIX GATEWAY TARGET NAMESPACE
set -eu
nic=lab0 # the box names it: box/files/etc/systemd/network/20-lab0.link
address=$1 gateway=$2 target=$3 namespace=$4

printf '[Match]\nName=%s\n[Network]\nAddress=%s\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
    "$nic" "$address" > "/etc/systemd/network/20-$nic.network"

[ -e "/run/netns/$namespace" ] || ip netns add "$namespace"
if ! ip -n "$namespace" link show sslab-app > /dev/null 2>&1; then
    ip link delete sslab-host 2> /dev/null || true # its other end was in another namespace
    ip link add sslab-host type veth peer name sslab-app netns "$namespace"
fi
# In batches: under emulation each start of a program takes as long as all of their lines.
ip -4 -batch - << OUTSIDE
link set $nic up
address flush dev $nic
address add $address dev $nic
address flush dev sslab-host
address add $gateway/24 dev sslab-host
link set sslab-host up
OUTSIDE
ip -4 -n "$namespace" -batch - << INSIDE
link set lo up
address flush dev sslab-app
address add $target/24 dev sslab-app
link set sslab-app up
route replace default via $gateway
INSIDE

# A virtual CPU may stand still for tens of milliseconds while the host does something
# else. The default ring holds 25 ms of traffic, this one 400 ms: such a stall delays
# packets, the same for every arm, where it would lose them. The same for the queues behind.
ethtool -G $nic rx 4096 2> /dev/null || true
# On unless a run switches it off; one that was killed could not switch it on again.
ethtool -K $nic gro on
sysctl -qw net.core.netdev_max_backlog=16384 net.core.rmem_max=33554432 \
    net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.$nic.rp_filter=0

# Last: a machine with this name is set up. It is gone when the machine starts again.
echo server > /proc/sys/kernel/hostname
