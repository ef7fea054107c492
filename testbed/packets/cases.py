# SPDX-License-Identifier: Apache-2.0
"""Every case of the gate, crafted for one network.

What must become of each is what Linux does with it. A whole packet with a lie in its UDP header is
delivered to raw sockets (`raw_local_deliver()` comes before `udp_rcv()`); one that is longer than
its frame, or has a wrong IP checksum, is dropped before any netfilter hook (`ip_rcv_core()`), and
one with a VLAN tag that no device wants as another host's. Fragments arrive there in one piece.
"""

import random
from dataclasses import dataclass, field, replace

from dpkt.ip import IP_PROTO_TCP
from dpkt.tcp import TH_ACK, TH_PUSH, TH_SYN

from testbed.model.config import NetworkConfig
from testbed.packets.case import END_ID, Case, Fate
from testbed.packets.craft import DONT_FRAGMENT, Datagram, Wire, ip_packet, tcp
from testbed.packets.reference import identification, redirected, redirected_frame, routed

LONGEST = 1472
"""Payload bytes of UDP that a frame of 1,500 bytes holds."""
BLOCK = random.Random(1624).randbytes(LONGEST)
"""What payloads begin with: the same bytes in each, so that files of them compress well."""
RANDOM_HEAD = 16
ZERO_TAILS = (*range(32, 65), *range(81, 500, 17), *range(500, 530), *range(547, 1460, 31),
              *range(1465, LONGEST + 1))  # fmt: skip
NO_OPERATION = b"\x01"


def cases_for(
    network: NetworkConfig, client_mac: str, server_mac: str, *, direct: bool
) -> tuple[Case, ...]:
    """Return all cases; with `direct` those to rewrite go to the target already.

    Ids and what must come out are the same for both, so that all arms can be held against one
    another, the one without a hook too.
    """
    crafting = _Crafting(network, Wire(client_mac, server_mac))
    for add in (_lengths, _checksums, _headers, _other_traffic, _fragments, _malformed, _broken):
        add(crafting)
    return tuple(_to_target(case, network) if direct else case for case in crafting.cases)


def end_markers(network: NetworkConfig, client_mac: str, server_mac: str) -> tuple[bytes, bytes]:
    """Return the frames that end a capture: one for the namespace, one for the server itself."""
    crafting = _Crafting(network, Wire(client_mac, server_mac))
    inner = replace(
        crafting.datagram, id=END_ID, destination=network.target_address, port=network.target_port
    )
    local = replace(crafting.datagram, id=END_ID, port=crafting.other_ports[0])
    return crafting.wire.frame(inner.packet()), crafting.wire.frame(local.packet())


@dataclass
class _Crafting:
    """Cases so far; each gets the next id, unless it needs a certain one."""

    network: NetworkConfig
    wire: Wire
    cases: list[Case] = field(default_factory=list)

    @property
    def datagram(self) -> Datagram:
        """What a hook must match, with the next id."""
        return Datagram(
            id=len(self.cases) + 1,
            source=self.network.client_address,
            destination=self.network.server_address,
            port=self.network.match_port,
            payload=BLOCK[:64],
        )

    @property
    def other_ports(self) -> tuple[int, ...]:
        """Ports of the server beside the one to match, and that one with its bytes swapped."""
        port = self.network.match_port
        swapped = int.from_bytes(port.to_bytes(2, "little"), "big")
        found = ((port + step) % 65536 or 1 for step in (1, -1, 256))
        return tuple(other for other in (*found, swapped or 1) if other != port)

    def add(self, group: str, title: str, fate: Fate, *packets: bytes, padding: bytes = b"",
            payload_bytes: int | None = None, vlan: int | None = None) -> None:  # fmt: skip
        """Add a case."""
        frames = tuple(self.wire.frame(p, padding=padding, vlan=vlan) for p in packets)
        number = identification(packets[0])
        self.cases.append(Case(number, group, title, fate, payload_bytes, frames))


