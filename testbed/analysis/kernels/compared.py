# SPDX-License-Identifier: Apache-2.0
"""Two counts of two kernels: allowed where all else that counts depend on was equal.

Some facts follow from the kernel and may differ with it: its box, its compiler, the mitigations
that it knows, the names that it has for the same CPU's flags. All of that is said beside the
numbers.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from testbed.analysis.findings.finding import Verdict
from testbed.analysis.receipt.beside import Beside, Pair, common, differences, differs
from testbed.analysis.receipt.differences import unlike
from testbed.analysis.receipt.identity import package, release, versions
from testbed.analysis.receipt.judged import JudgedCount
from testbed.analysis.receipt.receipt import Receipt
from testbed.model.arm import FAIR

FOLLOWS = frozenset({"kernel", "box", "mitigations", "cpu_flags"})
"""The facts that differ because the kernel does.

The CPU itself is QEMU's, so `qemu` and `cpu` must be equal. The kernel chooses which of its flags
it names.
"""
PROGRAM = re.compile(r"^bpf_prog_[0-9a-f]{16}_")
"""The tag is a hash over the program, so another compiler gives another name."""
PARTS = re.compile(r"\.(isra|constprop|part|cold)(\.\d+)?(?=\.| |$)")
"""The endings that a compiler appends to the name of a function that it has changed or split."""


@dataclass(frozen=True)
class Kernel:
    """One side; `label` tells it from the other in a heading."""

    label: str
    run: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Row:
    """A function: instructions on the first kernel and on the second; None: it did not run there.

    None is not 0: a function without instructions of its own cannot be recorded.
    """

    name: str
    first: int | None
    second: int | None

    @property
    def extra(self) -> int:
        """More in the second."""
        return (self.second or 0) - (self.first or 0)


@dataclass(frozen=True)
class Compared:
    """One arm on both kernels; `rows` are the functions that differ, the largest first."""

    pair: Pair

    @property
    def one(self) -> Receipt:
        """The arm on the second kernel: for its names."""
        return self.pair.second

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All rows together are the difference of the typical counts, exactly."""
        first, second = folded(self.pair.first.functions), folded(self.pair.second.functions)
        return tuple(
            Row(name, first.get(name), second.get(name)) for name, _, _ in unlike(first, second)
        )


@dataclass(frozen=True)
class Added:
    """The instructions of one arm over another's, on the first kernel and on the second."""

    payload: int
    arm: str
    over: str
    first: int
    second: int


@dataclass(frozen=True)
class TwoKernels:
    """Two counts that differ in the kernel alone, and in what follows from it."""

    first: Kernel
    second: Kernel
    arms: tuple[Compared, ...]
    added: tuple[Added, ...]
    left_out: tuple[str, ...]
    also: tuple[str, ...]


def two_kernels(first: JudgedCount, second: JudgedCount) -> TwoKernels | None:
    """Return two kernels beside each other; None where the kernel is not all that differs.

    Raises RunError where the counts have no arm with the same payload in common.
    """
    one, two = first.run.identity, second.run.identity
    found = differences(first, second)
    recorded = all(run.get(name) not in (None, "", []) for run in (one, two) for name in FOLLOWS)
    if not recorded or not found.keys() <= FOLLOWS or not _is_another_kernel(one, two):
        return None
    shared = common(first, second)
    labels = _labels(one, two)
    return TwoKernels(
        first=Kernel(labels[0], shared.first, _facts(one)),
        second=Kernel(labels[1], shared.second, _facts(two)),
        arms=tuple(map(Compared, shared.pairs)),
        added=tuple(_added(shared)),
        left_out=shared.left_out,
        also=tuple(_also(first, second, shared)),
    )


def folded(functions: Mapping[str, int]) -> Counter[str]:
    """Return counts by names that two kernels have in common.

    Parts that the compiler split off a function count for it; a BPF program goes without its tag.
    """
    found: Counter[str] = Counter()
    for name, count in functions.items():
        found[PARTS.sub("", PROGRAM.sub("bpf_prog_", name))] += count
    return found


