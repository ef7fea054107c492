# SPDX-License-Identifier: Apache-2.0
"""Which arms are set against each other: each pair is (reference, arm).

Two hooks are a pair when they do the same kind of work (semantic class). Any hook may be set
against no hook, and a control is set against what it belongs to alone.
"""

from collections.abc import Iterator
from itertools import combinations

from testbed.analysis.reading.records import Arm


def all_pairs(arms: tuple[Arm, ...]) -> Iterator[tuple[Arm, Arm]]:
    """Hook against hook, each hook against no hook, and then the controls."""
    measured = [arm for arm in arms if not arm.control_kind]
    hooks = [arm for arm in measured if not arm.is_baseline]
    baselines = [arm for arm in measured if arm.is_baseline]
    for reference, arm in combinations(hooks, 2):
        if arm.semantic_class == reference.semantic_class:
            yield reference, arm
    for reference in baselines:
        for arm in hooks:
            yield reference, arm
    for arm in arms:
        if arm.control_kind == "again":
            yield from ((original, arm) for original in measured if original.name == arm.control_of)
        elif arm.control_kind == "unmatched":
            yield from ((reference, arm) for reference in baselines)


def hook_pairs(arms: tuple[Arm, ...]) -> list[tuple[Arm, Arm]]:
    """Hook against hook; no controls, and no exhibits: they are never compared."""
    return [pair for pair in _comparable(arms) if not pair[0].is_baseline]


def deciding_pairs(arms: tuple[Arm, ...]) -> list[tuple[Arm, Arm]]:
    """The ratios a run is made for: hook against hook or, when there is no such pair, hook against
    no hook. No controls, and no exhibits."""
    return hook_pairs(arms) or _comparable(arms)


def _comparable(arms: tuple[Arm, ...]) -> list[tuple[Arm, Arm]]:
    return [p for p in all_pairs(arms) if not any(arm.control_kind or arm.exhibit for arm in p)]
