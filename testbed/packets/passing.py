# SPDX-License-Identifier: Apache-2.0
"""Packets that a hook must leave alone: for each field that it matches, one that differs there.

Wherever it can be, all else is as in a packet to rewrite: a hook which ignores the field, or looks
at some of its bits, takes this one too. Linux decides what must become of each: delivered packets
come to raw sockets (`raw_local_deliver()` is called before `udp_rcv()`), fragments in one piece.
"""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from dpkt.ip import IP_PROTO_TCP, IP_PROTO_UDP
from dpkt.tcp import TH_ACK, TH_PUSH, TH_SYN

from testbed.packets.case import Fate
from testbed.packets.craft import MORE_FRAGMENTS, Datagram, ip_packet, tcp
from testbed.packets.crafting import Crafting
from testbed.packets.drawing import Draws
from testbed.packets.malformed import MALFORMED

MANAGEMENT = IPv4Network("10.0.2.0/24")
"""The guests' other network (`guest/box/files`): nothing is sent there."""
PROTOCOLS = (*(IP_PROTO_UDP ^ 1 << bit for bit in range(8)), 136)
"""All that differ from UDP in one bit, ICMP among them, and UDP-Lite, which has its header."""
IN_A_FRAGMENT = 1480
NO_OPERATION = b"\x01"
ROUTER_ALERT = b"\x94\x04"
"""Type and length of the one IP option (RFC 2113) whose two bytes of value Linux lets be any."""


def _addresses(crafting: Crafting) -> None:
    draws, network = crafting.draws, crafting.draws.network
    for size in (0, 64, 1001):
        packet = draws.datagram(size, destination=network.target_address).packet()
        crafting.add("other-address", f"UDP, {size} bytes", "forwarded", packet)
    inner = IPv4Network(f"{network.gateway_address}/24", strict=False)
    for bit in range(32):
        address = IPv4Address(int(IPv4Address(network.server_address)) ^ 1 << bit)
        if address in inner or address in MANAGEMENT:
            continue
        packet = draws.datagram(destination=str(address)).packet()
        crafting.add("other-address", f"bit {bit} of the address", "elsewhere", packet)


def _ports(crafting: Crafting) -> None:
    draws, match = crafting.draws, crafting.draws.network.match_port
    for port in other_ports(match):
        packet = draws.datagram(draws.chance.choice((64, 24)), port=port).packet()
        crafting.add("other-port", f"port {port}", "local", packet)
    port = other_ports(match)[0]
    packet = draws.datagram(source_port=match, port=port).packet()
    crafting.add("other-port", f"port {port} from port {match}", "local", packet)


def other_ports(port: int) -> tuple[int, ...]:
    """Return that port with its bytes swapped, and those that differ from it in a single bit."""
    swapped = int.from_bytes(port.to_bytes(2, "little"), "big")
    near = [port ^ 1 << bit for bit in range(16)]
    return tuple(other for other in dict.fromkeys([swapped, *near]) if other not in (0, port))


def _protocols(crafting: Crafting) -> None:
    draws, network = crafting.draws, crafting.draws.network
    ways: tuple[tuple[str, str, Fate], ...] = (
        (network.target_address, "other-address", "forwarded"),
        (network.server_address, "tcp", "local"),
    )
    for address, group, fate in ways:
        for flags, payload in ((TH_SYN, b""), (TH_ACK | TH_PUSH, draws.filler(100))):
            segment = tcp(network.client_address, address, draws.source_port(), network.match_port,
                          flags, payload)  # fmt: skip
            packet = ip_packet(
                segment, id=draws.number(), source=network.client_address,
                destination=address, protocol=IP_PROTO_TCP,
            )  # fmt: skip
            title = f"TCP {'SYN' if flags == TH_SYN else 'data'}"
            crafting.add(group, title, fate, packet)
    for protocol in (IP_PROTO_TCP, *PROTOCOLS):
        packet = draws.datagram(draws.space.payload_bytes, protocol=protocol).packet()
        crafting.add("protocol", f"protocol {protocol}", "local", packet)


def _fragments(crafting: Crafting) -> None:
    draws, group = crafting.draws, "fragments"
    crafting.add(group, "two fragments", "local", *_whole(draws, 1400).fragments(800))
    crafting.add(group, "the last one first", "local", *_whole(draws, 1400).fragments(800)[::-1])
    crafting.add(group, "three fragments", "local", *_whole(draws, 1400).fragments(8, 408))
    # UDP's length is within the first one, which could be taken for a whole packet.
    whole = _whole(draws, 100, after=draws.filler(1300))
    crafting.add(group, "UDP ends in the first of two", "local", *whole.fragments(800))
    for eights in (1, 32):
        whole = _imitating(draws, 8 * eights, 300)
        title = f"the last one, from byte {8 * eights} on, imitates UDP"
        crafting.add(group, title, "local", *whole.fragments(8 * eights))
    title = "the middle one imitates UDP"
    crafting.add(group, title, "local", *_imitating(draws, 8, 200, 100).fragments(8, 208))
    long = _imitating(draws, 8192, 300)
    cuts = (*range(IN_A_FRAGMENT, 8192, IN_A_FRAGMENT), 8192)
    crafting.add(group, "the last one, from byte 8192 on, imitates UDP", "local",
                 *long.fragments(*cuts))  # fmt: skip
    # Odd identifications: what waits for the rest in the server's queue is no whole packet's part.
    for flags, title in [
        *((1 << bit, f"a last one alone, from byte {8 << bit} on") for bit in range(13)),
        (MORE_FRAGMENTS | 1, "a middle one alone, from byte 8 on"),
    ]:
        packet = draws.datagram(64, id=draws.number(parity=1), flags=flags).packet()
        crafting.add(group, title, "nowhere", packet)


def _whole(draws: Draws, size: int, **fixed: Any) -> Datagram:
    return draws.datagram(size, id=draws.number(parity=0), flags=0, **fixed)


def _imitating(draws: Draws, place: int, size: int, more: int = 0) -> Datagram:
    """Return a datagram whose bytes from `place` on are `size` bytes of UDP to the matching port.

    `more` bytes follow. `place` counts from the UDP header on.
    """
    inside = draws.datagram(size - 8, id=1).udp()
    payload = draws.filler(min(place - 8, 4096)) + draws.filler(max(0, place - 8 - 4096))
    return _whole(draws, 0, payload=payload + inside + draws.filler(more))


def _options(crafting: Crafting) -> None:
    draws, group = crafting.draws, "options"
    for size in (4, 40):
        packet = draws.datagram(id=draws.number(), options=NO_OPERATION * size).packet()
        crafting.add(group, f"{size} bytes of no-operation", "local", packet)
    match = draws.network.match_port
    other = other_ports(match)[0]
    # Where UDP's header were without options: source port, matching port, length, checksum.
    imitation = ROUTER_ALERT + match.to_bytes(2, "big") + NO_OPERATION * 4
    for words in range(6, 16):
        options = (imitation + NO_OPERATION * 40)[: 4 * (words - 5)]
        # In 24 bytes of header the length's place is that of the source port.
        source = {"source_port": 200} if words == 6 else {}
        packet = draws.datagram(400, id=draws.number(), options=options, port=other,
                                **source).packet()  # fmt: skip
        crafting.add(group, f"{4 * words} bytes of header imitate UDP", "local", packet)


PASSING = (_addresses, _ports, _protocols, _fragments, _options, *MALFORMED)
