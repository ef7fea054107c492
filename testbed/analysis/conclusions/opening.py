# SPDX-License-Identifier: Apache-2.0
"""The first thing the page says: may these numbers be compared, and if not, why not."""

from dataclasses import dataclass

from testbed.analysis.conclusions import answers as words
from testbed.analysis.conclusions import sentences
from testbed.analysis.conclusions.comparison import Comparison, excluded_arms
from testbed.analysis.conclusions.grouping import grouped, rank
from testbed.analysis.conclusions.second_opinion import disagreements, order_text
from testbed.analysis.findings import (
    DELIVERED_INVALID,
    Finding,
    Verdict,
    about_comparison,
    worst,
)
from testbed.analysis.reading.records import Arm, Run, Trial

_REASONS = {
    "checksum": "its packets were dropped for wrong UDP checksums",
    "hits": "its hook's counter does not fit what was sent and what arrived",
    "mode": "it was not attached as its label says",
    "logging": "it wrote the kernel log while it was timed",
    "cost": "its CPU time per packet could not be computed",
    "complete": "trials or files of it are missing",
    "exhibit": "it is an exhibit of the original experiment, never ranked",
    "ledger": "packets were lost on the way, and the ledger names where",
    "same-work": "it does other work than the reference, byte for byte",
    "sample": "packets of its trials did not come out as the reference says",
    "window": "its CPU window was not filled by the traffic",
    "floor": "its CPU time does not stand out of the noise",
    "quiet": "something else kept the server busy",
    "contention": "the machines did not have the host's CPUs",
    "generator": "it was not sent the load that was asked for",
    "receiver": "the receiving program could not keep up",
    "device": "the server's NIC or queues dropped packets",
    "merging": "packets went through the stack merged or in fragments",
    "state": "the server differed from the other trials by more than the hook",
    "memory": "it keeps kernel memory for packets",
    "instruments": "it was watched by instruments that take time",
    "clock": "the server's clock was wrong",
}

