# SPDX-License-Identifier: Apache-2.0
"""One arm with one payload in numbers: what the terminal, the page and `--json` show."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median
from typing import Any

from testbed.analysis.counting.life import BESIDE, OUTSIDE, OWN, PARTS, WAKE_UP
from testbed.analysis.counting.packets import Packet, Path, Reader, Taken
from testbed.analysis.counting.raw import Counted
from testbed.analysis.counting.variants import Variant, mode, typical_path, variants


@dataclass(frozen=True)
class Summary:
    """The counts of one arm's packets with one payload.

    Instructions are those of the packet's own parts (`life.OWN`), unless a name says otherwise.
    """

    counted: Counted
    packets: Sequence[Packet]

    @classmethod
    def of(cls, counted: Counted) -> "Summary":
        """Read every packet of one record."""
        return cls(counted, tuple(Reader(counted).packets()))

    @cached_property
    def typical(self) -> Path:
        """The typical packet. Raises ValueError when none was counted."""
        return typical_path(self.packets)

    @cached_property
    def typical_share(self) -> float:
        """The share of packets that have exactly the typical count."""
        return mode([packet.path.own for packet in self.packets])[1] / len(self.packets)

    @cached_property
    def mean_instructions(self) -> float:
        """The mean, with every periodic refill in it."""
        return fmean(packet.path.own for packet in self.packets)

    @cached_property
    def variants(self) -> list[Variant]:
        """Every count, with its packets and its cause."""
        return variants(self.packets)

    @property
    def delivered(self) -> int:
        """Packets that reached the program."""
        return sum(packet.path.life.delivered for packet in self.packets)

    @property
    def cut_short(self) -> int:
        """Packets without a count: so much other work ran that the record ended before they did."""
        seen = {packet.number for packet in self.packets}
        return sum(one.is_cut and one.packet not in seen for one in self.counted.stretches)

    @property
    def freed_by(self) -> dict[str, int]:
        """{function: packets that it gave up}."""
        lives = (packet.path.life for packet in self.packets)
        return dict(Counter(life.freed_by or "?" for life in lives if not life.delivered))

    @property
    def closes(self) -> bool:
        """Whether the parts of every stretch add up to what was recorded, exactly."""
        paths = (packet.path for packet in self.packets)
        return all(path.recorded == sum(path.by_part.values()) for path in paths)

    @property
    def named_share(self) -> float:
        """The share of the lives' instructions whose function has a name."""
        unnamed = sum(packet.path.unnamed for packet in self.packets)
        inside = set(PARTS) - {OUTSIDE}
        total = sum(packet.path.by_part[part] for packet in self.packets for part in inside)
        return 1 - unnamed / total if total else 0.0

    @property
    def lines(self) -> float:
        """The median of the distinct 64-byte lines that a packet's own work touched."""
        return median(packet.lines for packet in self.packets)

    @property
    def faults(self) -> int:
        """Packets with a processor exception within their life: a block may be counted whole."""
        return sum(packet.path.faults for packet in self.packets)

    def part(self, name: str) -> dict[str, float]:
        """Return the typical and the mean instructions of one part."""
        values = [packet.path.by_part[name] for packet in self.packets]
        usual = self.typical.by_part[name] if name in OWN else mode(values)[0]
        return {"typical": usual, "mean": fmean(values)}

    def functions(self) -> list[dict[str, Any]]:
        """Return a row for each place of the typical packet, the largest first."""
        means = self._mean_by_place()
        rows = [
            {"function": function, "context": context, "part": part,
             "instructions": taken.instructions,
             "mean_instructions": means[function, context, part],
             "loads": taken.loads, "stores": taken.stores, "bytes_copied": taken.copied,
             "bytes_zeroed": taken.filled, "device_accesses": taken.device,
             "port_accesses": taken.ports}
            for (part, context, function), taken in self.typical.places.items()
            if part in (*OWN, WAKE_UP)
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (-int(str(row["instructions"])), str(row["function"])))

    def _mean_by_place(self) -> defaultdict[tuple[str, str, str], float]:
        total: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        times: Counter[int] = Counter(id(packet.path) for packet in self.packets)
        paths = {id(packet.path): packet.path for packet in self.packets}
        for key, path in paths.items():
            for (part, context, function), taken in path.places.items():
                share = taken.instructions * times[key] / len(self.packets)
                total[function, context, part] += share
        return total

    def contexts(self) -> dict[str, int]:
        """Return the typical packet's instructions by context, within its own parts and wake-up."""
        found: Counter[str] = Counter()
        for (part, context, _), taken in self.typical.places.items():
            if part in (*OWN, WAKE_UP):
                found[context] += taken.instructions
        return dict(found)

    def mean_taken(self, name: str) -> float:
        """Return the mean of one field of `Taken` over the packets' own parts."""
        return fmean(getattr(packet.path.taken(), name) for packet in self.packets)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` and derived/count.json hold for this arm and payload."""
        usual: Taken = self.typical.taken()
        whole = [packet.path.own + packet.path.by_part[WAKE_UP] for packet in self.packets]
        return {
            "arm": self.counted.arm,
            "payload_bytes": self.counted.payload_bytes,
            "packets": len(self.packets),
            "delivered": self.delivered,
            "freed_by": self.freed_by,
            "typical_instructions": self.typical.own,
            "typical_share": self.typical_share,
            "mean_instructions": self.mean_instructions,
            "mean_with_wake_up": fmean(whole),
            "parts": {name: self.part(name) for name in PARTS if name not in (BESIDE, OUTSIDE)},
            "contexts": self.contexts(),
            "variants": [
                {"count": one.count, "packets": one.packets, "difference": one.difference,
                 "every": one.every, "cause": one.cause, "functions": one.functions}
                for one in self.variants
            ],
            "bytes_copied": usual.copied,
            "bytes_zeroed": usual.filled,
            "mean_bytes_copied": self.mean_taken("copied"),
            "mean_bytes_zeroed": self.mean_taken("filled"),
            "loads": usual.loads,
            "stores": usual.stores,
            "device_accesses": usual.device,
            "port_accesses": usual.ports,
            "cache_lines": self.lines,
            "functions": self.functions(),
            "beside": self.part(BESIDE)["mean"],
            "closes": self.closes,
            "named_share": self.named_share,
            "faults": self.faults,
        }  # fmt: skip
