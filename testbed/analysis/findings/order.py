# SPDX-License-Identifier: Apache-2.0
"""Checks on the run as an experiment: order, number of blocks, and what an arm is over itself."""

from collections.abc import Iterator
from itertools import combinations

from testbed.analysis.findings.finding import (
    WHOLE_RUN,
    Check,
    Evidence,
    Finding,
    Verdict,
    of,
    of_arm,
)
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.measures.rates import cost_follows_rate, rates_apart
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.statistics.intervals import Ratio, paired_ratio
from testbed.analysis.statistics.precision import half_width

BLOCKS_INVALID, BLOCKS_SUSPECT = 2, 5
HALF_WIDTH_SUSPECT = 0.10
MACHINES = ("server", "client")


def interleaved(run: Run) -> list[Finding]:
    found = _boots(run)
    spans: dict[str, tuple[int, int]] = {}
    for trial in run.trials:
        if trial.started_ns is None or trial.ended_ns is None:
            if not trial.problems:
                found.append(of(trial).unknown("interleaved", "when the trial began and ended"))
            continue
        first, last = spans.get(trial.arm, (trial.started_ns, trial.ended_ns))
        spans[trial.arm] = (min(first, trial.started_ns), max(last, trial.ended_ns))
    if len(run.blocks) < 2:  # in one block any order is one after the other
        return found
    apart = [
        (one, other)
        for one, other in combinations(spans, 2)
        if max(spans[one][0], spans[other][0]) >= min(spans[one][1], spans[other][1])
    ]
    if apart:
        one, other = (run.arm(name).title for name in apart[0])
        more = f" ({len(apart)} such pairs)" if len(apart) > 1 else ""
        found.append(
            WHOLE_RUN.finding(
                "interleaved",
                Verdict.INVALID,
                f"“{one}” and “{other}” were measured one after the other, not in turns{more}",
                Evidence(quantity="pairs of arms apart in time", observed=len(apart), bound="0"),
                advice="What changed meanwhile is measured with the arms: use blocks in which "
                "every arm has its turn (the profile fair).",
            )
        )
    return found


def _boots(run: Run) -> list[Finding]:
    """Each block is of one boot: the run's only one, one of those it was to go over (`--boots`),
    or that on which it was resumed."""
    found = _planned_boots(run)
    for machine in MACHINES:
        boots = [run.facts.get(f"{machine}-{w}", {}).get("boot_id") for w in ("before", "after")]
        if None in boots:
            if run.complete:
                found.append(WHOLE_RUN.unknown("interleaved", f"the {machine}'s boot"))
            continue
        first, last = (boots[0], boots[0])
        if run.boots:
            first, last = (getattr(run.boots[at], machine) for at in (0, -1))
        if [first, last] == boots:
            continue
        again = f"the {machine} was booted again during the run"
        block = min((at.block for at in run.resumed), default=None)
        found.append(
            WHOLE_RUN.finding(
                "interleaved",
                Verdict.INVALID if block is None else Verdict.SUSPECT,
                again if block is None else f"{again}, which went on with block {block}",
                Evidence(quantity="boot_id", observed=str(boots[1]), bound=str(last)),
                advice="Caches, clocks and memory began anew in the middle: measure again."
                if block is None
                else "Each block was measured within one boot, and ratios are those within "
                "blocks; the costs themselves are of different boots.",
            )
        )
    return found


def _planned_boots(run: Run) -> list[Finding]:
    """Of a run over several boots: each was a new one, and had every arm."""
    found = []
    for machine in MACHINES:
        ids = [getattr(boot, machine) for boot in run.boots]
        if len(set(ids)) < len(ids):
            found.append(
                WHOLE_RUN.finding(
                    "interleaved",
                    Verdict.INVALID,
                    f"of the {machine}’s {len(ids)} boots only {len(set(ids))} were new ones",
                    Evidence(quantity="boot ids", observed=len(set(ids)), bound=str(len(ids))),
                    advice="The interval would take one boot for several: measure again.",
                )
            )
    numbers = run.boot_by_block
    arms_of: dict[int, set[str]] = {}
    for trial in run.trials:
        arms_of.setdefault(numbers.get(trial.block, 0), set()).add(trial.arm)
    uneven = [boot for boot, arms in arms_of.items() if arms != {arm.name for arm in run.arms}]
    if run.boots and run.complete and uneven:
        found.append(
            WHOLE_RUN.finding(
                "interleaved",
                Verdict.INVALID,
                f"not every arm was measured on boot {', '.join(map(str, sorted(uneven)))}",
                Evidence(quantity="boots without every arm", observed=len(uneven), bound="0"),
                advice="What differs between boots is measured with the arms: measure again.",
            )
        )
    return found


