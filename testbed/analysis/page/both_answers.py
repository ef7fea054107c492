# SPDX-License-Identifier: Apache-2.0
"""The opening of a page with two answers: one sentence of the exact count, one of CPU time.

They stand beside each other and are never put into one number.
"""

from dataclasses import dataclass

from testbed.analysis.conclusions.comparison import NO_ANSWER, NO_DIFFERENCE, Comparison
from testbed.analysis.conclusions.opening import Opening
from testbed.analysis.conclusions.sentences import interval_text, ratio_text
from testbed.analysis.measures.cost_names import cost_noun
from testbed.analysis.reading.records import Run
from testbed.analysis.receipt.lane import Lane

CPU_TIME = "CPU time: "
OPEN = ("inconclusive", "invalid", NO_ANSWER)


@dataclass(frozen=True, slots=True)
class Both:
    """Two sentences."""

    exact: str
    cpu_time: str


def both_answers(run: Run, comparisons: tuple[Comparison, ...], said: Opening, lane: Lane) -> Both:
    """Return the two sentences of a run that has a count, or tried to have one."""
    sure = " (SUSPECT)." if said.status == "SUSPECT" else "."
    return Both(lane.exact, f"{CPU_TIME}{_of_trials(run, comparisons, said)}{sure}")


def _of_trials(run: Run, comparisons: tuple[Comparison, ...], said: Opening) -> str:
    measured = [c for c in comparisons if not c.is_control]
    asked = [c for c in measured if c.is_headline] or measured
    if said.status == "INCOMPLETE":
        return "no answer, because the run did not finish"
    if not asked:
        invalid = said.status == "INVALID"
        return "no answer; the trials are INVALID" if invalid else "nothing to compare"
    if len(asked) == 1:
        return _one(run, asked[0])
    settled = sum(c.verdict not in OPEN for c in asked)
    if settled:
        return f"{settled:,} of {len(asked):,} comparisons are settled, as told below"
    if all(c.verdict == "inconclusive" for c in asked):
        return f"inconclusive on this machine, in all of {len(asked):,} comparisons"
    return f"none of {len(asked):,} comparisons is settled, as told below"


def _one(run: Run, comparison: Comparison) -> str:
    arm, reference = run.arm(comparison.arm).title, run.arm(comparison.reference).title
    numbers = f"95\u00a0% interval {interval_text(comparison.ratio)}"
    if comparison.verdict == "invalid":
        return f"no answer; the trials of “{arm}” or “{reference}” are INVALID"
    if comparison.verdict == NO_ANSWER:
        return "no answer, because the arms were not sent the same load"
    if comparison.verdict == "inconclusive":
        return "inconclusive on this machine"
    if comparison.verdict.startswith(NO_DIFFERENCE):
        return f"{comparison.verdict} between “{arm}” and “{reference}” ({numbers})"
    return (
        f"“{arm}” took {ratio_text(comparison.ratio)} times the {cost_noun(run)} per packet of "
        f"“{reference}” ({numbers})"
    )
