# SPDX-License-Identifier: Apache-2.0
"""The trial's data among all that an interface or a stack counted, told apart by length.

A counter of packets sees everything: data, repeated control datagrams of which nobody knows how
many got through, ARP. But of n packets with b bytes, headers of h bytes each, c control datagrams
of 24 bytes and data of P bytes, b - h·n = P·data + 24·c, and ARP adds nothing (28 bytes after the
Ethernet header, as many as the headers of IP and UDP). So data = (b - h·n - 24·c) / P to within
24/P for every control datagram that c is wrong by: an exact number as long as data is long.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ETHERNET_BYTES = 14
IP_AND_UDP_BYTES = 28
CONTROL_BYTES = 24
"""HEADER_BYTES of guest/protocol.py: START, END and CLOSE are nothing but a header."""
LONG_ENOUGH = 200
"""Bytes of payload from which four control datagrams too many or too few round to nothing."""
MOST_OTHERS = 64
"""More packets than these that seem to be no data of this length: the lengths are not as sent
(a hook cuts packets, a NIC merges them), and the count has to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far a pair of counters moved; `headers` are the bytes of each packet above its payload.

    `octets` None: bytes were not recorded."""

    packets: int
    octets: int | None
    headers: int


def data_among(tally: Tally, payload_bytes: int, control: int) -> int:
    """The data packets in a tally in which `control` control datagrams are expected."""
    counted = tally.packets - control
    if tally.octets is None or payload_bytes < LONG_ENOUGH:
        return counted
    left = tally.octets - tally.headers * tally.packets - CONTROL_BYTES * control
    data = round(left / payload_bytes)
    return data if 0 <= tally.packets - data <= control + MOST_OTHERS else counted


def of_interface(
    before: Mapping[str, int] | None, after: Mapping[str, int] | None, way: str
) -> Tally | None:
    """Of a line of /proc/net/dev; `way` is "rx" or "tx"."""
    if before is None or after is None:
        return None
    packets = moved(before, after, f"{way}_packets")
    octets = moved(before, after, f"{way}_bytes")
    if packets is None:
        return None
    return Tally(packets=packets, octets=octets, headers=ETHERNET_BYTES + IP_AND_UDP_BYTES)


def moved(before: Mapping[str, int], after: Mapping[str, int], name: str) -> int | None:
    """after - before; None when a side lacks the counter, or when it ran backwards."""
    if name not in before or name not in after:
        return None
    difference = after[name] - before[name]
    return difference if difference >= 0 else None
