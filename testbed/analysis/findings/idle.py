# SPDX-License-Identifier: Apache-2.0
"""Compare each arm's idle windows with those without a hook: their load is taken off the cost."""

from math import sqrt
from statistics import fmean, variance

from testbed.analysis.findings.finding import Evidence, Finding, Verdict, of_arm
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.reading.records import Run

EFFECT, STANDARD_ERRORS = 0.05, 3.0
"""The smallest effect of interest, of the arm's cost; and how clear the difference must be."""
ENOUGH = 2
"""Trials of an arm: one has no spread."""


def idle_unlike(run: Run) -> list[Finding]:
    """An arm that works while nothing is sent, and rests in the traffic, would seem cheap.

    Its idle rate times the traffic's time is taken off its cost (testbed/analysis/measures/cost.py).
    """
    baseline = next((arm for arm in run.arms if arm.is_baseline and not arm.control_kind), None)
    usual = _idle(run, baseline.name) if baseline else []
    found = []
    for arm in run.arms:
        rates = _idle(run, arm.name)
        if arm is baseline or min(len(rates), len(usual)) < ENOUGH:
            continue
        more = fmean(rates) - fmean(usual)
        error = sqrt(variance(rates) / len(rates) + variance(usual) / len(usual))
        share = _share(run, arm.name, more)
        if share is None or abs(share) <= EFFECT or abs(more) <= STANDARD_ERRORS * error:
            continue
        word = "busier" if more > 0 else "less busy"
        off = "taken off" if more > 0 else "left in"
        found.append(
            of_arm(arm.name).finding(
                "quiet",
                Verdict.SUSPECT,
                f"its idle windows were {word} than those without a hook by {abs(more):.2f} CPUs: "
                f"{abs(share):.0%} of its cost are {off}",
                Evidence(
                    quantity="idle rate over that without a hook, as a share of the cost",
                    observed=round(share, 4),
                    bound=f"± {EFFECT:g}, or within {STANDARD_ERRORS:g} standard errors",
                ),
                advice="The hook, or what it started, works while nothing is sent: unload it in "
                "the idle window by hand and look with top what goes away.",
                degree=abs(share),
            )
        )
    return found


def _idle(run: Run, arm: str) -> list[float]:
    costs = (cost_of(trial) for trial in run.trials_of(arm))
    return [cost.idle.rate for cost in costs if cost is not None and cost.idle is not None]


def _share(run: Run, arm: str, more: float) -> float | None:
    """Share of a packet's cost that `more` busy CPUs in the idle window take off."""
    shares = []
    for trial in run.trials_of(arm):
        cost = cost_of(trial)
        if cost is None or not cost.cost_us or trial.server is None or not trial.server.unique:
            continue
        off_us = more * cost.traffic.wall_s / trial.server.unique * 1e6
        shares.append(off_us / cost.cost_us)
    return fmean(shares) if shares else None