def _to_target(case: Case, network: NetworkConfig) -> Case:
    if case.fate != "rewritten":
        return case
    return replace(case, frames=tuple(redirected_frame(frame, network) for frame in case.frames))


def _lengths(crafting: _Crafting) -> None:
    for size in range(LONGEST + 1):
        packet = replace(crafting.datagram, payload=BLOCK[:size]).packet()
        title = f"{size} bytes, random"
        crafting.add("length-random", title, "rewritten", packet, payload_bytes=size)
    for size in ZERO_TAILS:
        payload = BLOCK[:RANDOM_HEAD] + bytes(size - RANDOM_HEAD)
        packet = replace(crafting.datagram, payload=payload).packet()
        title = f"{size} bytes, zeros after the first {RANDOM_HEAD}"
        crafting.add("length-zeros", title, "rewritten", packet, payload_bytes=size)


def _checksums(crafting: _Crafting) -> None:
    network = crafting.network
    for size in (0, 1, 512, 600, LONGEST):
        packet = replace(crafting.datagram, payload=BLOCK[:size], udp_checksum=0).packet()
        crafting.add("no-checksum", f"{size} bytes without a checksum", "rewritten", packet)
    for size in (2, 18, 600, LONGEST):
        plain = replace(crafting.datagram, payload=BLOCK[: size - 2])
        there = replace(plain, destination=network.target_address, port=network.target_port)
        packet = replace(plain, payload=_sums_to_zero(there)).packet()
        title = f"{size} bytes, UDP checksum 0 after the rewrite"
        crafting.add("checksum-zero", title, "rewritten", packet)
        plain = replace(plain, id=crafting.datagram.id)
        packet = replace(plain, payload=_sums_to_zero(plain)).packet()
        title = f"{size} bytes, UDP checksum 0 before the rewrite"
        crafting.add("checksum-zero", title, "rewritten", packet)
    for title, on_the_way in (("rewrite", False), ("last hop", True)):
        # With an identification of 0 the checksum is the one that gives a checksum of 0.
        arriving = redirected(replace(crafting.datagram, id=0).packet(), network)
        arriving = routed(arriving) if on_the_way else arriving
        special = replace(crafting.datagram, id=int.from_bytes(arriving[10:12], "big"))
        crafting.add("checksum-zero", f"IP checksum 0 after the {title}", "rewritten",
                     special.packet())  # fmt: skip
    for size in (0, 4, 100, 1000, LONGEST):
        for damage in (1, 0x5555, 0xFFFE):
            plain = replace(crafting.datagram, payload=BLOCK[:size])
            wrong = (plain.right_udp_checksum() + damage - 1) % 0xFFFF + 1
            packet = replace(plain, udp_checksum=wrong).packet()
            title = f"{size} bytes, UDP checksum off by 0x{damage:04x}"
            crafting.add("checksum-wrong", title, "rewritten", packet)


def _sums_to_zero(datagram: Datagram) -> bytes:
    """Return the payload with two more bytes that make the UDP checksum come out as 0."""
    filler = replace(datagram, payload=datagram.payload + b"\0\0").right_udp_checksum()
    return datagram.payload + filler.to_bytes(2, "big")


def _headers(crafting: _Crafting) -> None:
    for ttl in (2, 64, 255):
        packet = replace(crafting.datagram, ttl=ttl).packet()
        crafting.add("header-fields", f"TTL {ttl}", "rewritten", packet)
    for tos in (0x02, 0xB8, 0xFF):
        packet = replace(crafting.datagram, tos=tos).packet()
        crafting.add("header-fields", f"DSCP and ECN 0x{tos:02x}", "rewritten", packet)
    packet = replace(crafting.datagram, flags=DONT_FRAGMENT).packet()
    crafting.add("header-fields", "DF bit", "rewritten", packet)
    for port in (1, crafting.network.match_port, crafting.network.target_port, 65535):
        packet = replace(crafting.datagram, source_port=port).packet()
        crafting.add("header-fields", f"source port {port}", "rewritten", packet)
    for size, more in ((0, 1), (5, 1), (10, 200), (600, 3)):
        packet = replace(crafting.datagram, payload=BLOCK[:size], after=BLOCK[-more:]).packet()
        crafting.add("padding", f"UDP ends {more} bytes before IP", "rewritten", packet)
    for size in (0, 1, 17):
        packet = replace(crafting.datagram, payload=BLOCK[:size]).packet()
        title = f"{size} bytes, padded to 60 bytes with other bytes than zeros"
        padding = b"\xa5" * (46 - len(packet))
        crafting.add("padding", title, "rewritten", packet, padding=padding)


