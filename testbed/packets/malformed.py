# SPDX-License-Identifier: Apache-2.0
"""Packets with a lie in them, and frames with a VLAN tag: what Linux does with each.

`ip_rcv_core()` drops before any netfilter hook what has another version than 4, a header shorter
than 20 bytes or longer than the packet, more bytes than the frame, or a wrong header checksum. An
XDP program sees all of these before. A tag is taken off by the NIC, or behind XDP
(`skb_vlan_untag()`); with a VLAN other than 0 that no device wants, the packet then counts as
another host's and `ip_rcv()` drops it. VLAN 0 is as if there were no tag.
"""

from dataclasses import replace

from testbed.packets.crafting import Crafting

VLAN, PROVIDER = 0x8100, 0x88A8
"""EtherTypes of tags: 802.1Q and 802.1ad."""
OTHER_KINDS = (0x0801, 0x86DD)
"""EtherTypes: one that differs from IPv4's in a bit, and IPv6's."""
MANY = 8
"""Packets that Linux drops whatever a hook did to them: only the hook's count betrays it.

So the three kinds that a sound hook may count, depending on its place, come 1, 2 and 4 times: the
count tells which of them it saw. And every kind that none must count comes more often than those
together: one such kind is enough for a count that is too high.
"""


def _lengths(crafting: Crafting) -> None:
    draws, group = crafting.draws, "udp-length"
    for length in (0, 4, 7, 73, 72 + 0x100, 72 + 0x8000, 0x4800, 65535):  # true: 72
        packet = draws.datagram(id=draws.number(), udp_bytes=length).packet()
        crafting.add(group, f"UDP says {length} bytes, IP 72", "local", packet)
    # What IP leaves out follows as the frame's padding: the whole datagram can still be seen.
    for length in (20, 24, 27, 28, 91):
        whole = draws.datagram(64, id=draws.number(), ip_bytes=length).packet()
        title = f"IP ends {length - 20} bytes into UDP's 72"
        crafting.add(group, title, "local", whole[:length], padding=whole[length:])


def _broken(crafting: Crafting) -> None:
    draws, group = crafting.draws, "broken"
    packet = draws.datagram(id=draws.number(), ip_bytes=93).packet()
    crafting.add(group, "IP one byte longer than the frame", "nowhere", packet, copies=MANY)
    packet = draws.datagram(200, id=draws.number()).packet()
    crafting.add(group, "frame ends inside of the UDP header", "nowhere", packet[:24])
    for length in (0, 19):
        packet = draws.datagram(id=draws.number(), ip_bytes=length).packet()
        crafting.add(group, f"IP {length} bytes long in all", "nowhere", packet)
    for words in (0, 2, 3):
        packet = draws.datagram(id=draws.number(), first_byte=4 << 4 | words).packet()
        crafting.add(group, f"IP header of {4 * words} bytes", "nowhere", packet)
    for words in (1, 4, 15):
        packet = draws.datagram(0, id=draws.number(), first_byte=4 << 4 | words).packet()
        title = f"IP header of {4 * words} bytes, IP of 28"
        crafting.add(group, title, "nowhere", packet, copies=MANY)
    for version in (0, 5, 6, 12):
        packet = draws.datagram(id=draws.number(), first_byte=version << 4 | 5).packet()
        crafting.add(group, f"IP version {version}", "nowhere", packet, copies=MANY)
    for kind in OTHER_KINDS:
        packet = draws.datagram(id=draws.number()).packet()
        crafting.add(group, f"EtherType 0x{kind:04x}", "nowhere", packet, kind=kind, copies=MANY)
    right = draws.datagram(id=draws.number())
    wrong = int.from_bytes(right.packet()[10:12], "big") ^ 0x0100
    packet = replace(right, ip_checksum=wrong).packet()
    crafting.add(group, "wrong IP checksum", "nowhere", packet, countable=True)


def _tagged(crafting: Crafting) -> None:
    draws = crafting.draws
    for copies, title, tags in (
        (2, "VLAN 5", ((VLAN, 5),)),
        (4, "802.1ad, VLAN 5", ((PROVIDER, 5),)),
        (MANY, "VLAN 6 in VLAN 5", ((VLAN, 5), (VLAN, 6))),
    ):
        packet = draws.datagram(id=draws.number()).packet()
        crafting.add("vlan", title, "nowhere", packet, tags=tags, countable=copies < MANY,
                     copies=copies)  # fmt: skip
    for priority in (0, 5):
        packet = draws.datagram(id=draws.number()).packet()
        crafting.add("priority", f"priority {priority}", "untagged", packet,
                     tags=((VLAN, priority << 13),))  # fmt: skip


MALFORMED = (_lengths, _broken, _tagged)
