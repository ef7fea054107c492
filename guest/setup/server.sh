#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The server's side of the experiment: its address on the link, and behind it a
# namespace that only the forwarding path reaches. Safe to run again.
#
#   server.sh ADDRESS/PREFIX GATEWAY TARGET NAMESPACE
set -eu
address=$1 gateway=$2 target=$3 namespace=$4

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

# A virtual CPU may stand still for tens of milliseconds while the host does something
# else. The default ring holds 25 ms of traffic, this one 400 ms: such a stall delays
# packets, the same for every arm, where it would lose them. The same for the queues behind.
ethtool -G lab0 rx 4096 2> /dev/null || true
sysctl -qw net.core.netdev_max_backlog=16384 net.core.rmem_max=33554432

ip netns list | grep -qw "$namespace" || ip netns add "$namespace"
if ! ip -n "$namespace" link show sslab-app > /dev/null 2>&1; then
    ip link delete sslab-host 2> /dev/null || true # its other end was in another namespace
    ip link add sslab-host type veth peer name sslab-app netns "$namespace"
fi
ip -4 -o address show dev sslab-host | grep -q " $gateway/24 " || ip -4 address flush dev sslab-host
ip address replace "$gateway/24" dev sslab-host
ip link set sslab-host up
ip -n "$namespace" link set lo up
ip -n "$namespace" address replace "$target/24" dev sslab-app
ip -n "$namespace" link set sslab-app up
ip -n "$namespace" route replace default via "$gateway"

sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.lab0.rp_filter=0

# Last: a machine with this name is set up. It is gone when the machine starts again.
echo server > /proc/sys/kernel/hostname
