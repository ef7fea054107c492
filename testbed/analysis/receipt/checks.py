# SPDX-License-Identifier: Apache-2.0
"""The checks of a count: whether its numbers are what they seem. Silence means that a check holds.

Each is a pure function of a count with its threshold, reason and source. docs/counting.md has the
same table, and tests/unit/analysis/receipt/test_checks.py a fault that trips each.
"""

from collections.abc import Callable
from dataclasses import dataclass

from testbed.analysis.counting.result import LEAST_NAMED
from testbed.analysis.findings.finding import WHOLE_RUN, Finding, Verdict
from testbed.analysis.receipt.count_run import CountRun
from testbed.analysis.receipt.hook_checks import (
    LANDMARK,
    MOST_UNSEEN,
    attached,
    delivery,
    gate,
    hits,
    identity,
)
from testbed.analysis.receipt.record_checks import (
    FEWEST_PACKETS,
    MOST_PACKETS,
    complete,
    edited,
    faults,
    names,
    sums,
    table,
    typical,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountCheck:
    """What a check looks at, why, its threshold and where that comes from."""

    code: str
    what: str
    why: str
    threshold: str
    source: str
    look: Callable[[CountRun], list[Finding]]


def check_count(run: CountRun) -> tuple[Finding, ...]:
    """Return every finding of every check, in their order; one that holds adds a VALID one."""
    found: list[Finding] = []
    for check in COUNT_CHECKS:
        found += check.look(run) or [WHOLE_RUN.finding(check.code, Verdict.VALID, "holds")]
    return tuple(found)


COUNT_CHECKS = (
    CountCheck(
        code="complete", what="Every arm has packets, and the count was ended in good order.",
        why="Half a count looks like a hook that does less.",
        threshold="INVALID unless whole", source="manifest.json, written last", look=complete,
    ),
    CountCheck(
        code="edited", what="The files are those that were recorded.",
        why="A number must come from the machine.",
        threshold="INVALID unless equal", source="SHA-256 in manifest.json", look=edited,
    ),
    CountCheck(
        code="sums", what="Parts and stages add up to the instructions recorded.",
        why="What is counted twice, or for no one, moves a difference from arm to arm.",
        threshold="INVALID unless exact", source="every block of paths.bin.xz", look=sums,
    ),
    CountCheck(
        code="names", what="The share of the instructions whose function has a name.",
        why="A difference could hide in code without a name.",
        threshold=f"INVALID below {LEAST_NAMED:.1%}",
        source="/proc/kallsyms, read while the arm is loaded", look=names,
    ),
    CountCheck(
        code="hits", what="The hook's own counter against the frames that were sent.",
        why="A hook that meets other packets than these is not what was counted.",
        threshold="INVALID unless equal, warm-up included; SUSPECT without a counter",
        source="the arm's count command before and after", look=hits,
    ),
    CountCheck(
        code="attached", what="How the hook is attached, before the packets and after them.",
        why="A hook that is gone half-way makes packets that did not meet it.",
        threshold="INVALID unless as its manifest says at both times",
        source="the arm's verify command", look=attached,
    ),
    CountCheck(
        code="delivery",
        what="Packets that reach the socket and then the program.",
        why="A dropped packet has a shorter life.",
        threshold="SUSPECT for any that is dropped, or when the end of more than "
        f"{MOST_UNSEEN:.0%} is not seen; INVALID for most packets",
        source="the path of every packet",
        look=delivery,
    ),
    CountCheck(
        code="typical", what="The share of packets with exactly the typical count.",
        why="The most frequent count says little where most packets have another.",
        threshold=f"SUSPECT below {MOST_PACKETS:.0%}, INVALID below {FEWEST_PACKETS:.0%}",
        source="recorded counts: 61 to 66 %", look=typical,
    ),
    CountCheck(
        code="table", what="Whether the counter's tables had room for all that ran.",
        why="What finds no place there has no name, or is not counted.",
        threshold="INVALID when blocks are left out; SUSPECT when cache lines are",
        source="the counter's own flags", look=table,
    ),
    CountCheck(
        code="faults", what="Processor exceptions within a packet's life.",
        why="A block that stops half-way is counted whole.",
        threshold="SUSPECT for any; INVALID in most packets",
        source="entries of the kernel's asm_exc_ functions", look=faults,
    ),
    CountCheck(
        code="identity", what="One QEMU, CPU, kernel, boot, NIC and box for all arms.",
        why="Each of them changes counts without any hook.",
        threshold="INVALID unless equal; SUSPECT when one is not recorded",
        source=f"count.json; under KASLR the address of {LANDMARK} tells boots apart",
        look=identity,
    ),
    CountCheck(
        code="gate", what="Whether the arms do the reference's work, byte for byte.",
        why="A hook that leaves work out executes fewer instructions.",
        threshold="INVALID for an arm that does other work; SUSPECT when the gate was not run",
        source="the gate before the count (docs/measuring.md)", look=gate,
    ),
)  # fmt: skip
