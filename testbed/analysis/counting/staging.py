# SPDX-License-Identifier: Apache-2.0
"""The typical packet's instructions by stage and function, helpers with the stage that calls them.

The sums over the stages are the typical count, exactly.
"""

from collections.abc import Iterable

from testbed.analysis.counting.blocks import visits
from testbed.analysis.counting.contexts import Step, Walk
from testbed.analysis.counting.life import OWN, cut, part_of
from testbed.analysis.counting.packets import Taken
from testbed.analysis.counting.raw import Counted
from testbed.analysis.counting.stages import OTHER, module_of, stage_of
from testbed.analysis.counting.summary import Summary

Staged = dict[tuple[str, str], Taken]
"""By stage and function."""


def staged(summary: Summary) -> Staged:
    """Return what the typical packet took, by stage and function."""
    counted = summary.counted
    number = next(one.number for one in summary.packets if one.path is summary.typical)
    path = next(one.path for one in counted.stretches if one.packet == number)
    return by_stage(_own_steps(counted, path), _driver(counted))


def by_stage(steps: Iterable[Step], driver: str) -> Staged:
    """Return the sums of a packet's own steps.

    The step before a helper's is its caller's, for the call is that step's last instruction. So
    the last stage that was known is the helper's, helpers of helpers included.
    """
    found: Staged = {}
    current = OTHER
    for step in steps:
        current = stage_of(step.function, step.context.name, driver) or current
        one = found.setdefault((current, step.function), Taken())
        visit = step.visit
        one.add(
            Taken(step.instructions, visit.loads, visit.stores, visit.copied, visit.filled,
                  visit.device, visit.block.ports)
        )  # fmt: skip
    return found


def _own_steps(counted: Counted, path: int) -> list[Step]:
    walked = Walk(counted.symbols, counted.driver)
    steps = walked.through(visits(counted.path(path), counted.blocks, counted.where))
    life = cut(steps)
    assert life is not None, "a typical packet has a life"
    return [step for at, step in enumerate(steps) if part_of(life, at, step) in OWN]


def _driver(counted: Counted) -> str:
    """The module in which the NIC's interrupt handler is; "" where it is built in."""
    names = (name for name in counted.symbols.names if name.split(" ")[0] == counted.driver)
    return module_of(next(names, ""))
