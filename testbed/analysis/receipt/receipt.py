# SPDX-License-Identifier: Apache-2.0
"""One arm with one payload, ready to be put beside others: its numbers, its stages, its name."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from testbed.analysis.counting import payloads
from testbed.analysis.counting.contexts import RECEIVE as RECEIVE_CONTEXT
from testbed.analysis.counting.life import OWN
from testbed.analysis.counting.packets import Taken
from testbed.analysis.counting.result import Result
from testbed.analysis.counting.staging import Staged, staged
from testbed.analysis.counting.summary import Summary
from testbed.model.arm import BASELINE
from testbed.model.plan import Condition
from testbed.model.symbols import bare

COPYING_CHECKSUM = "csum_partial_copy_generic"
STORE_BYTES = 8
"""The checksum's loop stores a register of 64 bits at a time (arch/x86/lib/csum-copy_64.S)."""
SPOKEN = {
    (BASELINE, "none"): "no hook",
    ("netfilter", "module"): "the Netfilter module",
    ("xdp", "generic"): "generic XDP",
    ("xdp", "native"): "XDP in the driver",
}
"""An arm of ours and the mode that it was found in, as a sentence says it."""


@dataclass(frozen=True)
class Receipt:
    """The counts of one arm, with the typical packet divided into stages."""

    summary: Summary
    title: str

    @property
    def arm(self) -> str:
        """The arm's name."""
        return self.summary.counted.arm

    @property
    def payload(self) -> int:
        """The UDP payload, in bytes."""
        return self.summary.counted.payload_bytes

    @property
    def condition(self) -> Condition:
        """The arm and its packets."""
        return self.summary.counted.condition

    @property
    def is_baseline(self) -> bool:
        """Whether this is the path without a hook."""
        return self.arm == BASELINE

    @property
    def mode(self) -> str:
        """How the hook was attached, as its `verify` found it; empty where that is not recorded."""
        verify = self.summary.counted.facts.get("verify")
        before = verify.get("before") if isinstance(verify, Mapping) else None
        return str(before.get("mode", "")) if isinstance(before, Mapping) else ""

    @property
    def spoken(self) -> str:
        """The arm as a sentence names it: "generic XDP", or its title in quotation marks."""
        return SPOKEN.get((self.arm, self.mode), f"“{self.title}”")

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """All numbers of `--json` (docs/counting.md)."""
        return self.summary.as_json()

    @property
    def instructions(self) -> int:
        """The typical packet's instructions, its own work."""
        return self.summary.typical.own

    @cached_property
    def taken(self) -> Taken:
        """The typical packet's instructions in all."""
        return self.summary.typical.taken()

    @cached_property
    def staged(self) -> Staged:
        """The same, by stage and function."""
        return staged(self.summary)

    @cached_property
    def stages(self) -> dict[str, Taken]:
        """The same, by stage."""
        found: dict[str, Taken] = {}
        for (stage, _), taken in self.staged.items():
            found.setdefault(stage, Taken()).add(taken)
        return found

    def in_stage(self, stage: str) -> Taken:
        """Return what one stage took; nothing is 0, for the stages add up to the whole."""
        return self.stages.get(stage, Taken())

    @cached_property
    def functions(self) -> Counter[str]:
        """The typical packet's instructions by function."""
        return self.summary.typical.functions()

    def ran(self, *patterns: str) -> Counter[str]:
        """Return the typical packet's functions whose bare names fit, with their instructions."""
        fits = (name for name in self.functions if _fits(bare(name), patterns))
        return Counter({name: self.functions[name] for name in fits})

    def within(self, context: str, *patterns: str) -> int:
        """Return the instructions of such functions in one context."""
        return sum(
            taken.instructions
            for (part, where, name), taken in self.summary.typical.places.items()
            if part in OWN and where == context and _fits(bare(name), patterns)
        )

    def reach(self, function: str) -> int:
        """Return how many of the packets ran a function."""
        return self._reach[function]

    @cached_property
    def _reach(self) -> Counter[str]:
        times = Counter(id(packet.path) for packet in self.summary.packets)
        paths = {id(packet.path): packet.path for packet in self.summary.packets}
        found: Counter[str] = Counter()
        for key, path in paths.items():
            for name in path.functions():
                found[name] += times[key]
        return found

    @property
    def copied_by_loop(self) -> int:
        """Bytes that the receive call copied while it computed the checksum, by plain stores.

        String instructions, which `bytes_copied` counts, have no part in that. The payload, where
        the loop stored so many bytes at least; else 0.
        """
        stores = sum(
            taken.stores
            for (part, where, name), taken in self.summary.typical.places.items()
            if part in OWN and where == RECEIVE_CONTEXT and bare(name) == COPYING_CHECKSUM
        )
        return self.payload if stores * STORE_BYTES >= self.payload else 0

    @property
    def moved(self) -> int:
        """Bytes copied, in either way, or zeroed."""
        return self.taken.copied + self.taken.filled + self.copied_by_loop


def receipts(result: Result) -> tuple[Receipt, ...]:
    """Return a receipt for each arm and payload that has packets, no hook first."""
    titles = result.facts.get("titles")
    names = titles if isinstance(titles, Mapping) else {}
    found = [
        Receipt(summary, str(names.get(one.arm) or one.arm))
        for one, summary in result.summaries.items()
        if summary.packets
    ]
    return tuple(sorted(found, key=lambda one: not one.is_baseline))


def baseline_of(one: Receipt, others: Iterable[Receipt]) -> Receipt | None:
    """Return no hook with the same payload; None where it was not counted."""
    return next((base for base in others if base.is_baseline and base.payload == one.payload), None)


def fits(some: Sequence[Receipt]) -> dict[str, dict[str, Any]]:
    """Return {arm: its line over the payloads}, as `payloads.fit` has it; none for one payload."""
    found: dict[str, list[Receipt]] = {}
    for one in some:
        found.setdefault(one.arm, []).append(one)
    return {
        arm: payloads.fit([one.summary for one in sizes])
        for arm, sizes in found.items()
        if len(sizes) > 1
    }


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
