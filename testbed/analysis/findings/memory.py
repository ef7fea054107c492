# SPDX-License-Identifier: Apache-2.0
"""The check that no hook keeps memory for the packets that it has seen."""

from collections.abc import Mapping
from statistics import fmean

from testbed.analysis.findings.finding import (
    WHOLE_RUN,
    Check,
    Evidence,
    Finding,
    Scope,
    Verdict,
    of,
    of_arm,
)
from testbed.analysis.reading.records import Run, Trial

KB, MB = 1024, 1024 * 1024
OBJECTS, HELD, PAGES = 512 * KB, MB, 8 * MB
"""Bounds in bytes: objects left after unloading, objects held while loaded, whole pages left.

Eight recorded trials on one emulated CPU, 14,000 packets each: -28 to +192 kB, -60 to +164 kB,
-1 to +4.6 MB. Between the first two lies the server's own sample, 260 to 520 kB until it is read.
"""
MEAN_OBJECTS, TRIALS_FOR_MEAN = 256 * KB, 3
"""The same left in the mean of an arm's trials: one object of 32 bytes a packet is 448 kB."""
OBJECT_BYTES, PAGE_BYTES = 4, 64
"""A longer trial may leave so much a packet: half the smallest object, a 64th of a page."""
OBJECT_ROWS = ("Slab", "VmallocUsed", "Percpu")
NO_PAGES_OF_KERNEL = ("MemFree", "Buffers", "Cached", "AnonPages", "KernelStack", "PageTables")


def memory(run: Run) -> list[Finding]:
    whole = [trial for trial in run.trials if not trial.problems]
    if whole and not any(trial.memory for trial in whole):
        return [WHOLE_RUN.unknown("memory", "the kernel's memory around the trials")]
    found, left = [], dict[str, list[int]]()
    for trial in run.trials:
        objects = _grown(trial.memory, OBJECT_ROWS)
        if objects is None:
            if not trial.problems:
                found.append(of(trial).unknown("memory", "the kernel's memory around the trial"))
            continue
        left.setdefault(trial.arm, []).append(objects)
        found += _of_trial(trial, objects)
    named = {finding.scope.arm for finding in found}
    for arm, sizes in left.items():
        mean = fmean(sizes)
        if arm not in named and len(sizes) >= TRIALS_FOR_MEAN and mean > MEAN_OBJECTS:
            what = "of the kernel's objects were left after unloading, in the mean of its trials"
            found.append(_finding(of_arm(arm), mean, what, MEAN_OBJECTS))
    return found


def _of_trial(trial: Trial, objects: int) -> list[Finding]:
    packets = trial.client.offered if trial.client else 0
    held = _grown(
        {
            "load": trial.before.memory if trial.before else {},
            "gone": trial.after.memory if trial.after else {},
        },
        OBJECT_ROWS,
    )
    pages = _pages(trial.memory)
    looked = (
        (objects, "of the kernel's objects were left after unloading",
         max(OBJECTS, OBJECT_BYTES * packets)),
        (held, "of the kernel's objects were added while the hook was loaded",
         max(HELD, OBJECT_BYTES * packets)),
        (pages, "of the kernel's pages were left after unloading",
         max(PAGES, PAGE_BYTES * packets)),
    )  # fmt: skip
    worst = [(size, what, bound) for size, what, bound in looked if size and size > bound]
    return [_finding(of(trial), *worst[0])] if worst else []


def _finding(scope: Scope, size: float, what: str, bound: int) -> Finding:
    return scope.finding(
        "memory",
        Verdict.INVALID,
        f"{size / MB:,.1f} MB {what}",
        Evidence(quantity="kernel memory that was added", observed=round(size), unit="bytes",
                 bound=f"<= {bound}"),
        advice="Taking memory for each packet is work of the hook, and a machine that runs out "
        "of it gets slower: free what is allocated, in the packet's path too.",
        degree=size,
    )  # fmt: skip


def _grown(moments: Mapping[str, Mapping[str, int]], rows: tuple[str, ...]) -> int | None:
    """How many bytes these rows of /proc/meminfo grew together."""
    load, gone = moments.get("load", {}), moments.get("gone", {})
    if not all(row in load and row in gone for row in rows):
        return None
    return sum(gone[row] - load[row] for row in rows)


def _pages(moments: Mapping[str, Mapping[str, int]]) -> int | None:
    """Growth of what is neither free, nor a file's or a program's, nor counted in other rows."""
    known = _grown(moments, (*NO_PAGES_OF_KERNEL, *OBJECT_ROWS))
    return None if known is None else -known


MEMORY_CHECKS = (
    Check(
        code="memory",
        what="The kernel's memory before the hook was loaded and after it was unloaded, and how "
        "it grew while it was loaded.",
        why="Memory that is taken for each packet and kept is work, and slows the machine later.",
        threshold=f"INVALID above {OBJECTS // KB} kB of objects left (Slab, VmallocUsed, Percpu), "
        f"{MEAN_OBJECTS // KB} kB in the mean of {TRIALS_FOR_MEAN} or more trials, {HELD // MB} MB "
        f"held while loaded, {PAGES // MB} MB of pages left; more in trials above 130,000 "
        "packets; SUSPECT when not recorded",
        source="/proc/meminfo (trial.json, before.json, after.json)",
        look=memory,
    ),
)