THE_HOST = ("quiet", "contention")
FOLLOWS_FROM_THE_HOST = ("generator", "device", "receiver", "window", "batch", "replication")
"""Checks that find what a busy host, or a busy server, does to the load."""
MOST_ANSWERS = 6
"""Sentences at the top of a page: those of four hooks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """`status` is VALID, SUSPECT, INVALID or INCOMPLETE; the rest are whole sentences.

    `answers` compare hook with hook; `notes` say how much to make of them: the smallest effect
    that would have been seen, and what the controls came to.
    """

    status: str
    headline: str
    reasons: tuple[str, ...]
    answers: tuple[str, ...]
    notes: tuple[str, ...] = ()


def opening(
    run: Run, findings: tuple[Finding, ...], comparisons: tuple[Comparison, ...]
) -> Opening:
    headlines = [c for c in comparisons if c.is_headline]
    valid = [c for c in headlines if c.ratio is not None or c.rates is not None]
    answers = tuple(words.answer(run, c) for c in valid[:MOST_ANSWERS])
    if len(valid) > MOST_ANSWERS:
        answers += (f"And {len(valid) - MOST_ANSWERS:,} more comparisons, in the table below.",)
    if not run.complete:
        planned = sum(len(block) for block in run.blocks)
        return Opening(
            status="INCOMPLETE",
            headline=f"This run did not finish: {len(run.trials)} of {planned} planned trials "
            "have files. Nothing is compared.",
            reasons=run.reasons,
            answers=(),
        )
    status = worst(findings)
    excluded = excluded_arms(run, findings)
    reasons = _of_the_run(findings)
    reasons += _why_excluded(run, excluded, findings)
    if status is Verdict.INVALID:
        lossy = sum(_is_short(trial) for trial in run.trials)
        named = ", ".join(run.arm(name).title for name in excluded)
        if lossy:
            headline = (
                f"No ratio is printed: in {lossy} of {len(run.trials)} trials less than "
                f"{DELIVERED_INVALID * 100:.0f}\u00a0% of the packets arrived."
            )
        elif any(c.ratio for c in comparisons):
            headline = f"Compared without {named}, whose numbers do not mean what they seem to."
        else:
            headline = "No ratio is printed: these numbers do not mean what they seem to."
    elif status is Verdict.SUSPECT:
        headline = "The checks found nothing that forbids a comparison, but read it with care."
        if headlines and not any(c.ratio for c in headlines):
            headline = "No ratio is printed: the arms were not sent the same load."
        reasons = _suspicions(run, findings)
    else:
        headline = (
            "Every check holds: what was sent arrived, and every arm was what its label says."
            if len(run.arms) > 1
            else "Every check holds."
        )
    reasons += _first_of_all(run, findings)
    if not headlines and status is not Verdict.INVALID:
        answers = (_why_no_answer(run),)
    return Opening(
        status=status.value,
        headline=headline,
        reasons=reasons,
        answers=answers,
        notes=_notes(run, comparisons),
    )


def _of_the_run(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """What is wrong with the run as such."""
    return tuple(
        f"The run: {finding.statement}."
        for finding in about_comparison(findings)
        if finding.verdict is Verdict.INVALID and finding.scope.arm is None
    )


def _why_no_answer(run: Run) -> str:
    hooks = sum(not (arm.is_baseline or arm.control_kind) for arm in run.arms)
    if hooks > 1:
        return "No two hooks did the same kind of work, so none is compared with another."
    if hooks == 1:
        return "Only one hook was measured, so there is no second one to compare it with."
    return "No hook was measured, so there is nothing to compare."


def _notes(run: Run, comparisons: tuple[Comparison, ...]) -> tuple[str, ...]:
    """How much the answers can tell (or, without an answer, each hook against no hook)."""
    measured = [c for c in comparisons if not c.is_control]
    headlines = tuple(c for c in measured if c.is_headline)
    apart = [order_text(run, found) for found in disagreements(run, headlines or tuple(measured))]
    notes = [*apart[:MOST_ANSWERS], words.mde_text(run, headlines or measured)]
    if any(c.ratio for c in comparisons):
        notes += [words.together_text(comparisons), words.boots_text(run)]
    aa_pairs = [c for c in comparisons if c.control_kind == "again"]
    notes += [words.aa_answer(run, c) for c in aa_pairs]
    unmatched = [c for c in comparisons if c.control_kind == "unmatched" and c.ratio]
    notes += [f"Control: {words.answer(run, c)}" for c in unmatched]
    return tuple(note for note in notes if note)


def _why_excluded(
    run: Run, excluded: dict[str, tuple[str, ...]], findings: tuple[Finding, ...]
) -> tuple[str, ...]:
    """A line for each set of reasons, causes first, with the arms that have them."""
    titles: dict[str, list[str]] = {}
    for name, codes in excluded.items():
        parts = [
            _delivered(run, run.arm(name))
            if code == "delivery"
            else _REASONS.get(code, f"check “{code}” failed") + _at_worst(code, findings)
            for code in sorted(codes, key=rank)
        ]
        titles.setdefault("; ".join(parts), []).append(run.arm(name).title)
    return tuple(f"{', '.join(arms)}: {why}." for why, arms in titles.items())


def _at_worst(code: str, findings: tuple[Finding, ...]) -> str:
    """Of a reason that is the host's, not an arm's: the reading that was worst in any trial."""
    grave = [f for f in findings if f.code == code and f.verdict is Verdict.INVALID]
    if code not in THE_HOST or not grave:
        return ""
    return f" (at worst: {max(grave, key=lambda finding: finding.degree).statement})"


def _is_short(trial: Trial) -> bool:
    share = trial.delivered_share
    return share is not None and share < DELIVERED_INVALID


def _delivered(run: Run, arm: Arm) -> str:
    """What the short trials of an arm delivered: all of them together when all are short."""
    trials = [t for t in run.trials_of(arm.name) if t.client and t.server]
    short = [t for t in trials if _is_short(t)]
    offered = sum(t.client.offered for t in short if t.client)
    unique = sum(t.server.unique for t in short if t.server)
    percent = sentences.share(unique / offered if offered else None)
    numbers = ", ".join(str(t.number) for t in short)
    where = "" if len(short) == len(trials) else f" in trial{'s'[: len(short) > 1]} {numbers}"
    return f"delivered {unique:,} of {offered:,} packets ({percent}\u00a0%){where}"


def _suspicions(run: Run, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """A bullet for each matter, causes first."""
    said = [group.sentence for group in grouped(run, about_comparison(findings))]
    return (*said[:6], f"And {len(said) - 6} more, below.") if len(said) > 7 else tuple(said)


def _first_of_all(run: Run, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """What to do about the first of the gravest matters, for the others may follow from it; where
    that is one of the load, about what kept the machines from carrying it, however grave."""
    groups = grouped(run, about_comparison(findings))
    if groups and groups[0].code in FOLLOWS_FROM_THE_HOST:
        groups = tuple(group for group in groups if group.code in THE_HOST) or groups
    return tuple(f"What to do first: {group.advice}" for group in groups[:1] if group.advice)
