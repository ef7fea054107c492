# SPDX-License-Identifier: Apache-2.0
"""The statistics of comparisons, against simulated costs whose truth is known.

Costs are log-normal, as the analysis takes them to be. Every simulation is seeded, so a failure is
a change of the code, not of luck; the bounds are three binomial standard errors.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.analysis.conclusions.comparison import verdict_on
from testbed.analysis.statistics.intervals import (
    SMALLEST_EFFECT,
    Ratio,
    is_settled,
    paired_ratio,
    t_interval,
)
from testbed.analysis.statistics.precision import (
    blocks_to_settle,
    half_width,
    minimum_detectable_effect,
    precise_enough,
)

RUNS = 4_000
COST_US = 300.0


def by_block(costs: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(costs, start=1))


def simulated(true_ratio: float, sd: float, blocks: int, *, seed: int) -> Iterator[Ratio]:
    """Ratios of runs in which each arm's costs have the log SD `sd`/√2, so a pair has `sd`; blocks
    differ by 20 %, which pairing takes out."""
    rng = np.random.default_rng(seed)
    speed = rng.normal(math.log(COST_US), 0.2, (RUNS, blocks))
    noise = rng.normal(0, sd / math.sqrt(2), (2, RUNS, blocks))
    arms = np.exp(speed + noise[0] + math.log(true_ratio)).tolist()
    references = np.exp(speed + noise[1]).tolist()
    for arm, reference in zip(arms, references, strict=True):
        ratio = paired_ratio(by_block(arm), by_block(reference))
        assert ratio is not None
        yield ratio


def error(share: float) -> float:
    return 3 * math.sqrt(share * (1 - share) / RUNS)


@pytest.mark.parametrize("blocks", [3, 5, 20])
def test_the_interval_covers_at_its_stated_rate(blocks: int) -> None:
    covered = sum(
        ratio.low is not None and ratio.high is not None and ratio.low <= 1.05 <= ratio.high
        for ratio in simulated(1.05, 0.03, blocks, seed=blocks)
    )
    assert covered / RUNS == pytest.approx(0.95, abs=error(0.95))


@pytest.mark.parametrize(("blocks", "sd"), [(3, 0.05), (5, 0.05), (5, 0.3), (20, 0.05)])
def test_an_arm_against_itself_seldom_differs(blocks: int, sd: float) -> None:
    verdicts = [verdict_on(ratio) for ratio in simulated(1.0, sd, blocks, seed=100 + blocks)]
    for word in ("lower", "higher"):
        assert verdicts.count(word) / RUNS <= 0.025 + error(0.025)


@pytest.mark.parametrize("blocks", [2, 3, 5, 20])
def test_the_minimum_detectable_effect_is_found_four_times_in_five(blocks: int) -> None:
    effect = minimum_detectable_effect(0.03, blocks)
    assert effect is not None
    for true_ratio in (1 + effect, 1 / (1 + effect)):
        ratios = simulated(true_ratio, 0.03, blocks, seed=200 + blocks)
        found = sum(r.low is not None and r.high is not None and (r.low > 1 or r.high < 1)
                    for r in ratios)  # fmt: skip
        assert found / RUNS == pytest.approx(0.8, abs=error(0.8))


@pytest.mark.parametrize(
    ("blocks", "noncentrality"), [(2, 16.3340), (3, 5.6535), (5, 3.7611), (40, 2.8730)]
)
def test_the_minimum_detectable_effect_is_exact(blocks: int, noncentrality: float) -> None:
    """At two and three blocks the sum of two quantiles would be off by 14 % and 5 %."""
    effect = minimum_detectable_effect(0.001, blocks)
    assert effect == pytest.approx(math.expm1(noncentrality * 0.001 / math.sqrt(blocks)), rel=1e-4)


def test_what_has_no_minimum_detectable_effect() -> None:
    assert minimum_detectable_effect(0.05, 1) is None
    assert minimum_detectable_effect(0.05, 0) is None
    assert minimum_detectable_effect(math.nan, 5) is None
    assert minimum_detectable_effect(290.0, 2) is None
    assert minimum_detectable_effect(0.0, 5) == 0
    with pytest.raises(ValueError, match="power must lie between"):
        minimum_detectable_effect(0.05, 5, power=0.05)


@given(st.floats(1e-6, 2.0), st.integers(2, 60))
@settings(deadline=None)
def test_more_blocks_and_less_noise_find_smaller_effects(sd: float, blocks: int) -> None:
    here = minimum_detectable_effect(sd, blocks)
    more = minimum_detectable_effect(sd, blocks + 1)
    quieter = minimum_detectable_effect(sd / 2, blocks)
    assert more is not None and quieter is not None
    assert here is None or (more < here and quieter < here)


def ratio_with(mean_log: float, sd_log: float, blocks: int) -> Ratio:
    low, high = t_interval(mean_log, sd_log, blocks)
    return Ratio(ratio=math.exp(mean_log), low=low, high=high, block_count=blocks, sd_log=sd_log)


def test_without_a_spread_nothing_is_settled() -> None:
    one = paired_ratio({1: 2.0}, {1: 1.0})
    assert one is not None and one.sd_log is None
    assert half_width(one) is None
    assert blocks_to_settle(one, SMALLEST_EFFECT) is None
    assert blocks_to_settle(ratio_with(0.0, 2.0, 5), SMALLEST_EFFECT) is None


def test_half_widths_against_a_target() -> None:
    narrow, wide = ratio_with(0.3, 0.02, 5), ratio_with(0.0, 0.2, 5)
    assert half_width(narrow) == pytest.approx(math.expm1(2.7764 * 0.02 / math.sqrt(5)), rel=1e-4)
    assert precise_enough([narrow], 0.05)
    assert not precise_enough([narrow, wide], 0.05)
    assert not precise_enough([narrow, None], 0.05)
    assert not precise_enough([], 0.05)


@pytest.mark.parametrize(
    ("low", "high", "settled"),
    [
        (1 / 1.05, 1.05, True),
        (1 / 1.051, 1.01, False),
        (0.99, 1.051, False),
        (0.5, 0.999, True),
        (1.0, 1.2, False),
    ],
)
def test_what_settles_a_ratio(low: float, high: float, settled: bool) -> None:
    assert is_settled(low, high, 0.05) is settled
    assert is_settled(1 / high, 1 / low, 0.05) is settled


COSTS = st.floats(1e-3, 1e6)
PAIRS = st.lists(st.tuples(COSTS, COSTS), min_size=1, max_size=12)


def ratio_of(pairs: Sequence[tuple[float, float]], scale: float = 1.0) -> Ratio:
    ratio = paired_ratio(
        by_block([a * scale for a, _ in pairs]), by_block([b * scale for _, b in pairs])
    )
    assert ratio is not None
    return ratio


@given(PAIRS, st.floats(1e-6, 1e6))
@settings(deadline=None)
def test_a_machine_as_fast_throughout_changes_nothing(
    pairs: list[tuple[float, float]], scale: float
) -> None:
    here, there = ratio_of(pairs), ratio_of(pairs, scale)
    assert there.ratio == pytest.approx(here.ratio)
    assert there.block_count == here.block_count
    assert verdict_on(there) == verdict_on(here)
    for mine, other in (
        (here.low, there.low),
        (here.high, there.high),
        (here.sd_log, there.sd_log),
        (half_width(here), half_width(there)),
    ):
        assert (mine is None) is (other is None)
        assert mine is None or other == pytest.approx(mine, rel=1e-6, abs=1e-9)


@given(PAIRS)
@settings(deadline=None)
def test_swapping_the_arms_swaps_the_answer(pairs: list[tuple[float, float]]) -> None:
    here, there = ratio_of(pairs), ratio_of([(b, a) for a, b in pairs])
    assert there.ratio == pytest.approx(1 / here.ratio)
    assert there.sd_log == here.sd_log
    if here.low is not None and here.high is not None:
        assert there.low == pytest.approx(1 / here.high)
        assert there.high == pytest.approx(1 / here.low)
    swapped = {"lower": "higher", "higher": "lower"}
    said = verdict_on(here)
    assert verdict_on(there) == swapped.get(said, said)


ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(ANY, ANY), max_size=6))
@settings(deadline=None)
def test_whatever_the_costs_no_number_is_nan(pairs: list[tuple[float, float]]) -> None:
    ratio = paired_ratio(by_block([a for a, _ in pairs]), by_block([b for _, b in pairs]))
    verdict_on(ratio)
    if ratio is None:
        return
    assert (ratio.low is None) is (ratio.high is None)
    effect = None
    if ratio.sd_log is not None:
        effect = minimum_detectable_effect(ratio.sd_log, ratio.block_count)
    numbers = (ratio.ratio, ratio.low, ratio.high, ratio.sd_log, half_width(ratio), effect)
    assert all(math.isfinite(number) for number in numbers if number is not None)
    needed = blocks_to_settle(ratio, SMALLEST_EFFECT)
    assert needed is None or ratio.block_count <= needed <= 1_000
