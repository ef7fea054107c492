# SPDX-License-Identifier: Apache-2.0
"""Two runs beside each other: only when they are alike in all that decides what a packet costs.

The trials of two runs are not interleaved. Their ratio is therefore not paired, and its interval
(Welch's t on the logarithms) knows the spread within each run, not what changed between them:
another boot, another hour, a neighbour on the same host. So it says what could be seen, and the
page says what it cannot know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt
from statistics import fmean, variance

from testbed.analysis.conclusions.comparison import NO_ANSWER, excluded_arms, verdict_on, voiding
from testbed.analysis.findings import Finding, Verdict, about_comparison, check_run
from testbed.analysis.measures import gro
from testbed.analysis.measures.cost import costs_by_block
from testbed.analysis.measures.cost_names import cost_unit
from testbed.analysis.measures.rates import BIAS_WITHHELD, bias, mean_rate
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Run
from testbed.analysis.statistics.intervals import LARGEST_LOG, Ratio, student_t
from testbed.model.nic import INTERFACE

CAVEAT = (
    "The two runs were not interleaved: whatever else changed between them is in these ratios too."
)

INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """The cost of one arm in the second run over its cost in the first; `ratio` is None where the
    two must not be compared, and `why` then says it."""

    arm: str
    title: str
    ratio: Ratio | None
    verdict: str
    why: str = ""
    suspect: bool = False

    @property
    def is_invalid(self) -> bool:
        return self.verdict == INVALID


def _setting(*keys: str) -> Callable[[Run], str]:
    def read(run: Run) -> str:
        value: object = run.config
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return environment.UNKNOWN if value is None else str(value)

    return read


def _fact(*keys: str) -> Callable[[Run], str]:
    return lambda run: environment.fact(run, *keys)


ALIKE: tuple[tuple[str, Callable[[Run], str]], ...] = (
    ("profile", lambda run: run.profile),
    ("accelerator", environment.accelerator),
    ("host CPU", _fact("host", "cpu_model")),
    ("host cores", _fact("host", "cores")),
    ("NIC driver", environment.nic_driver),
    ("server kernel", environment.kernel),
    ("server CPUs", environment.server_cpus),
    ("clock source", _fact("server-before", "clocksource", "current")),
    ("rate, packets/s", _setting("bench", "rate_pps")),
    ("jitter", _setting("bench", "jitter")),
    ("trial, s", _setting("bench", "duration_s")),
    ("payload, bytes", _setting("bench", "payload_bytes")),
    (f"GRO on {INTERFACE}", gro.switch),
)
"""Facts that must be the same in both runs, by the name that a refusal gives them."""


def differences(first: Run, second: Run) -> tuple[str, ...]:
    """Every setting that differs, or is not known, as "name: a in the first, b in the second"."""
    found = []
    for name, read in ALIKE:
        one, two = read(first), read(second)
        if one != two:
            found.append(f"{name}: {one} in {first.run_id}, {two} in {second.run_id}")
        elif one == environment.UNKNOWN:
            found.append(f"{name}: not recorded")
    return tuple(found)


def arms_of_one(first: Run, second: Run) -> tuple[str, ...]:
    """Arms that only one of the two runs has, as "title, in run"."""
    found = []
    for run, other in ((first, second), (second, first)):
        theirs = {arm.name for arm in other.arms}
        found += [f"{arm.title}, in {run.run_id}" for arm in run.arms if arm.name not in theirs]
    return tuple(found)


def compare_runs(first: Run, second: Run) -> tuple[Across, ...]:
    """One row for every arm that both runs have; the caller has seen that the runs are alike."""
    names = [arm.name for arm in second.arms if any(arm.name == a.name for a in first.arms)]
    findings = [check_run(run) for run in (first, second)]
    voids = [_void(run, found) for run, found in zip((first, second), findings, strict=True)]
    doubted = {f.scope.arm for found in findings for f in about_comparison(found)
               if f.verdict is Verdict.SUSPECT}  # fmt: skip
    rows = []
    for name in names:
        why = [
            f"{run.run_id}: {void.get(None) or void[name]}"
            for run, void in zip((first, second), voids, strict=True)
            if None in void or name in void
        ]
        row = _row(first, second, name, "; ".join(why))
        rows.append(replace(row, suspect=bool(row.ratio and doubted & {None, name})))
    return tuple(rows)


def _row(first: Run, second: Run, name: str, why: str) -> Across:
    """An arm's ratio, or why it has none."""
    title = second.arm(name).title
    if why:
        return Across(arm=name, title=title, ratio=None, verdict=INVALID, why=why)
    costs = [list(costs_by_block(run, name).values()) for run in (second, first)]
    for run, known in zip((second, first), costs, strict=True):
        bad = [cost for cost in known if not 0 < cost < inf]
        if bad or not known:
            said = f"a cost of {bad[0]:.3g} {cost_unit(run)} per packet" if bad else "no known cost"
            why = f"{run.run_id}: {said}"
            return Across(arm=name, title=title, ratio=None, verdict=INVALID, why=why)
    if min(map(len, costs)) < 2:
        why = "one trial says nothing about spread: --trials 5 or more"
        return Across(arm=name, title=title, ratio=None, verdict="inconclusive", why=why)
    rates = [mean_rate(run, name) for run in (first, second)]
    slow, fast = min(r or 0.0 for r in rates), max(r or 0.0 for r in rates)
    if slow > 0 and bias(slow, fast) > BIAS_WITHHELD:
        why = (
            f"it was sent {rates[0]:,.0f} packets/s in {first.run_id} and {rates[1]:,.0f} in "
            f"{second.run_id}, and a packet costs more at a lower rate"
        )
        return Across(arm=name, title=title, ratio=None, verdict=NO_ANSWER, why=why)
    ratio = unpaired_ratio(*([log(cost) for cost in known] for known in costs))
    return Across(arm=name, title=title, ratio=ratio, verdict=verdict_on(ratio))


