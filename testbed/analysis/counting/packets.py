# SPDX-License-Identifier: Apache-2.0
"""Each packet of an arm: totals by part, context and function, equal paths told once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from testbed.analysis.counting.blocks import visits
from testbed.analysis.counting.contexts import FAULT, Walk
from testbed.analysis.counting.life import OUTSIDE, OWN, PARTS, WAKE_UP, Life, cut, part_of
from testbed.analysis.counting.raw import Counted
from testbed.model.symbols import UNNAMED

Place = tuple[str, str, str]
"""Part, context, function."""


@dataclass(slots=True)
class Taken:
    """Sums over some blocks: `device` counts accesses to device memory, `ports` port I/O."""

    instructions: int = 0
    loads: int = 0
    stores: int = 0
    copied: int = 0
    filled: int = 0
    device: int = 0
    ports: int = 0

    def add(self, other: "Taken") -> None:
        """Add another sum to this one."""
        self.instructions += other.instructions
        self.loads += other.loads
        self.stores += other.stores
        self.copied += other.copied
        self.filled += other.filled
        self.device += other.device
        self.ports += other.ports


@dataclass(frozen=True)
class Path:
    """One way through the kernel, block by block, and what it took at each place.

    `recorded` is the instructions of the whole stretch, summed from the record alone. `parts_of`
    has a part for each step, so that cache lines, which differ from packet to packet, can be put
    to theirs. `faults`: whether an exception stopped the packet's own work; another task's do not.
    """

    life: Life
    places: dict[Place, Taken]
    recorded: int
    parts_of: tuple[str, ...]
    own: int
    by_part: dict[str, int]
    faults: bool

    def functions(self, parts: tuple[str, ...] = OWN) -> Counter[str]:
        """Return the instructions of each function within some parts."""
        found: Counter[str] = Counter()
        for (part, _, function), taken in self.places.items():
            if part in parts:
                found[function] += taken.instructions
        return found

    def taken(self, parts: tuple[str, ...] = OWN) -> Taken:
        """Return the sum over some parts."""
        total = Taken()
        for (part, _, _), taken in self.places.items():
            if part in parts:
                total.add(taken)
        return total

    @property
    def unnamed(self) -> int:
        """Instructions of the kernel, within the life, whose function has no name."""
        return sum(
            taken.instructions
            for (part, _, function), taken in self.places.items()
            if function == UNNAMED and part != OUTSIDE
        )


@dataclass(frozen=True)
class Packet:
    """One packet that was counted: its path, and the 64-byte lines that it touched first."""

    number: int
    path: Path
    lines: int


@dataclass
class Reader:
    """Makes packets from the raw record of one arm; each distinct path is walked once."""

    counted: Counted
    _known: dict[tuple[int, bool], Path | None] = field(default_factory=dict)

    def packets(self) -> Iterator[Packet]:
        """Yield every packet whose life was recorded to its end, in order."""
        for stretch in self.counted.stretches:
            path = self._path(stretch.path, whole=not stretch.is_cut)
            if path is not None:
                pairs = zip(path.parts_of, self.counted.lines_of(stretch.lines), strict=True)
                lines = sum(count for part, count in pairs if part in OWN)
                yield Packet(stretch.packet, path, lines)

    def _path(self, number: int, *, whole: bool) -> Path | None:
        if (number, whole) not in self._known:
            self._known[number, whole] = self._walk(number, whole=whole)
        return self._known[number, whole]

    def _walk(self, number: int, *, whole: bool) -> Path | None:
        counted = self.counted
        walked = Walk(counted.symbols, counted.driver)
        steps = walked.through(visits(counted.path(number), counted.blocks, counted.where))
        life = cut(steps, whole=whole)
        if life is None:
            return None
        places: dict[Place, Taken] = {}
        parts = tuple(part_of(life, at, step) for at, step in enumerate(steps))
        for part, step in zip(parts, steps, strict=True):
            place = (part, step.context.name, step.function)
            one = places.get(place) or places.setdefault(place, Taken())
            visit = step.visit
            one.instructions += step.instructions
            one.loads += visit.loads
            one.stores += visit.stores
            one.copied += visit.copied
            one.filled += visit.filled
            one.device += visit.device
            one.ports += visit.block.ports
        by_part = dict.fromkeys(PARTS, 0)
        for (part, _, _), taken in places.items():
            by_part[part] += taken.instructions
        recorded = sum(step.visit.instructions for step in steps) - walked.resumed
        within = zip(parts[life.start :], steps[life.start + 1 : life.end], strict=False)
        faults = any(
            step.context.name == FAULT and before in (*OWN, WAKE_UP) for before, step in within
        )
        own = sum(by_part[part] for part in OWN)
        return Path(life, places, recorded, parts, own, by_part, faults)
