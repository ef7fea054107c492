# SPDX-License-Identifier: Apache-2.0
"""Packets that a hook must rewrite: the trials' own, every length, every checksum, every header."""

from dataclasses import replace

from testbed.packets.craft import DONT_FRAGMENT, Datagram
from testbed.packets.crafting import Crafting
from testbed.packets.drawing import LONGEST, SPECIAL, Draws
from testbed.packets.reference import redirected, routed

STRETCHES, STRETCH, SCATTERED = 2, 40, 40
"""Trials in little, sent in one piece, and packets of trials among the others."""
ZERO_HEAD = 24
"""Payloads with a zero tail begin with so many other bytes: a trial's header, or random ones."""
ZERO_LENGTHS, AROUND_512 = 40, range(500, 530)
RESERVED = 0x8000
"""The first of the three bits before the fragment offset: it means nothing, and Linux keeps it."""


def _trials(crafting: Crafting) -> None:
    draws = crafting.draws
    for number in range(1, STRETCHES + 1):
        for place, datagram in enumerate(draws.stretch(STRETCH)):
            title = f"trial {number}, datagram {place}"
            crafting.add("as-in-trials", title, "rewritten", datagram.packet())
    for number in range(SCATTERED):
        payload = draws.head() + draws.filler(draws.space.payload_bytes - ZERO_HEAD)
        id = 0 if draws.likely(0.3) else draws.number()
        datagram = draws.as_in_trial(draws.trial_port(), payload, id)
        crafting.add("as-in-trials", f"datagram {number} of any", "rewritten", datagram.packet())


def _lengths(crafting: Crafting) -> None:
    draws = crafting.draws
    for size in range(LONGEST + 1):
        packet = draws.datagram(size).packet()
        title = f"{size} bytes, random"
        crafting.add("length-random", title, "rewritten", packet, payload_bytes=size)
    others = [size for size in range(32, LONGEST) if size not in AROUND_512]
    for size in sorted([*draws.chance.sample(others, ZERO_LENGTHS), *AROUND_512, LONGEST]):
        head, _ = draws.payload(ZERO_HEAD)
        packet = draws.datagram(payload=head + bytes(size - ZERO_HEAD)).packet()
        title = f"{size} bytes, zeros after the first {ZERO_HEAD}"
        crafting.add("length-zeros", title, "rewritten", packet, payload_bytes=size)


def _checksums(crafting: Crafting) -> None:
    draws, network = crafting.draws, crafting.draws.network
    for size in dict.fromkeys((0, 1, 512, 600, LONGEST, draws.space.payload_bytes)):
        packet = draws.datagram(size, udp_checksum=0).packet()
        crafting.add("no-checksum", f"{size} bytes without a checksum", "rewritten", packet)
    for size in (2, 18, 600, LONGEST):
        plain = draws.datagram(size - 2)
        there = replace(plain, destination=network.target_address, port=network.target_port)
        packet = replace(plain, payload=_sums_to_zero(there)).packet()
        title = f"{size} bytes, UDP checksum 0 after the rewrite"
        crafting.add("checksum-zero", title, "rewritten", packet)
        plain = draws.datagram(size - 2)
        packet = replace(plain, payload=_sums_to_zero(plain)).packet()
        title = f"{size} bytes, UDP checksum 0 before the rewrite"
        crafting.add("checksum-zero", title, "rewritten", packet)
    for title, on_the_way in (("rewrite", False), ("last hop", True)):
        packet = _ip_checksum_zero(draws, on_the_way=on_the_way).packet()
        crafting.add("checksum-zero", f"IP checksum 0 after the {title}", "rewritten", packet)
    for size in (0, 4, 100, 1000, LONGEST):
        for damage in (1, 0x5555, 0xFFFE):
            plain = draws.datagram(size)
            wrong = (plain.right_udp_checksum() + damage - 1) % 0xFFFF + 1
            packet = replace(plain, udp_checksum=wrong).packet()
            title = f"{size} bytes, UDP checksum off by 0x{damage:04x}"
            crafting.add("checksum-wrong", title, "rewritten", packet)


def _sums_to_zero(datagram: Datagram) -> bytes:
    """Return the payload with two more bytes that make the UDP checksum come out as 0."""
    filler = replace(datagram, payload=datagram.payload + b"\0\0").right_udp_checksum()
    return datagram.payload + filler.to_bytes(2, "big")


def _ip_checksum_zero(draws: Draws, *, on_the_way: bool) -> Datagram:
    """Return a datagram whose IP checksum is 0 behind the hook, or behind the last hop.

    With an identification of 0 the checksum is the one that gives a checksum of 0. Another packet
    may have it already: then another header's turn comes.
    """
    while True:
        plain = draws.datagram(draws.chance.randrange(200), id=0)
        arriving = redirected(plain.packet(), draws.network)
        arriving = routed(arriving) if on_the_way else arriving
        number = int.from_bytes(arriving[10:12], "big")
        if draws.claim(number):
            return replace(plain, id=number)


def _headers(crafting: Crafting) -> None:
    draws, network = crafting.draws, crafting.draws.network
    for ttl in (2, 3, 128, 255):
        packet = draws.datagram(ttl=ttl).packet()
        crafting.add("header-fields", f"TTL {ttl}", "rewritten", packet)
    for tos in (0x01, 0x02, 0xB8, 0xFF):
        packet = draws.datagram(tos=tos).packet()
        crafting.add("header-fields", f"DSCP and ECN 0x{tos:02x}", "rewritten", packet)
    for title, flags in (("reserved bit", RESERVED), ("DF and reserved", RESERVED | DONT_FRAGMENT)):
        packet = draws.datagram(id=draws.number(), flags=flags).packet()
        crafting.add("header-fields", title, "rewritten", packet)
    for number in SPECIAL:
        packet = draws.datagram(id=number).packet()
        crafting.add("header-fields", f"identification {number}", "rewritten", packet)
    for port in dict.fromkeys((1, network.match_port, network.target_port, 20000, 65535)):
        packet = draws.datagram(source_port=port).packet()
        crafting.add("header-fields", f"source port {port}", "rewritten", packet)


def _padding(crafting: Crafting) -> None:
    draws = crafting.draws
    for size, more in ((0, 1), (5, 1), (10, 200), (600, 3), (24, 24)):
        packet = draws.datagram(size, after=draws.filler(more)).packet()
        title = f"{size} bytes, UDP ends {more} bytes before IP"
        crafting.add("padding", title, "rewritten", packet)
    for size in (0, 1, 17):
        packet = draws.datagram(size).packet()
        title = f"{size} bytes, padded to 60 bytes with other bytes than zeros"
        padding = b"\xa5" * (46 - len(packet))
        crafting.add("padding", title, "rewritten", packet, padding=padding)


MATCHING = (_trials, _checksums, _headers, _lengths, _padding)
