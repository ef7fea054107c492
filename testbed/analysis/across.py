# SPDX-License-Identifier: Apache-2.0
"""Two runs beside each other: only when they are alike in all that decides what a packet costs.

The trials of two runs are not interleaved. Their ratio is therefore not paired, and its interval
(Welch's t on the logarithms) knows the spread within each run, not what changed between them:
another boot, another hour, a neighbour on the same host. So it says what could be seen, and the
page says what it cannot know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import fmean, variance

from testbed.analysis import environment, gro
from testbed.analysis.comparison import costs_by_block, excluded_arms, verdict_on
from testbed.analysis.findings import Verdict, check_run, worst
from testbed.analysis.records import Run
from testbed.analysis.statistics import Ratio, student_t

CAVEAT = (
    "The two runs were not interleaved: whatever else changed between them is in these ratios too."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """The cost of one arm in the second run over its cost in the first; None: not comparable."""

    arm: str
    title: str
    ratio: Ratio | None
    verdict: str


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
    ("GRO on lab0", gro.switch),
)
"""What must be the same in both, by the name that a refusal gives it."""


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


def compare_runs(first: Run, second: Run) -> tuple[Across, ...]:
    """One row for every arm that both runs have; the caller has seen that the runs are alike."""
    valid = [_valid_arms(run) for run in (first, second)]
    names = [arm.name for arm in second.arms if any(arm.name == a.name for a in first.arms)]
    rows = []
    for name in names:
        usable = all(name in arms for arms in valid)
        logs = [[log(c) for c in costs_by_block(r, name).values()] for r in (second, first)]
        ratio = unpaired_ratio(*logs) if usable else None
        verdict = verdict_on(ratio)
        title = second.arm(name).title
        rows.append(Across(arm=name, title=title, ratio=ratio, verdict=verdict))
    return tuple(rows)


def _valid_arms(run: Run) -> set[str]:
    findings = check_run(run)
    of_run = tuple(f for f in findings if f.scope.arm is None)
    if not run.complete or worst(of_run) is Verdict.INVALID:
        return set()
    return {arm.name for arm in run.arms} - excluded_arms(run, findings).keys()


def unpaired_ratio(logs: Sequence[float], reference_logs: Sequence[float]) -> Ratio | None:
    """Ratio of geometric means of two independent samples, with Welch's 95 % t interval.

    None when either has fewer than two values. `block_count` is that of the smaller sample.
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
    low, high = exp(mean - half), exp(mean + half)
    return Ratio(ratio=exp(mean), low=low, high=high, block_count=min(counts))


def student_t_of(degrees: float) -> float:
    """The quantile for degrees of freedom that are no whole number, rounded down: wider."""
    return student_t(max(1, int(degrees)))
