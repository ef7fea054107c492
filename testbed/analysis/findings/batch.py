# SPDX-License-Identifier: Apache-2.0
"""The check that every arm's packets came in batches of the same size."""

from testbed.analysis.findings.finding import (
    Check,
    Evidence,
    Finding,
    Verdict,
    of_arm,
)
from testbed.analysis.instruments.interrupts import packets_per_interrupt
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.statistics.intervals import geometric_mean
from testbed.model.nic import INTERFACE

BATCH_SUSPECT = 0.10


def batch(run: Run) -> list[Finding]:
    found, means = [], {}
    for arm in run.arms:
        per_trial = [
            packets_per_interrupt(trial)
            for trial in run.trials_of(arm.name)
            if trial.server is not None
        ]
        known = [value for value in per_trial if value is not None]
        if len(known) < len(per_trial):
            found.append(of_arm(arm.name).unknown("batch", "the NIC's interrupts"))
        elif known:
            means[arm.name] = geometric_mean(known)
    reference = _reference(run.arms)
    expected = means.get(reference.name) if reference else None
    if reference is None or expected is None:
        return found
    for name, mean in means.items():
        if mean is None or abs(mean / expected - 1) <= BATCH_SUSPECT:
            continue
        found.append(
            of_arm(name).finding(
                "batch",
                Verdict.SUSPECT,
                f"{mean:.2f} packets came with each interrupt, {expected:.2f} in "
                f"“{reference.title}”: for its {'larger' if mean > expected else 'smaller'} "
                f"batches it looks {'cheaper' if mean > expected else 'dearer'} than it is",
                Evidence(
                    quantity="packets per interrupt, over the reference's",
                    observed=round(mean / expected, 3),
                    bound=f"1 ± {BATCH_SUSPECT:g}",
                ),
                advice="Packets that come together share an interrupt and a softirq, so part of "
                "the difference is the batches', not the hook's. At a lower --rate each packet has "
                "an interrupt of its own.",
            )
        )
    return found


def _reference(arms: tuple[Arm, ...]) -> Arm | None:
    """No hook; otherwise the first arm."""
    baselines = [arm for arm in arms if arm.is_baseline and not arm.control_kind]
    return next(iter([*baselines, *arms]), None)


BATCH_CHECKS = (
    Check(
        code="batch",
        what="Packets that came with each interrupt of the NIC, arm by arm.",
        why="A batch shares an interrupt and its softirq, so larger batches make packets cheaper.",
        threshold=f"SUSPECT when an arm's geometric mean is off by > {BATCH_SUSPECT:.0%} from that "
        "without a hook (or of the first arm), or not recorded",
        source="/proc/interrupts (the rows whose numbers the NIC's device lists) and "
        f"{INTERFACE} in /proc/net/dev, at the edges of the traffic (server.json)",
        look=batch,
    ),
)
