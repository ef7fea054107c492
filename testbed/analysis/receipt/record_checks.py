# SPDX-License-Identifier: Apache-2.0
"""Checks of a count's record: whole, unchanged, closed, named, and typical of most packets."""

from collections.abc import Mapping

from testbed.analysis.findings.finding import WHOLE_RUN, Evidence, Finding, Verdict, of_arm
from testbed.analysis.receipt.count_run import CountRun
from testbed.model.count_files import LINES_FULL, TABLE_FULL

LEAST_NAMED = 0.995
"""Below it too much of a packet's path has no name, and a difference could hide there. Recorded
counts of three arms on Linux 6.1 have 1.0.
"""
MOST_PACKETS, FEWEST_PACKETS = 0.5, 0.2
"""Recorded counts: 61 to 66 % of 272 packets have the typical count. A stale neighbour entry, the
largest change seen that holds for many packets, once held for half of them.
"""
MOST_CUT = 0.02
"""Packets without a count, as for those whose end is not seen: recorded, 1 of 68 had its life cut
by 260,000 blocks of another process, on a host with a load of 7.
"""


def complete(run: CountRun) -> list[Finding]:
    found = [
        of_arm(one.arm).finding(
            "complete", Verdict.INVALID, f"no packet of {one.payload_bytes:,} bytes was counted",
            Evidence(quantity="packets", observed=0, bound="at least 1"),
            advice="Count again; the log in the run's folder tells where it stopped.",
        )
        for one, summary in run.result.summaries.items()
        if not summary.packets
    ]  # fmt: skip
    return found + [
        WHOLE_RUN.finding("complete", Verdict.INVALID, reason, advice="Count again.")
        for reason in run.reasons
    ]


def edited(run: CountRun) -> list[Finding]:
    return [
        WHOLE_RUN.finding(
            "edited", Verdict.INVALID, f"{name} is not the file that was recorded",
            advice="Its checksum differs from the manifest's: get the file back, or count again.",
        )
        for name in run.edited
    ]  # fmt: skip


def sums(run: CountRun) -> list[Finding]:
    found = []
    for one in run.receipts:
        staged = sum(taken.instructions for taken in one.stages.values())
        if one.summary.closes and staged == one.instructions:
            continue
        found.append(of_arm(one.arm).finding(
            "sums", Verdict.INVALID, "the parts do not add up to the instructions recorded",
            Evidence(quantity="difference", observed=staged - one.instructions, bound="0"),
            advice="A block is counted twice or not at all: report this as a bug.",
        ))  # fmt: skip
    return found


def names(run: CountRun) -> list[Finding]:
    found = []
    for one in run.receipts:
        share = one.summary.named_share
        if share >= LEAST_NAMED:
            continue
        found.append(of_arm(one.arm).finding(
            "names", Verdict.INVALID, f"{1 - share:.1%} of the instructions have no name",
            Evidence(quantity="named share", observed=share, bound=f"at least {LEAST_NAMED}"),
            advice="The kernel hides names: look at kernel.kptr_restrict, net.core.bpf_jit_harden "
            "and net.core.bpf_jit_kallsyms.", degree=1 - share,
        ))  # fmt: skip
    return found


def typical(run: CountRun) -> list[Finding]:
    found = []
    for one in run.receipts:
        share = one.summary.typical_share
        if share >= MOST_PACKETS:
            continue
        verdict = Verdict.SUSPECT if share >= FEWEST_PACKETS else Verdict.INVALID
        found.append(of_arm(one.arm).finding(
            "typical", verdict, f"only {share:.0%} of the packets have the typical count",
            Evidence(quantity="share", observed=share, bound=f"at least {MOST_PACKETS}"),
            advice="The other counts and their causes are in the table of variants.",
            degree=1 - share,
        ))  # fmt: skip
    return found


def table(run: CountRun) -> list[Finding]:
    found = []
    for one in run.receipts:
        facts, flags = one.summary.counted.facts, 0
        for stretch in one.summary.counted.stretches:
            flags |= stretch.flags
        known = facts.get("table")
        full = isinstance(known, Mapping) and known.get("full")
        short, sent = one.summary.cut_short, len(one.summary.counted.stretches)
        for wrong, verdict, words in (
            (full or flags & TABLE_FULL, Verdict.INVALID,
             "more blocks ran than the counter's table holds"),
            (short > MOST_CUT * sent,
             Verdict.INVALID if 2 * short > sent else Verdict.SUSPECT,
             f"other work ran too long beside {short:,} of {sent:,} packets to be recorded"),
            (flags & LINES_FULL, Verdict.SUSPECT,
             "a packet touched more cache lines than the counter's table holds"),
        ):  # fmt: skip
            if wrong:
                found.append(of_arm(one.arm).finding(
                    "table", verdict, words,
                    advice="The record is not whole. Count fewer packets, or raise the table's "
                    "size in counter/counter.c.",
                ))  # fmt: skip
    return found


def faults(run: CountRun) -> list[Finding]:
    found = []
    for one in run.receipts:
        number = one.summary.faults
        if not number:
            continue
        in_most = number * 2 > len(one.summary.packets)
        found.append(of_arm(one.arm).finding(
            "faults", Verdict.INVALID if in_most else Verdict.SUSPECT,
            f"{number:,} packets had a processor exception within their life",
            Evidence(quantity="packets with a fault", observed=number, bound="0"),
            advice="A block that stops half-way is counted whole: such a packet has too many "
            "instructions.",
        ))  # fmt: skip
    return found
