# SPDX-License-Identifier: Apache-2.0
"""One crafted packet, or a handful of fragments of one, and what must become of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Fate = Literal["rewritten", "forwarded", "local", "nowhere"]

FATES: Mapping[Fate, str] = {
    "rewritten": "comes out in the namespace with the reference rewrite",
    "forwarded": "comes out in the namespace unchanged, but for the TTL",
    "local": "reaches the server's own sockets unchanged",
    "nowhere": "no network stack delivers it, and no hook may revive it",
}

#: IP identification of the end markers; no case has it.
END_ID = 0xFFFF

GROUPS: Mapping[str, str] = {
    "length-random": "payload 0…1472 bytes, random",
    "length-zeros": "payload 32…1472 bytes, zero tail",
    "no-checksum": "UDP checksum 0 (none)",
    "checksum-zero": "checksums that come out as 0",
    "checksum-wrong": "UDP checksum wrong, stays wrong",
    "header-fields": "TTL, DSCP, DF, source ports",
    "padding": "bytes after the UDP datagram",
    "other-address": "matching port, other address",
    "other-port": "other UDP port of the server",
    "tcp": "TCP to the matching port",
    "fragments": "UDP fragments",
    "options": "IP options",
    "udp-length": "UDP lengths that are not true",
    "broken": "broken IP packets",
    "vlan": "frame with a VLAN tag",
}
"""Heading of each group of cases, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Case:
    """`id` is the IP identification, by which a packet is known again wherever it comes out.

    `payload_bytes` is the UDP payload's length where the group is a sweep over lengths.
    `frames` are whole Ethernet frames, more than one only for fragments.
    """

    id: int
    group: str
    title: str
    fate: Fate
    payload_bytes: int | None
    frames: tuple[bytes, ...]