def _is_another_kernel(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    if one.get("kernel") != two.get("kernel"):
        return True
    packages = [_own(run.get("kernel_package")) for run in (one, two)]
    return all(packages) and packages[0] != packages[1]


def _own(known: Any) -> tuple[Any, ...]:
    """Return what tells two packages apart that hold a kernel of the same name."""
    if not isinstance(known, Mapping):
        return ()
    return tuple(known.get(name) for name in ("package", "version", "sha256"))


def _labels(one: Mapping[str, Any], two: Mapping[str, Any]) -> tuple[str, str]:
    """Return the shortest names that tell the kernels apart."""
    releases = [release(str(run["kernel"])) for run in (one, two)]
    packages = [_own(run.get("kernel_package")) or (None, None, None) for run in (one, two)]
    found = [
        releases,
        [f"{words}, package {of[1]}" for words, of in zip(releases, packages, strict=True)],
        [
            f"{words}, SHA-256 {str(of[2])[:8]}"
            for words, of in zip(releases, packages, strict=True)
        ],
        [f"{words}, {run['kernel']}" for words, run in zip(releases, (one, two), strict=True)],
    ]
    first, second = next(pair for pair in found if pair[0] != pair[1])
    return first, second


def _facts(known: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return (
        ("Kernel", str(known["kernel"])),
        ("Its package", package(known.get("kernel_package"))),
        ("Arms built with", versions(known.get("built_with"))),
        ("Box", str(known["box"])),
    )


def _added(shared: Beside) -> list[Added]:
    """Return what hooks add to no hook, and the second of the fair hooks to the first."""
    found = []
    for size in dict.fromkeys(pair.first.payload for pair in shared.pairs):
        there = {pair.first.arm: pair for pair in shared.pairs if pair.first.payload == size}
        base = next((pair for pair in there.values() if pair.first.is_baseline), None)
        wanted = [(pair, base) for pair in there.values() if base and pair is not base]
        if all(name in there for name in FAIR):
            wanted.append((there[FAIR[1]], there[FAIR[0]]))
        found += [
            Added(size, more.second.title, less.second.spoken,
                  more.first.instructions - less.first.instructions,
                  more.second.instructions - less.second.instructions)
            for more, less in wanted
        ]  # fmt: skip
    return found


def _also(first: JudgedCount, second: JudgedCount, shared: Beside) -> list[str]:
    """Return what differs beside the kernel, a sentence each, and what is not known or suspect."""
    one, two = first.run.identity, second.run.identity
    said = []
    for name, words in (
        ("built_with", "The tools that build the arms"),
        ("cpu_flags", "The flags that the kernels name of the same CPU"),
        ("mitigations", "The mitigations"),
    ):
        if one.get(name) is None or two.get(name) is None:
            said.append(f"{words}: not recorded in both counts, and may differ.")
        elif one[name] != two[name]:
            said.append(f"{words} differ: {_differ(one[name], two[name])}.")
    was, now = (run.run.result.facts.get("sources") for run in (first, second))
    arms = dict.fromkeys(pair.first.arm for pair in shared.pairs)
    if not isinstance(was, Mapping) or not isinstance(now, Mapping):
        said.append("Whether the arms' sources are the same is not recorded in both counts.")
    elif changed := [arm for arm in arms if was.get(arm) != now.get(arm)]:
        said.append(
            f"The sources of {', '.join(changed)} differ: there the difference is not the "
            "kernel's alone."
        )
    for which, count in (("first", first), ("second", second)):
        doubts = (one for one in count.findings if one.verdict is Verdict.SUSPECT)
        said += [f"SUSPECT in the {which} count: {line}." for line in count.lines(doubts)]
    return said


def _differ(one: Any, two: Any) -> str:
    if not isinstance(one, Mapping) or not isinstance(two, Mapping):
        return differs(one, two)
    names = [name for name in {**one, **two} if one.get(name) != two.get(name)]
    return "; ".join(
        f"{name}: {one.get(name, 'none')} in the first, {two.get(name, 'none')} in the second"
        for name in names
    )
