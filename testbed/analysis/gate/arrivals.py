# SPDX-License-Identifier: Apache-2.0
"""Which captured packet belongs to which crafted case."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.analysis.gate.rounds import Round
from testbed.packets.recognition import Recognition


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Every packet of one case, by where it came out."""

    namespace: list[bytes] = field(default_factory=list)
    root: list[bytes] = field(default_factory=list)


NOTHING = Arrivals()


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came out in one round: by the case's number, and in the namespace of no case at all.

    `order`: the cases whose packets came out in the namespace, as they came.
    """

    cases: dict[int, Arrivals]
    nobodys: Sequence[bytes]
    order: Sequence[int]

    def of(self, number: int) -> Arrivals:
        """Return what came out of one case."""
        return self.cases.get(number, NOTHING)


def arrived(one: Round, recognition: Recognition, marker: bytes, source: bytes) -> Arrived:
    """Sort what came out. `marker` begins the payload of what ended it, `source` is the client."""
    cases: dict[int, Arrivals] = {}
    nobodys, order = [], []
    for place in ("namespace", "root"):
        for packet in getattr(one, place):
            if packet.startswith(marker, 28):
                continue
            number = recognition.owner(packet)
            if number is not None:
                getattr(cases.setdefault(number, Arrivals()), place).append(packet)
                if place == "namespace":
                    order.append(number)
            elif place == "namespace" and packet[12:16] == source:
                nobodys.append(packet)
    return Arrived(cases, nobodys, order)
