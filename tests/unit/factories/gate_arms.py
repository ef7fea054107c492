# SPDX-License-Identifier: Apache-2.0
"""Arms in plain Python, good and bad; `gate_stack` puts them in front of a network stack.

An arm gets a packet from the IP header on, and what follows it in the frame; it returns the
packet, or None for one that it drops, or a list of them.
"""

from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address

from testbed.lab.gate.frames import FrameSet, frame_set
from testbed.model.config import BenchConfig, NetworkConfig
from testbed.packets import reference
from testbed.packets.drawing import TrialSpace
from testbed.packets.reference import (
    ones_complement_sum,
    updated,
)

# Every arm gets the same packets, and two hundred are tried.
redirected = cache(reference.redirected)
with_ip_checksum = cache(reference.with_ip_checksum)

NETWORK = NetworkConfig()
SERVER = IPv4Address(NETWORK.server_address).packed
TARGET = IPv4Address(NETWORK.target_address).packed
SPACE = TrialSpace.of(BenchConfig())
SEED = 20261128
Arm = Callable[[bytes], bytes | list[bytes] | None]


def sent(*, direct: bool = False, network: NetworkConfig = NETWORK, seed: int = SEED) -> FrameSet:
    """The packets that the gate sends."""
    return frame_set(network, SPACE, seed, direct)


def number(packet: bytes, place: int) -> int:
    return int.from_bytes(packet[place : place + 2], "big")


def matches(packet: bytes, *, address: bytes = SERVER, fragments: bool = False) -> bool:
    """The match of rewrite.h, in words of Python."""
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


@cache
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
