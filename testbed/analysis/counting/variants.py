# SPDX-License-Identifier: Apache-2.0
"""The typical count of an arm, and every count that differs from it, each with its cause."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from testbed.analysis.counting.causes import cause, differences
from testbed.analysis.counting.packets import Packet, Path

REGULAR = 0.8
"""A variant is periodic when so large a share of the gaps between its packets is the same."""
FEWEST_GAPS = 3


@dataclass(frozen=True)
class Variant:
    """Packets with the same count. `every` is their distance in packets where it is regular.

    `difference` and `functions` are against the typical packet; the typical one has 0 and none.
    """

    count: int
    packets: int
    difference: int
    every: int | None
    cause: str
    functions: dict[str, int]


def typical_path(packets: Sequence[Packet]) -> Path:
    """Return the most frequent path among those with the most frequent count.

    Where two counts are equally frequent, the lower one is typical. Raises ValueError without
    packets.
    """
    if not packets:
        raise ValueError("no packets")
    typical, _ = mode([packet.path.own for packet in packets])
    paths = [packet.path for packet in packets if packet.path.own == typical]
    by_functions: Counter[frozenset[tuple[str, int]]] = Counter()
    first: dict[frozenset[tuple[str, int]], Path] = {}
    for path in paths:
        key = frozenset(path.functions().items())
        by_functions[key] += 1
        first.setdefault(key, path)
    return first[by_functions.most_common(1)[0][0]]


def mode(values: Sequence[int]) -> tuple[int, int]:
    """Return the most frequent value and how often it comes; of equals the lowest."""
    frequency = Counter(values)
    best = max(frequency.values())
    return min(value for value, times in frequency.items() if times == best), best


def variants(packets: Sequence[Packet]) -> list[Variant]:
    """Return the counts of an arm, the most frequent first.

    Among packets with the same count, those with the most frequent differences tell the cause.
    """
    typical = typical_path(packets)
    usual = typical.functions()
    groups: dict[int, list[Packet]] = defaultdict(list)
    for packet in packets:
        groups[packet.path.own].append(packet)
    found = [_variant(count, some, typical.own, usual) for count, some in groups.items()]
    return sorted(found, key=lambda one: (one.difference != 0, -one.packets, one.count))


def _variant(count: int, some: Sequence[Packet], typical: int, usual: Counter[str]) -> Variant:
    if count == typical:
        return Variant(count, len(some), 0, None, "the typical packet", {})
    told: Counter[str] = Counter()
    why: dict[str, dict[str, int]] = {}
    known: dict[int, tuple[str, dict[str, int]]] = {}
    for packet in some:
        key = id(packet.path)
        if key not in known:
            functions = differences(packet.path.functions(), usual)
            known[key] = cause(functions), functions
        words, functions = known[key]
        told[words] += 1
        why.setdefault(words, functions)
    words = told.most_common(1)[0][0]
    every = _every([packet.number for packet in some])
    return Variant(count, len(some), count - typical, every, words, why[words])


def _every(numbers: Sequence[int]) -> int | None:
    """Return the distance between packets where it is regular, None where it is not."""
    gaps = [later - earlier for earlier, later in pairwise(sorted(numbers))]
    if len(gaps) < FEWEST_GAPS:
        return None
    gap, times = Counter(gaps).most_common(1)[0]
    return gap if times >= REGULAR * len(gaps) and gap > 1 else None
