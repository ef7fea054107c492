# SPDX-License-Identifier: Apache-2.0
"""Several comparisons in one run: wrong claims stay at 5 %, and one comparison is as before."""

import math
from pathlib import Path

import numpy as np
import pytest

from testbed.analysis.conclusions import answers
from testbed.analysis.conclusions.comparison import compare, verdict_on
from testbed.analysis.conclusions.opening import opening
from testbed.analysis.reading.run import load_run
from testbed.analysis.statistics.intervals import Ratio, is_settled, t_interval
from testbed.analysis.statistics.multiplicity import claim_level, confidences
from tests.unit.factories.run_factory import RunRecipe, make_run

RUNS = 1_500
ERROR = 3 * math.sqrt(0.05 * 0.95 / RUNS)


def ratio(mean: float, sd: float, blocks: int = 5) -> Ratio:
    low, high = t_interval(mean, sd, blocks)
    return Ratio(ratio=math.exp(mean), low=low, high=high, block_count=blocks, sd_log=sd)


def wrong(verdict: str, truth: float) -> bool:
    """A direction that is not the true one, or a difference of 5 % and more called none."""
    if verdict.startswith("no difference"):
        return abs(truth) > math.log1p(0.05) - 1e-12
    return (verdict == "lower" and truth >= 0) or (verdict == "higher" and truth <= 0)


@pytest.mark.parametrize(
    "truths",
    [(0.0,) * 6, (math.log1p(0.05) + 1e-9,) * 3, (0.0, 0.0, 0.4, 0.4, 0.4), (0.0, 0.06, 0.06)],
)
@pytest.mark.parametrize("sd", [0.02, 0.1])
def test_wrong_claims_stay_at_five_per_cent(truths: tuple[float, ...], sd: float) -> None:
    rng = np.random.default_rng(len(truths))
    logs = rng.normal(np.array(truths)[:, None], sd, (RUNS, len(truths), 5))
    means, sds = logs.mean(axis=2), logs.std(axis=2, ddof=1)
    failed = alone = 0
    for mean, spread in zip(means.tolist(), sds.tolist(), strict=True):
        ratios = [ratio(m, s) for m, s in zip(mean, spread, strict=True)]
        levels = confidences(ratios, 0.05)
        said = [verdict_on(r, level) for r, level in zip(ratios, levels, strict=True)]
        failed += any(wrong(v, t) for v, t in zip(said, truths, strict=True))
        alone += any(wrong(verdict_on(r), t) for r, t in zip(ratios, truths, strict=True))
    assert failed / RUNS <= 0.05 + ERROR
    if truths == (0.0,) * 6 and sd == 0.1:
        assert alone / RUNS > 0.2  # which is what it is for


def test_holms_steps() -> None:
    levels = [0.02, 0.001, 0.04]
    ratios = [ratio_with(level) for level in levels]
    assert [round(1 - c, 5) for c in confidences(ratios, 0.05)] == [0.025, 0.01667, 0.05]
    assert [verdict_on(r, c) for r, c in zip(ratios, confidences(ratios, 0.05), strict=True)] == [
        "higher", "higher", "higher",
    ]  # fmt: skip
    two = [ratio_with(0.03), ratio_with(0.04)]
    assert [round(1 - c, 5) for c in confidences(two, 0.05)] == [0.025, 0.025]


def ratio_with(level: float) -> Ratio:
    """A ratio of five blocks whose interval just leaves out 1 at this error probability."""
    from testbed.analysis.statistics.intervals import student_t

    sd = 0.3
    return ratio(student_t(4, 1 - level) * sd / math.sqrt(5) + 1e-9, sd)


def test_a_claims_level_is_where_its_interval_settles() -> None:
    for mean, sd in ((0.1, 0.08), (0.005, 0.02), (0.03, 0.02), (0.3, 0.1)):
        level = claim_level(ratio(mean, sd), 0.05)
        for factor, settled in ((1.001, True), (0.999, False)):
            low, high = t_interval(mean, sd, 5, 1 - level * factor)
            assert low is not None and high is not None
            assert is_settled(low, high, 0.05) is settled


def test_one_comparison_is_judged_at_95_per_cent_and_no_interval_is_no_claim() -> None:
    assert confidences([ratio(0.1, 0.1)], 0.05) == [0.95]
    assert confidences([], 0.05) == []
    assert claim_level(None, 0.05) == math.inf
    one = Ratio(ratio=2.0, low=None, high=None, block_count=1)
    assert claim_level(one, 0.05) == math.inf
    assert claim_level(ratio(0.2, 0.0), 0.05) == claim_level(ratio(0.0, 0.0), 0.05) == 0.0


def test_a_page_with_three_comparisons_says_how_they_are_judged(tmp_path: Path) -> None:
    recipe = RunRecipe(arms=("none", "netfilter", "xdp", "other"), spread=0.03,
                       cost_us={"xdp": 330.0, "other": 360.0, "netfilter": 300.0})  # fmt: skip
    run = load_run(make_run(tmp_path, recipe))
    compared = compare(run, ())
    assert [c.family for c in compared if c.is_headline] == [3, 3, 3]
    assert {c.family for c in compared if not c.is_headline} == {1}
    said = "3 comparisons of hooks are judged together (Holm)"
    assert any(note.startswith(said) for note in opening(run, (), compared).notes)


def test_what_only_chance_would_settle_says_so(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path))
    (one,) = (c for c in compare(run, ()) if c.is_headline)
    from dataclasses import replace

    seen = replace(one, ratio=ratio(0.1, 0.08), verdict="inconclusive", family=3,
                   blocks_to_settle=9)  # fmt: skip
    text = answers.answer(run, seen).replace("\u00a0", " ")
    assert "1.001 to 1.221, would settle it alone, but not as one of 3 comparisons" in text
    assert "a new run of 9 blocks settles it with 80 % probability (--trials 9)." in text
    assert "only comparison of two hooks" in answers.together_text([one])
