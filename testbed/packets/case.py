# SPDX-License-Identifier: Apache-2.0
"""One crafted packet, or a handful of fragments of one, and what must become of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Fate = Literal["rewritten", "forwarded", "local", "elsewhere", "untagged", "nowhere"]

FATES: Mapping[Fate, str] = {
    "rewritten": "comes out in the namespace with the reference rewrite",
    "forwarded": "comes out in the namespace unchanged, but for the TTL",
    "local": "reaches the server's own sockets unchanged",
    "elsewhere": "must not come out in the namespace; the server itself may see it, unchanged",
    "untagged": "as without its tag, or unchanged at the server, or nowhere: the NIC decides",
    "nowhere": "no network stack delivers it, and no hook may revive it",
}
MUST_COME_OUT: frozenset[Fate] = frozenset({"rewritten", "forwarded", "local"})
"""Fates of a packet that must come out: one that does not was lost."""

GROUPS: Mapping[str, str] = {
    "as-in-trials": "packets as the trials send them",
    "length-random": "payload 0…1472 bytes, random",
    "length-zeros": "payload 32…1472 bytes, zero tail",
    "no-checksum": "UDP checksum 0 (none)",
    "checksum-zero": "checksums that come out as 0",
    "checksum-wrong": "UDP checksum wrong, stays wrong",
    "header-fields": "TTL, DSCP, flags, source ports",
    "padding": "bytes after the UDP datagram",
    "other-address": "matching port, other address",
    "other-port": "other UDP port of the server",
    "tcp": "TCP to the matching port",
    "protocol": "other protocols, same bytes",
    "fragments": "UDP fragments",
    "options": "IP options",
    "udp-length": "UDP lengths that are not true",
    "broken": "broken IP packets",
    "vlan": "frame with a VLAN tag",
    "priority": "frame with a tag of VLAN 0",
}
"""Heading of each group of cases, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Case:
    """`number` names it in gate.json; on the wire it has no name (`analysis/gate/arrivals.py`).

    `payload_bytes` is the UDP payload's length where the group is a sweep over lengths.
    `frames` are whole Ethernet frames, more than one for fragments and where one is repeated.
    `countable`: a correct hook counts it, or may: it sees the frame before the stack drops it.
    """

    number: int
    group: str
    title: str
    fate: Fate
    payload_bytes: int | None
    frames: tuple[bytes, ...]
    countable: bool
