# SPDX-License-Identifier: Apache-2.0
"""Recognise packets. A packet carries no name: it is known by everything that it says.

A packet that came out as it should, or as it was sent, is known byte for byte. The rest is given to
the case with which it agrees in most: identification, source port, the first and last bytes, the
length. So a hook may change any one of them and is still told what it changed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from testbed.model.config import NetworkConfig
from testbed.packets.case import Case
from testbed.packets.reference import (
    expected,
    header_bytes,
    identification,
    packet_of,
    reassembled,
)

HEAD, TAIL = 24, 16
ENOUGH = 3
"""So much agreement makes a packet a case's; the weights are in `_marks`."""
Mark = tuple[str, bytes | int]


@dataclass(frozen=True, slots=True)
class Recognition:
    """The cases of one gate, by what their packets look like."""

    exact: dict[bytes, int]
    alike: dict[Mark, list[int]]

    @classmethod
    def of(cls, cases: Sequence[Case], network: NetworkConfig) -> "Recognition":
        """Learn what was sent; the arms of a run are sent the same, which is learned once."""
        return _learned(tuple(cases), network)

    def owner(self, packet: bytes) -> int | None:
        """Return the number of the case whose packet this is; None when it is nobody's."""
        if (number := self.exact.get(packet)) is not None:
            return number
        votes: Counter[int] = Counter()
        for mark, weight in _marks(packet):
            for number in self.alike.get(mark, ()):
                votes[number] += weight
        best = votes.most_common(1)
        return best[0][0] if best and best[0][1] >= ENOUGH else None


@lru_cache(maxsize=2)  # with a hook and without
def _learned(cases: tuple[Case, ...], network: NetworkConfig) -> Recognition:
    exact: dict[bytes, int] = {}
    alike: dict[Mark, list[int]] = {}
    for case in cases:
        for packet in _forms(case, network):
            exact.setdefault(packet, case.number)
        packets = [packet_of(frame) or frame[14:] for frame in dict.fromkeys(case.frames)]
        for mark in {mark for packet in packets for mark, _ in _marks(packet)}:
            alike.setdefault(mark, []).append(case.number)
    return Recognition(exact, alike)


def _forms(case: Case, network: NetworkConfig) -> Iterator[bytes]:
    """Return how a case comes out as it should, and as it was sent."""
    wanted = expected(case, network)
    if wanted is not None:
        yield wanted
    pieces = [packet_of(frame) for frame in dict.fromkeys(case.frames)]
    if all(len(piece) >= 20 for piece in pieces):
        yield reassembled(pieces)


def _marks(packet: bytes) -> Iterator[tuple[Mark, int]]:
    """Return what a packet may be known by, and how much each counts."""
    if len(packet) < 20:
        return
    if number := identification(packet):
        yield ("id", number), 2
    data = packet[max(20, header_bytes(packet)) :]
    yield ("length", len(packet)), 1
    yield ("port", data[:2]), 1
    if len(data) >= 8 + 8:
        yield ("head", data[8 : 8 + HEAD]), 3
    if len(data) >= 8 + HEAD + TAIL and any(data[-TAIL:]):
        yield ("tail", data[-TAIL:]), 2
