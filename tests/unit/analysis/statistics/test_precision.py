# SPDX-License-Identifier: Apache-2.0
"""How many blocks settle a question: in four runs of five, not in one of two."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.analysis.conclusions.comparison import verdict_on
from testbed.analysis.statistics.intervals import SMALLEST_EFFECT, Ratio, t_interval
from testbed.analysis.statistics.precision import POWER, blocks_to_settle, settled_share

RUNS = 4_000


def ratio_with(mean_log: float, sd_log: float, blocks: int) -> Ratio:
    low, high = t_interval(mean_log, sd_log, blocks)
    return Ratio(ratio=math.exp(mean_log), low=low, high=high, block_count=blocks, sd_log=sd_log)


@given(st.floats(-1, 1), st.floats(1e-3, 2), st.integers(2, 40))
@settings(deadline=None, max_examples=40)
def test_the_blocks_that_settle_are_the_fewest_that_do(
    mean_log: float, sd_log: float, blocks: int
) -> None:
    ratio = ratio_with(mean_log, sd_log, blocks)
    needed = blocks_to_settle(ratio, SMALLEST_EFFECT)
    if needed is None:
        assert settled_share(mean_log, sd_log, 1_000, SMALLEST_EFFECT) < POWER
        return
    assert blocks <= needed <= 1_000
    assert settled_share(mean_log, sd_log, needed, SMALLEST_EFFECT) >= POWER
    if needed > blocks:
        assert settled_share(mean_log, sd_log, needed - 1, SMALLEST_EFFECT) < POWER


@pytest.mark.parametrize(
    ("mean_log", "sd_log"),
    [(0.1, 0.1), (-0.05, 0.05), (0.2, 0.15), (0.0, 0.05), (0.03, 0.08), (0.02, 0.03)],
)
def test_a_new_run_of_so_many_blocks_settles_it_in_four_of_five(
    mean_log: float, sd_log: float
) -> None:
    """Not in one of two: the number at which this very mean would be settled is a coin toss."""
    rng = np.random.default_rng(7)
    blocks = blocks_to_settle(ratio_with(mean_log, sd_log, 5), SMALLEST_EFFECT)
    assert blocks is not None
    settled = 0
    for logs in rng.normal(mean_log, sd_log, (RUNS, blocks)):
        ratio = ratio_with(float(logs.mean()), float(logs.std(ddof=1)), blocks)
        settled += verdict_on(ratio) != "inconclusive"
    expected = settled_share(mean_log, sd_log, blocks, SMALLEST_EFFECT)
    assert expected >= POWER
    assert settled / RUNS == pytest.approx(expected, abs=3 * math.sqrt(POWER * (1 - POWER) / RUNS))


@pytest.mark.parametrize(
    ("mean_log", "sd_log", "least"), [(0.1, 0.1, 0.8), (0.0, 0.05, 0.7), (0.03, 0.08, 0.5)]
)
def test_and_with_mean_and_spread_from_five_blocks(
    mean_log: float, sd_log: float, least: float
) -> None:
    """A run of five blocks that was open, then a new one of as many as it asked for."""
    rng = np.random.default_rng(3)
    settled = asked = 0
    for logs in rng.normal(mean_log, sd_log, (250, 5)):
        first = ratio_with(float(logs.mean()), float(logs.std(ddof=1)), 5)
        blocks = blocks_to_settle(first, SMALLEST_EFFECT)
        if verdict_on(first) != "inconclusive" or blocks is None:
            continue
        new = rng.normal(mean_log, sd_log, blocks)
        asked += 1
        ratio = ratio_with(float(new.mean()), float(new.std(ddof=1)), blocks)
        settled += verdict_on(ratio) != "inconclusive"
    assert asked > 100
    assert settled / asked >= least