def _other_traffic(crafting: _Crafting) -> None:
    network = crafting.network
    for size in (0, 64, 1001):
        packet = replace(
            crafting.datagram, destination=network.target_address, payload=BLOCK[:size]
        ).packet()
        crafting.add("other-address", f"UDP, {size} bytes", "forwarded", packet)
    ways: tuple[tuple[str, str, Fate], ...] = (
        (network.target_address, "other-address", "forwarded"),
        (network.server_address, "tcp", "local"),
    )
    for address, group, fate in ways:
        for flags, payload in ((TH_SYN, b""), (TH_ACK | TH_PUSH, BLOCK[:100])):
            segment = tcp(network.client_address, address, network.match_port, flags, payload)
            packet = ip_packet(
                segment, id=crafting.datagram.id, source=network.client_address,
                destination=address, protocol=IP_PROTO_TCP,
            )  # fmt: skip
            title = f"TCP {'SYN' if flags == TH_SYN else 'data'}"
            crafting.add(group, title, fate, packet)
    for port in crafting.other_ports:
        packet = replace(crafting.datagram, port=port).packet()
        crafting.add("other-port", f"port {port}", "local", packet)


def _fragments(crafting: _Crafting) -> None:
    whole = replace(crafting.datagram, payload=BLOCK[:1400])
    crafting.add("fragments", "two fragments", "local", *whole.fragments(800))
    whole = replace(whole, id=crafting.datagram.id)
    crafting.add("fragments", "the last one first", "local", *whole.fragments(800)[::-1])
    whole = replace(whole, id=crafting.datagram.id)
    crafting.add("fragments", "three fragments", "local", *whole.fragments(8, 408))


def _malformed(crafting: _Crafting) -> None:
    for size in (4, 40):
        packet = replace(crafting.datagram, options=NO_OPERATION * size).packet()
        crafting.add("options", f"{size} bytes of no-operation", "local", packet)
    for length in (0, 7, 73, 65535):  # true: 72
        packet = replace(crafting.datagram, udp_bytes=length).packet()
        crafting.add("udp-length", f"UDP says {length} bytes, IP 72", "local", packet)
    # What IP leaves out follows as the frame's padding: the whole datagram can still be seen.
    for length in (20, 24, 27):
        whole = replace(crafting.datagram, payload=BLOCK[:64], ip_bytes=length).packet()
        title = f"IP ends {length - 20} bytes into the UDP header"
        crafting.add("udp-length", title, "local", whole[:length], padding=whole[length:])


def _broken(crafting: _Crafting) -> None:
    packet = replace(crafting.datagram, ip_bytes=20 + 8 + 65).packet()
    crafting.add("broken", "IP one byte longer than the frame", "nowhere", packet)
    packet = replace(crafting.datagram, payload=BLOCK[:200]).packet()
    crafting.add("broken", "frame ends inside of the UDP header", "nowhere", packet[:24])
    right = crafting.datagram.packet()
    wrong = (int.from_bytes(right[10:12], "big") ^ 0x0100) & 0xFFFF
    packet = replace(crafting.datagram, ip_checksum=wrong).packet()
    crafting.add("broken", "wrong IP checksum", "nowhere", packet)
    packet = crafting.datagram.packet()
    crafting.add("broken", "IP version 6 in an IPv4 header", "nowhere", b"\x65" + packet[1:])
    crafting.add("vlan", "VLAN 5", "nowhere", crafting.datagram.packet(), vlan=5)
