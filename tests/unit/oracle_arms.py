# SPDX-License-Identifier: Apache-2.0
"""Arms in plain Python, good and bad, in front of what a network stack does with a packet.

An arm gets a packet from the IP header on, and what follows it in the frame; it returns the
packet. `gate` leaves a run directory as the gate on real machines does.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from testbed.model.config import NetworkConfig
from testbed.packets import capture
from testbed.packets.case import Case
from testbed.packets.reference import (
    identification,
    ip_checksum_valid,
    ones_complement_sum,
    reassembled,
    redirected,
    routed,
    tag_bytes,
    updated,
    with_ip_checksum,
)

NETWORK = NetworkConfig()
SERVER = IPv4Address(NETWORK.server_address).packed
TARGET = IPv4Address(NETWORK.target_address).packed
Arm = Callable[[bytes], bytes]


def number(packet: bytes, place: int) -> int:
    return int.from_bytes(packet[place : place + 2], "big")


def matches(packet: bytes, *, address: bytes = SERVER, fragments: bool = False) -> bool:
    """What rewrite.h matches, in words of Python."""
    whole = number(packet, 6) & 0x3FFF == 0
    first = number(packet, 6) & 0x1FFF == 0
    return (
        packet[0] == 0x45
        and packet[9] == 17
        and packet[16:20] == address
        and number(packet, 22) == NETWORK.match_port
        and (whole or (fragments and first))
        and number(packet, 2) <= len(packet)
        and (fragments or 8 <= number(packet, 24) <= number(packet, 2) - 20)
    )


def moved_on(packet: bytes) -> bytes:
    """Redirected, with the IP checksum updated: a wrong one stays wrong."""
    check = updated(number(packet, 10), packet[16:20], TARGET)
    moved = redirected(packet, NETWORK)
    return moved[:10] + check.to_bytes(2, "big") + moved[12:]


def correct(packet: bytes) -> bytes:
    return moved_on(packet) if matches(packet) else packet


def bounded_checksum(packet: bytes) -> bytes:
    """As xdp-bounded-csum: both checksums anew, UDP's over the first 256 words of payload."""
    if not matches(packet):
        return packet
    moved = redirected(packet, NETWORK)
    size = number(moved, 24) - 8
    payload = moved[28 : 28 + min(size, 512)]
    if size - 512 == 1:
        payload += moved[540:541]
    pseudo = moved[12:20] + b"\0\x11" + moved[24:26]
    total = ones_complement_sum(pseudo + moved[20:26] + b"\0\0" + payload)
    check = (~total & 0xFFFF) or 0xFFFF
    return with_ip_checksum(moved[:26] + check.to_bytes(2, "big") + moved[28:])


def without_checksum(packet: bytes) -> bytes:
    moved = correct(packet)
    return packet if moved == packet else moved[:26] + b"\0\0" + moved[28:]


def any_address(packet: bytes) -> bytes:
    return moved_on(packet) if matches(packet, address=packet[16:20]) else packet


def fragments_too(packet: bytes) -> bytes:
    return moved_on(packet) if matches(packet, fragments=True) else packet


def nothing(packet: bytes) -> bytes:
    """A hook that is not there."""
    return packet


def wrong_ip_checksum(packet: bytes) -> bytes:
    """Wrong by as much as only the last hop shows: a real stack would drop it before."""
    moved = correct(packet)
    return packet if moved == packet else moved[:10] + b"\x12\x34" + moved[12:]


@dataclass
class Stack:
    """What the server does with a packet after the hook."""

    arm: Arm
    checks: bool = True  # a hook behind ip_rcv() can forward what it has damaged
    hits: int = 0
    namespace: list[bytes] = field(default_factory=list)
    root: list[bytes] = field(default_factory=list)
    pieces: dict[int, list[bytes]] = field(default_factory=dict)

    def receive(self, frame: bytes) -> None:
        if tag_bytes(frame):
            return
        seen = frame[14:].ljust(46, b"\0")
        packet = self.arm(seen)
        self.hits += packet != seen
        if packet[0] >> 4 != 4 or number(packet, 2) > len(packet):
            return
        packet = packet[: number(packet, 2)]
        if self.checks and not ip_checksum_valid(packet):
            return
        if packet[16:20] == TARGET:
            way_on = routed(packet)
            self.namespace.append(way_on if self.checks else way_on[:10] + packet[10:12]
                                  + way_on[12:])  # fmt: skip
        elif packet[16:20] == SERVER:
            self._local(packet)

    def _local(self, packet: bytes) -> None:
        if number(packet, 6) & 0x3FFF == 0:
            self.root.append(packet)
            return
        pieces = self.pieces.setdefault(identification(packet), [])
        pieces.append(packet)
        lengths = {(number(p, 6) & 0x1FFF) * 8: len(p) - 20 for p in pieces}
        last = next((p for p in pieces if not number(p, 6) & 0x2000), None)
        end = 0
        while end in lengths:
            end += lengths[end]
        if last is not None and end == (number(last, 6) & 0x1FFF) * 8 + len(last) - 20:
            self.root.append(reassembled(pieces))


def gate(
    path: Path, name: str, cases: Sequence[Case], arm: Arm, *, direct: bool = False,
    lost: frozenset[int] = frozenset(), rounds: int = 1, ended: bool = True, more_hits: int = 0,
    checks: bool = True,
) -> Stack:  # fmt: skip
    """Send all cases once through an arm and leave the files; of `lost` nothing arrives."""
    stack = Stack(arm, checks)
    for case in cases:
        for frame in case.frames if case.id not in lost else ():
            stack.receive(frame)
    folder = path / "oracle" / name
    folder.mkdir(parents=True)
    frames = [frame for case in cases for frame in case.frames]
    (folder / "sent.pcap.gz").write_bytes(capture.write(frames, capture.ETHERNET))
    for place in ("namespace", "root"):
        content = capture.write(getattr(stack, place), capture.RAW_IP)
        (folder / f"{place}.pcap.gz").write_bytes(content)
    first = {
        "cases": len(cases),
        "rewritten": sum(case.fate == "rewritten" for case in cases),
        "nowhere": sum(case.fate == "nowhere" for case in cases),
        "ended": ended,
    }
    again = {**first, "rewritten": len(lost)}
    record: dict[str, Any] = {
        "schema": 1, "arm": name, "direct": direct, "network": NETWORK.model_dump(mode="json"),
        "hits_before": None if direct else [5, 0],
        "hits_after": None if direct else [5 + stack.hits + more_hits, 0], "verify": {},
        "rounds": [first, *[again] * (rounds - 1)], "took_s": 4.5,
        "cases": [{key: getattr(case, key) for key in
                   ("id", "group", "title", "fate", "payload_bytes")} for case in cases],
    }  # fmt: skip
    (folder / "oracle.json").write_text(json.dumps(record))
    return stack
