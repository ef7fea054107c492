# SPDX-License-Identifier: Apache-2.0
"""A correct rewrite in plain Python: the gate's measure, independent of every arm.

The UDP checksum is updated (RFC 1624, equation 3), so that a damaged one stays damaged in the same
way. The IP checksum is computed anew (RFC 1071), since no packet with a wrong one is forwarded.
"""

import struct
from collections.abc import Sequence
from functools import cache, lru_cache
from ipaddress import IPv4Address

from testbed.model.config import NetworkConfig
from testbed.packets.case import Case

ETHERNET_BYTES, TAG_BYTES = 14, 4
TAGS = (b"\x81\x00", b"\x88\xa8")
UDP = 17


def tag_bytes(frame: bytes) -> int:
    """Return 4 for each VLAN tag that a frame has."""
    found = 0
    while frame[12 + found : 14 + found] in TAGS:
        found += TAG_BYTES
    return found


def packet_of(frame: bytes) -> bytes:
    """Return the IP packet in a frame, without what the frame has behind it."""
    packet = frame[ETHERNET_BYTES + tag_bytes(frame) :]
    return packet[: int.from_bytes(packet[2:4], "big")]


def identification(packet: bytes) -> int:
    """Return the identification of an IP packet."""
    return int.from_bytes(packet[4:6], "big")


def ones_complement_sum(data: bytes) -> int:
    """Return the sum of RFC 1071; an odd byte counts as if a zero followed."""
    even = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(even) // 2}H", even))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def updated(check: int, old: bytes, new: bytes) -> int:
    """Return a checksum after `old` became `new`: HC' = ~(~HC + ~m + m') (RFC 1624)."""
    minus = bytes(~byte & 0xFF for byte in old)
    total = (~check & 0xFFFF) + ones_complement_sum(minus) + ones_complement_sum(new)
    return ~ones_complement_sum(total.to_bytes(4, "big")) & 0xFFFF


def with_ip_checksum(packet: bytes) -> bytes:
    """Return the packet with the checksum of its header computed anew."""
    length = header_bytes(packet)
    blank = packet[:10] + b"\0\0" + packet[12:length]
    check = ~ones_complement_sum(blank) & 0xFFFF
    return blank[:10] + check.to_bytes(2, "big") + blank[12:] + packet[length:]


def header_bytes(packet: bytes) -> int:
    """Return the length of the IP header, in bytes."""
    return 4 * (packet[0] & 0x0F)


@cache
def packed(address: str) -> bytes:
    """Return an IPv4 address as four bytes."""
    return IPv4Address(address).packed


def redirected(packet: bytes, network: NetworkConfig) -> bytes:
    """Return a packet without IP options as it goes on to the target; its TTL is still the same."""
    target = packed(network.target_address)
    port = network.target_port.to_bytes(2, "big")
    check = int.from_bytes(packet[26:28], "big")
    if check:  # 0 says that there is none (RFC 768)
        old, new = packet[16:20] + packet[22:24], target + port
        check = updated(check, old, new) or 0xFFFF
    udp = packet[20:22] + port + packet[24:26] + check.to_bytes(2, "big") + packet[28:]
    return with_ip_checksum(packet[:16] + target + udp)


def redirected_frame(frame: bytes, network: NetworkConfig) -> bytes:
    """Return the frame that a client would send to the target itself."""
    packet, start = packet_of(frame), ETHERNET_BYTES + tag_bytes(frame)
    behind = frame[start + len(packet) :]
    return frame[:start] + redirected(packet, network) + behind


def routed(packet: bytes) -> bytes:
    """Return a packet as a router sends it on."""
    return with_ip_checksum(packet[:8] + bytes((packet[8] - 1,)) + packet[9:])


def reassembled(packets: Sequence[bytes]) -> bytes:
    """Return the packet whose fragments these are, as Linux hands it to a raw socket.

    The first fragment's header, with the whole length and without flags and offset.
    """
    if len(packets) == 1:
        return packets[0]
    parts = sorted((int.from_bytes(p[6:8], "big") & 0x1FFF, p) for p in packets)
    head = parts[0][1][:20]
    data = b"".join(packet[20:] for _, packet in parts)
    length = (20 + len(data)).to_bytes(2, "big")
    return with_ip_checksum(head[:2] + length + head[4:6] + b"\0\0" + head[8:] + data)


@lru_cache(maxsize=4096)
def expected(case: Case, network: NetworkConfig) -> bytes | None:
    """Return the IP packet that must, or may, come out, byte for byte; None when none must.

    Case frames that go to the target already (the arm without a hook) are only routed. All arms of
    a run are sent the same 2,000 cases, so what was worked out for one is kept for the next.
    """
    if case.fate == "nowhere":
        return None
    packets = [packet_of(frame) for frame in case.frames]
    if case.fate in ("local", "elsewhere"):
        return reassembled(packets)
    (packet,) = packets
    hooked = case.fate in ("rewritten", "untagged")
    if hooked and packet[16:20] == packed(network.server_address):
        packet = redirected(packet, network)
    return routed(packet)


def ip_checksum_valid(packet: bytes) -> bool:
    """Whether the header's checksum is right, by recomputation."""
    return len(packet) >= 20 and ones_complement_sum(packet[: header_bytes(packet)]) == 0xFFFF


def udp_checksum_valid(packet: bytes) -> bool:
    """Whether UDP's checksum is right, by recomputation; 0 is none, and so never wrong."""
    start = header_bytes(packet)
    length = int.from_bytes(packet[start + 4 : start + 6], "big")
    if length < 8 or start + length > len(packet):
        return False
    if packet[start + 6 : start + 8] == b"\0\0":
        return True
    pseudo = packet[12:20] + bytes((0, UDP)) + length.to_bytes(2, "big")
    return ones_complement_sum(pseudo + packet[start : start + length]) == 0xFFFF