def replication(run: Run) -> list[Finding]:
    counted = [arm for arm in run.arms if not arm.exhibit]
    blocks = {arm.name: len(_costs(run, arm.name)) for arm in counted}
    if not counted:  # exhibits alone: whether they have a cost or not
        blocks = {arm.name: len(run.trials_of(arm.name)) for arm in run.arms}
    found = [*_blocks(run, blocks)]
    follows = cost_follows_rate(run)
    for reference, arm in _headlines(run.arms):
        if rates_apart(run, (reference, arm), follows):
            continue  # no ratio is printed, and more blocks would not make one
        ratio = paired_ratio(_costs(run, arm.name), _costs(run, reference.name), run.boot_by_block)
        if ratio is None or ratio.block_count < BLOCKS_INVALID:
            continue
        width = half_width(ratio)
        if width is not None and width <= HALF_WIDTH_SUSPECT:
            continue
        said = "too wide for a number" if width is None else f"±{width * 100:.0f}\u00a0% wide"
        found.append(
            WHOLE_RUN.finding(
                "replication",
                Verdict.SUSPECT,
                f"the interval of “{arm.title}” over “{reference.title}” is {said}",
                Evidence(
                    quantity="half-width of the ratio's 95 % interval",
                    observed=None if width is None else round(width, 4),
                    bound=f"<= {HALF_WIDTH_SUSPECT:g}",
                ),
                advice="More blocks make it narrower: --trials, or --until-precise.",
            )
        )
    return found


def _blocks(run: Run, blocks: dict[str, int]) -> Iterator[Finding]:
    if not blocks or not run.complete or not (fewest := min(blocks.values())):
        return  # `complete` and `cost` say so
    if fewest < BLOCKS_SUSPECT:
        few = fewest < BLOCKS_INVALID
        yield WHOLE_RUN.finding(
            "replication",
            Verdict.INVALID if few else Verdict.SUSPECT,
            "one block has no interval" if few else f"only {fewest} blocks were measured",
            Evidence(
                quantity="blocks of an arm, at least",
                observed=fewest,
                bound=f">= {BLOCKS_SUSPECT}, INVALID < {BLOCKS_INVALID}",
            ),
            advice="Without repetition nobody knows what is chance: --trials 5 or more.",
        )


def aa(run: Run) -> list[Finding]:
    found = []
    for arm in run.arms:
        if arm.control_kind != "again":
            continue
        ratio = paired_ratio(_costs(run, arm.name), _costs(run, arm.control_of), run.boot_by_block)
        if ratio is None:
            found.append(of_arm(arm.name).unknown("aa", "a ratio of the arm over itself"))
        elif ratio.low is not None and ratio.high is not None and not _holds_one(ratio):
            found.append(
                WHOLE_RUN.finding(
                    "aa",
                    Verdict.SUSPECT,
                    f"the same arm under two names differs from itself: “{arm.title}” came to "
                    f"{ratio.low:.3f} to {ratio.high:.3f} of it",
                    Evidence(
                        quantity="interval of the A/A pair",
                        observed=f"{ratio.low:.4f} … {ratio.high:.4f}",
                        bound="with 1 in it",
                    ),
                    advice="By chance one run in twenty does this. Measured again, and still so, "
                    "this machine's intervals are too narrow to be believed.",
                )
            )
    return found


def _holds_one(ratio: Ratio) -> bool:
    return ratio.low is None or ratio.high is None or ratio.low <= 1 <= ratio.high


def _costs(run: Run, arm: str) -> dict[int, float]:
    return {
        trial.block: cost.cost_us
        for trial in run.trials_of(arm)
        if (cost := cost_of(trial)) is not None and cost.cost_us is not None
    }


def _headlines(arms: tuple[Arm, ...]) -> list[tuple[Arm, Arm]]:
    """(reference, arm) of hook against hook, as in comparison.py: of one class, no controls."""
    hooks = [a for a in arms if not (a.is_baseline or a.control_kind or a.exhibit)]
    return [(a, b) for a, b in combinations(hooks, 2) if a.semantic_class == b.semantic_class]


ORDER_CHECKS = (
    Check(
        code="interleaved",
        what="The arms took turns, in one session of both machines, or in each of those that "
        "--boots asked for.",
        why="Whatever drifts, or changes at a boot, is else counted as the difference of the arms.",
        threshold="INVALID when two arms do not overlap in time (with two blocks or more), a "
        "machine booted again unasked, or a boot was no new one or lacks an arm; SUSPECT "
        "when that was where a run that was cut off went on, or "
        "when not recorded",
        source="the host's clock in trial.json, boot_id before and after (facts)",
        look=interleaved,
    ),
    Check(
        code="replication",
        what="Every arm was measured often enough to tell a difference from chance.",
        why="One block has no interval; five are a screening.",
        threshold=f"INVALID < {BLOCKS_INVALID} blocks of an arm, SUSPECT < {BLOCKS_SUSPECT}, or "
        f"the interval of a hook over a hook wider than ±{HALF_WIDTH_SUSPECT:.0%}",
        source="the trials' costs, paired by block",
        look=replication,
    ),
    Check(
        code="aa",
        what="An arm measured twice under two names comes out as itself.",
        why="Where it does not, the intervals are narrower than the machine's noise.",
        threshold="SUSPECT when the pair's 95 % interval leaves out 1 (holds where there is no "
        "pair: --controls makes one)",
        source="the trials' costs, paired by block",
        look=aa,
    ),
)
