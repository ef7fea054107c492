# SPDX-License-Identifier: Apache-2.0
"""The first thing the page says: may these numbers be compared, and if not, why not."""

from dataclasses import dataclass

from testbed.analysis import wording
from testbed.analysis.comparison import Comparison, excluded_arms
from testbed.analysis.findings import DELIVERED_INVALID, Finding, Verdict, worst
from testbed.analysis.grouping import grouped
from testbed.analysis.records import Arm, Run, Trial

_REASONS = {
    "checksum": "its packets were dropped for wrong UDP checksums",
    "hits": "its hook's counter does not fit what was sent and what arrived",
    "mode": "it was not attached as its label says",
    "logging": "it wrote the kernel log while it was timed",
    "cost": "its CPU time per packet could not be computed",
    "complete": "trials or files of it are missing",
    "exhibit": "it is an exhibit of the original experiment, never ranked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """`status` is VALID, SUSPECT, INVALID or INCOMPLETE; `reasons` are whole sentences."""

    status: str
    headline: str
    reasons: tuple[str, ...]
    answers: tuple[str, ...]


def opening(
    run: Run, findings: tuple[Finding, ...], comparisons: tuple[Comparison, ...]
) -> Opening:
    headlines = [c for c in comparisons if c.is_headline]
    valid = [c for c in headlines if c.ratio is not None]
    answers = tuple(wording.answer(run, c) for c in valid)
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
    reasons = tuple(_why_excluded(run, run.arm(arm), codes) for arm, codes in excluded.items())
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
        reasons = _suspicions(run, findings)
    else:
        headline = (
            "Every check holds: what was sent arrived, and every arm was what its label says."
            if len(run.arms) > 1
            else "Every check holds."
        )
    if not headlines and status is not Verdict.INVALID:
        answers = ("Only one hook was measured, so there is no second one to compare it with.",)
    return Opening(status=status.value, headline=headline, reasons=reasons, answers=answers)


def _why_excluded(run: Run, arm: Arm, codes: tuple[str, ...]) -> str:
    parts = []
    if "delivery" in codes:
        parts.append(_delivered(run, arm))
    parts += [_REASONS.get(code, f"check “{code}” failed") for code in codes if code != "delivery"]
    return f"{arm.title}: " + "; ".join(parts) + "."


def _is_short(trial: Trial) -> bool:
    share = trial.delivered_share
    return share is not None and share < DELIVERED_INVALID


def _delivered(run: Run, arm: Arm) -> str:
    """What the short trials of an arm delivered: all of them together when all are short."""
    trials = [t for t in run.trials_of(arm.name) if t.client and t.server]
    short = [t for t in trials if _is_short(t)]
    offered = sum(t.client.offered for t in short if t.client)
    unique = sum(t.server.unique for t in short if t.server)
    percent = wording.share(unique / offered if offered else None)
    numbers = ", ".join(str(t.number) for t in short)
    where = "" if len(short) == len(trials) else f" in trial{'s'[: len(short) > 1]} {numbers}"
    return f"delivered {unique:,} of {offered:,} packets ({percent}\u00a0%){where}"


def _suspicions(run: Run, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    groups = grouped(run, findings)
    said = [f"{line}." for group in groups for line in group.lines]
    return (*said[:6], f"And {len(said) - 6} more, below.") if len(said) > 7 else tuple(said)
