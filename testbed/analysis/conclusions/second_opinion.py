# SPDX-License-Identifier: Apache-2.0
"""Does the host's clock order two arms as the guest's does? Where not, a page has to say so.

The guest counts what its CPUs did not idle; the host counts how long it ran the threads of these
CPUs (`instruments/host_vcpus.py`). Neither knows of the other. Where both find the same arm dearer,
that is no artefact of one clock; where they do not, the headline rests on which of them one
believes.
"""

from dataclasses import dataclass
from math import log

from testbed.analysis.conclusions.comparison import Comparison
from testbed.analysis.conclusions.sentences import interval_text, ratio_text
from testbed.analysis.instruments.host_vcpus import vcpu_us
from testbed.analysis.reading.records import Run
from testbed.analysis.statistics.intervals import Ratio, paired_ratio

ALIKE = 0.01
"""Two arms that either instrument finds within 1 % of one another are in no order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A comparison, and the ratio that the host's instrument has in its place."""

    comparison: Comparison
    by_host: Ratio

    @property
    def is_clear(self) -> bool:
        """Whether the host's interval leaves out 1, on the other side than the guest's ratio."""
        low, high = self.by_host.low, self.by_host.high
        return low is not None and high is not None and (high < 1 or low > 1)


def disagreements(run: Run, comparisons: tuple[Comparison, ...]) -> tuple[Disagreement, ...]:
    """The comparisons whose arms the host's instrument orders otherwise; those of two blocks or
    more, by the means of the same trials."""
    found = []
    by_arm = {arm.name: _by_block(run, arm.name) for arm in run.arms} if comparisons else {}
    for comparison in comparisons:
        by_guest = comparison.ratio
        pair = by_arm[comparison.arm], by_arm[comparison.reference]
        by_host = paired_ratio(*pair, run.boot_by_block)
        if by_guest is None or by_host is None or by_guest.block_count < 2:
            continue
        one, other = log(by_guest.ratio), log(by_host.ratio)
        if one * other < 0 and min(abs(one), abs(other)) > ALIKE:
            found.append(Disagreement(comparison=comparison, by_host=by_host))
    return tuple(found)


def order_text(run: Run, found: Disagreement) -> str:
    """That the two disagree, and how much to make of it."""
    arm = run.arm(found.comparison.arm).title
    reference = run.arm(found.comparison.reference).title
    low_or_high = "less" if found.by_host.ratio < 1 else "more"
    said = (
        f"The host’s clock orders the two otherwise: by its count “{arm}” took {low_or_high} than "
        f"“{reference}”, {ratio_text(found.by_host)} times "
        f"(95\u00a0% interval {interval_text(found.by_host)})"
    )
    if found.is_clear:
        return f"{said}. One of the two clocks is wrong about these arms: believe neither order."
    return f"{said}. So their order may be an artefact of the clock that it was read from."


def _by_block(run: Run, arm: str) -> dict[int, float]:
    """Host time of the server's virtual CPUs per packet, by block."""
    readings = {trial.block: vcpu_us(trial) for trial in run.trials_of(arm)}
    return {block: value for block, value in readings.items() if value is not None}