def _void(run: Run, findings: tuple[Finding, ...]) -> dict[str | None, str]:
    """Why an arm of this run must not be compared, by its name; None for the run as a whole."""
    if not run.complete:
        return {None: "the run is not complete"}
    if of_run := voiding(findings):
        return {None: f"INVALID {', '.join(of_run)}"}
    excluded = excluded_arms(run, findings)
    return {arm: f"INVALID {', '.join(codes)}" for arm, codes in excluded.items()}


def unpaired_ratio(logs: Sequence[float], reference_logs: Sequence[float]) -> Ratio | None:
    """Ratio of geometric means of two independent samples, with Welch's 95 % t interval.

    None when either has fewer than two values, or the ratio is too large for a number.
    `block_count` is that of the smaller sample.
    Source: B. L. Welch, Biometrika 34 (1947); degrees of freedom after Satterthwaite.
    """
    counts = [len(logs), len(reference_logs)]
    if min(counts) < 2:
        return None
    mean = fmean(logs) - fmean(reference_logs)
    parts = [variance(x) / n for x, n in zip((logs, reference_logs), counts, strict=True)]
    error = sqrt(sum(parts))
    if error == 0:
        return Ratio(ratio=exp(mean), low=exp(mean), high=exp(mean), block_count=min(counts))
    degrees = sum(parts) ** 2 / sum(p**2 / (n - 1) for p, n in zip(parts, counts, strict=True))
    half = student_t_of(degrees) * error
    if abs(mean) + half > LARGEST_LOG:
        return None
    low, high = exp(mean - half), exp(mean + half)
    return Ratio(ratio=exp(mean), low=low, high=high, block_count=min(counts))


def student_t_of(degrees: float) -> float:
    """The quantile for degrees of freedom that are no whole number, rounded down: wider."""
    return student_t(max(1, int(degrees)))
