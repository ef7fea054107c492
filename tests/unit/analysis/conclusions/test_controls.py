# SPDX-License-Identifier: Apache-2.0
"""Controls: compared with what they belong to, never an answer; and the sentences about power."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.conclusions import answers
from testbed.analysis.conclusions.comparison import (
    AA_PAIR,
    OBSERVED,
    Comparison,
    compare,
    verdict_on,
)
from testbed.analysis.conclusions.opening import opening
from testbed.analysis.findings import check_run
from testbed.analysis.measures.pairs import deciding_pairs
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.reading.run import load_run
from testbed.analysis.statistics.intervals import Ratio, t_interval
from testbed.analysis.statistics.precision import blocks_to_settle, minimum_detectable_effect
from tests.unit.factories.run_factory import RunRecipe, make_run

CONTROLS = {"netfilter-again": ("again", "netfilter"), "xdp-unmatched": ("unmatched", "xdp")}
ARMS = ("netfilter-again", "none", "netfilter", "xdp-unmatched", "xdp")


def run_with_controls(parent: Path, **more: object) -> Run:
    same = {"netfilter": 315.0, "netfilter-again": 315.0}
    recipe = RunRecipe(arms=ARMS, cost_us=same, **more)  # type: ignore[arg-type]
    run = load_run(make_run(parent, recipe))
    return replace(run, arms=tuple(_marked(arm) for arm in run.arms))


def _marked(arm: Arm) -> Arm:
    kind, of = CONTROLS.get(arm.name, ("", ""))
    return replace(arm, control_kind=kind, control_of=of)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_controls_are_compared_with_their_own_alone(tmp_path: Path) -> None:
    compared = compare(run_with_controls(tmp_path), ())
    assert [(c.reference, c.arm, c.is_headline, c.is_control) for c in compared] == [
        ("netfilter", "xdp", True, False),
        ("none", "netfilter", False, False),
        ("none", "xdp", False, False),
        ("netfilter", "netfilter-again", False, True),
        ("none", "xdp-unmatched", False, True),
    ]
    assert [c.arm for c in compared if c.control_kind == "again"] == ["netfilter-again"]


def test_a_control_is_no_baseline_and_decides_nothing(tmp_path: Path) -> None:
    run = run_with_controls(tmp_path)
    again = replace(run.arm("none"), name="none-again", control_kind="again", control_of="none")
    arms = (again, *run.arms)
    assert [(r.name, a.name) for r, a in deciding_pairs(arms)] == [("netfilter", "xdp")]
    compared = compare(replace(run, arms=arms), ())
    assert [c.reference for c in compared if c.arm == "none-again"] == ["none"]
    assert "none-again" not in {c.reference for c in compared}


def test_the_pairs_spread_tells_what_could_have_been_seen(tmp_path: Path) -> None:
    compared = compare(run_with_controls(tmp_path), ())
    (pair,) = [c.ratio for c in compared if c.control_kind == "again"]
    assert pair is not None and pair.sd_log is not None
    expected = minimum_detectable_effect(pair.sd_log, 5)
    assert {(c.mde, c.mde_source) for c in compared} == {(expected, AA_PAIR)}


def test_without_a_pair_each_has_its_own_spread(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path))
    compared = compare(run, check_run(run))
    assert not any(c.control_kind for c in compared)
    for c in compared:
        assert c.ratio is not None and c.ratio.sd_log is not None
        assert c.mde == minimum_detectable_effect(c.ratio.sd_log, 5)
        assert c.mde_source == OBSERVED


def test_one_block_can_see_nothing_and_prints_no_ratio(tmp_path: Path) -> None:
    run = run_with_controls(tmp_path, trials=1)
    compared = compare(run, ())
    assert {(c.verdict, c.mde, c.mde_source, c.blocks_to_settle) for c in compared} == {
        ("inconclusive", None, "", None)
    }
    said = opening(run, (), compared)
    assert "one block says nothing about spread" in said.answers[0]
    assert not re.search(r"\d\.\d", " ".join((*said.answers, *said.notes)))


def test_controls_are_mentioned_but_are_no_answers(tmp_path: Path) -> None:
    run = run_with_controls(tmp_path)
    said = opening(run, (), compare(run, ()))
    assert len(said.answers) == 1
    assert "“XDP program, generic mode” took" in said.answers[0]
    power, together, boots, pair, unmatched = (plain(note) for note in said.notes)
    assert together.startswith("This is the only comparison of two hooks")
    assert boots.startswith("All blocks are of one boot of the machines.")
    assert re.fullmatch(
        r"With these 5 blocks this machine could have seen a difference of \d % or more "
        r"\(from the A/A pair, at 80 % power\)\.",
        power,
    )
    assert pair.startswith("The same arm measured twice under two names (“Netfilter kernel module")
    assert unmatched.startswith("Control: ")
    assert "“xdp-unmatched” took" in unmatched and "“No hook”" in unmatched


def test_a_run_of_controls_and_one_hook_has_no_answer_but_notes(tmp_path: Path) -> None:
    run = run_with_controls(tmp_path)
    run = replace(run, arms=tuple(arm for arm in run.arms if arm.name != "xdp"))
    said = opening(run, (), compare(run, ()))
    assert said.answers == (
        "Only one hook was measured, so there is no second one to compare it with.",
    )
    assert len(said.notes) == 4  # one boot, too


def comparison(ratio: Ratio, **more: object) -> Comparison:
    fields: dict[str, object] = {
        "arm": "xdp",
        "reference": "netfilter",
        "ratio": ratio,
        "verdict": verdict_on(ratio),
        "suspect": False,
        "is_headline": True,
        "blocks_to_settle": blocks_to_settle(ratio, 0.05),
    }
    return Comparison(**(fields | more))  # type: ignore[arg-type]


def ratio(mean: float, half: float, blocks: int = 5, sd_log: float = 0.1) -> Ratio:
    return Ratio(ratio=mean, low=mean / half, high=mean * half, block_count=blocks, sd_log=sd_log)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run")))


def test_an_open_answer_says_how_many_blocks_would_settle_it(run: Run) -> None:
    low, high = t_interval(0.05, 0.1, 5)
    seen = Ratio(ratio=1.0513, low=low, high=high, block_count=5, sd_log=0.1)
    needed = blocks_to_settle(seen, 0.05)
    assert needed is not None and 30 < needed < 40
    text = plain(answers.answer(run, comparison(seen)))
    assert text.startswith("Inconclusive: “XDP program, generic mode” took 1.05 times")
    assert "0.93 to 1.19, reaches from 7 % less to 19 % more." in text
    said = f"a new run of {needed} blocks settles it with 80 % probability (--trials {needed})."
    assert said in text


def test_or_that_no_number_of_blocks_would(run: Run) -> None:
    seen = ratio(1.0, 20.0, sd_log=2.4)
    text = plain(answers.answer(run, comparison(seen)))
    assert "not even a new run of 1,000 blocks settles it with 80 % probability." in text
    assert "reaches from 0.050 times as much to 20 times as much" in text


def test_an_end_close_to_one_shows_its_side(run: Run) -> None:
    text = plain(answers.answer(run, comparison(Ratio(
        ratio=0.95, low=0.905, high=0.9972, block_count=5, sd_log=0.04))))  # fmt: skip
    assert text.startswith("Lower: ") and "0.905 to 0.997," in text


@pytest.mark.parametrize(
    ("mean", "half", "said"),
    [
        (1.01, 1.03, "ratio 1.01 (0.98 to 1.04): no difference larger than 5 %."),
        (1.001, 1.003, "ratio 1.001 (0.998 to 1.004): no difference larger than 1 %."),
        (1.02, 1.1, "the interval reaches from 7 % less to 12 % more."),
        (1.2, 1.1, "Warning: the same arm measured twice under two names"),
        (0.8, 1.1, "comes out lower than itself"),
    ],
)
def test_what_the_aa_pair_says(run: Run, mean: float, half: float, said: str) -> None:
    pair = comparison(ratio(mean, half), control_kind="again", is_headline=False)
    assert said in plain(answers.aa_answer(run, pair))


@pytest.mark.parametrize(
    ("mde", "said"),
    [(0.0612, "of 7 % or more"), (0.07, "of 7 % or more"), (0.0031, "of 0.4 % or more"),
     (0.0, "of 0.1 % or more"), (12.0, "of a factor of 13 or more")],
)  # fmt: skip
def test_a_detectable_effect_is_rounded_up(run: Run, mde: float, said: str) -> None:
    text = answers.mde_text(run, [comparison(ratio(1.0, 1.1), mde=mde, mde_source=AA_PAIR)])
    assert said in plain(text)


def test_of_several_spreads_the_widest_is_named(run: Run) -> None:
    known = [
        comparison(ratio(1.0, 1.1), mde=0.02, mde_source=OBSERVED),
        comparison(ratio(1.0, 1.1), mde=0.05, mde_source=OBSERVED, reference="none"),
    ]
    assert plain(answers.mde_text(run, known)) == (
        "With these 5 blocks this machine could have seen a difference of 5 % or more (from the "
        "spread seen between “XDP program, generic mode” and “No hook”, the widest of 2 "
        "comparisons, at 80 % power)."
    )
    assert answers.mde_text(run, [comparison(ratio(1.0, 1.1))]) == ""


def test_a_ratio_that_no_interval_fits_says_so(run: Run) -> None:
    wild = Ratio(ratio=1e9, low=None, high=None, block_count=2, sd_log=90.0)
    text = answers.answer(run, comparison(wild))
    assert "the trials differ by so much that their ratio has no interval" in text
