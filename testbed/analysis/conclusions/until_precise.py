# SPDX-License-Identifier: Apache-2.0
"""When `bench --until-precise` may stop: when the ratios are known closely, whatever they are.

Only the interval's width decides, never where it lies: to measure until a difference is
significant would find one sooner or later between an arm and itself. Yet a width, too, is read
from few blocks, and stopping at the first narrow one picks the moments at which the SD happens to
come out small. Simulated with 5 to 40 blocks, the 95 % interval then covers 92 % where the worst
SD meets the target. So a run stops when it was narrow enough after some block, from the fifth on,
and is so still, three or more blocks later: then the interval covers 93.5 % at worst.
(tests/unit/analysis/conclusions/test_until_precise.py simulates it; docs/measuring.md has the numbers.)
"""

from collections.abc import Sequence
from math import inf
from pathlib import Path

from testbed.analysis.measures.cost import cost_of, costs_by_block
from testbed.analysis.measures.cost_names import cost_unit
from testbed.analysis.measures.pairs import deciding_pairs
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from testbed.analysis.statistics.intervals import Ratio, paired_ratio
from testbed.analysis.statistics.precision import half_width, precise_enough

FIRST_LOOK = 5
"""Blocks that every ratio must rest on before its width is looked at."""

CONFIRMING_BLOCKS = 3
"""Further blocks after the first narrow look: they take back most of its luck."""

MOST_BLOCKS = 40
"""Of the simulation, and what `--max-blocks` is preset to; up to 200 it comes out the same."""


def reached(run_path: Path, target: float) -> tuple[bool, float | None]:
    """May this run, which need not be complete, stop at this target (0.05: ±5 %)?

    And the largest half-width of its headline ratios (hook against hook, or the only hook against
    no hook) over the finished blocks, as a relative number; None while one of them has none.
    """
    run = load_run(run_path)
    history = ratios_by_block(run)
    widths = [None if r is None else half_width(r) for r in history[-1]] if history else []
    known = [width for width in widths if width is not None]
    largest = max(known) if known and len(known) == len(widths) else None
    return may_stop(history, target), largest


def hopeless(run_path: Path) -> str:
    """Why no further block can make a headline ratio known, in a clause; empty when one can."""
    run = load_run(run_path)
    pairs = deciding_pairs(run.arms)
    if not pairs:
        return "no two arms of this run are compared with each other"
    for arm in dict.fromkeys(arm for pair in pairs for arm in pair):
        for trial in run.trials_of(arm.name):
            cost = cost_of(trial)
            if cost is None:
                continue
            if cost.cost_us is None:
                return f"“{arm.title}” has no cost in block {trial.block} ({cost.reason})"
            if not 0 < cost.cost_us < inf:
                return (
                    f"“{arm.title}” cost {cost.cost_us:.3g} {cost_unit(run)} per packet in block "
                    f"{trial.block}, so it has no ratio to anything"
                )
    return ""


def may_stop(history: Sequence[Sequence[Ratio | None]], target: float) -> bool:
    """`history` has the ratios as they stood after each finished block."""
    looks = [_narrow(ratios, target) for ratios in history]
    return bool(looks) and looks[-1] and any(looks[:-CONFIRMING_BLOCKS])


def ratios_by_block(run: Run) -> list[list[Ratio | None]]:
    """The headline ratios after the first finished block, after the first two, and so on.

    From the costs alone: a run that goes on has no verdict on its validity yet.
    """
    pairs = deciding_pairs(run.arms)
    costs = {arm.name: costs_by_block(run, arm.name) for pair in pairs for arm in pair}
    blocks = finished_blocks(run)
    return [
        [
            paired_ratio(_of(costs[arm.name], known), _of(costs[reference.name], known))
            for reference, arm in pairs
        ]
        for known in (set(blocks[: count + 1]) for count in range(len(blocks)))
    ]


def finished_blocks(run: Run) -> list[int]:
    """The numbers of the blocks in which every planned arm had its turn."""
    done = {(trial.block, trial.arm) for trial in run.trials if trial.server is not None}
    return [
        number
        for number, names in enumerate(run.blocks, start=1)
        if names and all((number, name) in done for name in names)
    ]


def _of(costs: dict[int, float], blocks: set[int]) -> dict[int, float]:
    return {block: cost for block, cost in costs.items() if block in blocks}


def _narrow(ratios: Sequence[Ratio | None], target: float) -> bool:
    enough = all(ratio is not None and ratio.block_count >= FIRST_LOOK for ratio in ratios)
    return enough and precise_enough(ratios, target)
