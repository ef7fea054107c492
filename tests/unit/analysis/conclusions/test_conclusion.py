# SPDX-License-Identifier: Apache-2.0
"""A run's end in a terminal: verdict, answer, and a picture that orders only what it may."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.conclusions.comparison import Comparison
from testbed.analysis.formats.text_bars import RANGE, SOLID, Bar, bars, in_ascii
from testbed.analysis.page import conclusion
from testbed.analysis.page.judged import Judged, judge
from testbed.analysis.reading.run import load_run
from testbed.analysis.statistics.intervals import Ratio
from tests.unit.analysis.conclusions.test_controls import run_with_controls
from tests.unit.factories.run_factory import RunRecipe, make_run

pytestmark = pytest.mark.usefixtures("sketched")

SIGNS = (SOLID, RANGE, "#")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge(load_run(make_run(tmp_path_factory.mktemp("run"), RunRecipe())))


def judged(parent: Path, **recipe: Any) -> Judged:
    return judge(load_run(make_run(parent, RunRecipe(**recipe))))


def drawn(text: str) -> list[str]:
    """The rows that have a bar."""
    return [line for line in text.splitlines() if f"{SOLID}{SOLID}" in line or "###" in line]


def test_verdict_and_answer_are_two_lines_and_a_row_an_arm_follows(sound: Judged) -> None:
    verdict, answer, empty, heading, *rows = conclusion.text(sound, None, unicode=True).splitlines()
    assert verdict.startswith("VALID: ") and answer == sound.opening.answers[0]
    assert (empty, heading.partition(":")[0]) == ("", "non-idle µs per delivered packet")
    assert [row.split("  ")[0] for row in rows if row] == [
        "No hook", "Netfilter kernel module", "XDP program, generic mode",
    ]  # fmt: skip
    assert all(SOLID in row and RANGE in row for row in rows if row)


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
@pytest.mark.parametrize("unicode", [True, False])
def test_it_fits_and_is_ascii_where_that_is_wanted(
    sound: Judged, columns: int, unicode: bool
) -> None:
    text = conclusion.text(sound, columns, unicode=unicode)
    assert max(map(len, text.splitlines())) <= columns
    assert text.isascii() is not unicode
    assert len(drawn(text)) == 3
    assert all(character not in text for character in (() if unicode else (SOLID, RANGE, "?")))
    ends = {len(line.rpartition("  ")[0]) for line in drawn(text)}
    assert len(ends) == 1, "the numbers stand below each other"


@pytest.mark.parametrize(
    "recipe",
    [{"delivered_share": {"xdp": 0.9}}, {"trials": 1}, {"complete": False},
     {"arms": ("netfilter-logging", "xdp-bounded-csum")}],
    ids=["packets lost", "one block", "incomplete", "exhibits"],
)  # fmt: skip
def test_no_picture_where_no_comparison_may_be_printed(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    found = judged(tmp_path, **recipe)
    text = conclusion.text(found, 80, unicode=True)
    assert text.startswith(("INVALID: ", "INCOMPLETE: "))
    assert not any(sign in text for sign in SIGNS)
    assert " ".join(found.opening.reasons[0].split()) in " ".join(text.split()), "the reason"


def test_an_arm_that_is_invalid_has_words_and_no_bar(tmp_path: Path) -> None:
    found = judged(tmp_path, arms=("none", "netfilter", "xdp", "xdp-bounded-csum"))
    text = conclusion.text(found, 80, unicode=True)
    rows = [line for line in text.splitlines() if line.endswith("  INVALID: not compared")]
    assert [row.split("  ")[0] for row in rows] == ["XDP program with a bounde…"]
    assert len(drawn(text)) == 3
    assert "INVALID: of those arms alone that may be compared" in " ".join(text.split())


def test_suspect_is_said_beside_the_bar(tmp_path: Path) -> None:
    text = conclusion.text(
        judged(tmp_path, delivered_share={"xdp": 0.998}), 80, unicode=True
    )  # fmt: skip
    marked = [line.endswith(" SUSPECT") for line in drawn(text)]
    assert marked == [False, False, True]
    assert "SUSPECT: read it with care" in " ".join(text.split())


def test_arms_with_different_loads_have_no_bars(sound: Judged) -> None:
    """Both hooks lose theirs, and a picture of one row would compare nothing."""
    (one, *others) = sound.comparisons
    withheld = replace(one, ratio=None, rates=(900.0, 1000.0), verdict="no answer")
    assert one.is_headline
    assert conclusion.picture(sound.run, sound.findings, (withheld, *others), 80) == []
    with_no_hook = [one for one in others if one.arm == "xdp"]
    slow = [replace(one, ratio=None, rates=(900.0, 1000.0)) for one in with_no_hook]
    rest = [one for one in sound.comparisons if "xdp" not in (one.arm, one.reference)]
    lines = conclusion.picture(sound.run, sound.findings, (*rest, *slow), 80)
    assert len(drawn("\n".join(lines))) == 2
    assert [line for line in lines if line.endswith("  no answer: not sent the same load")]


def pair(one: Comparison, verdict: str) -> Comparison:
    ratio = Ratio(ratio=1.05, low=0.9, high=1.2, block_count=5)
    return replace(one, ratio=ratio, verdict=verdict)


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [(["higher"], 0), (["inconclusive"], 1), (["inconclusive"] * 2, 2), (["inconclusive"] * 5, 3)],
)
def test_bars_of_an_inconclusive_pair_are_in_no_order(
    sound: Judged, verdicts: list[str], said: int
) -> None:
    pairs = tuple(pair(sound.comparisons[0], verdict) for verdict in verdicts)
    lines = conclusion.picture(sound.run, sound.findings, pairs, 200)
    spoken = [line for line in lines if line.startswith(("Inconclusive: ", "Nor are those of 3"))]
    assert len(spoken) == said


def test_hooks_of_different_kinds_are_in_no_order(sound: Judged) -> None:
    arms = tuple(
        replace(arm, semantic_class="proxy") if arm.name == "xdp" else arm for arm in sound.run.arms
    )
    found = judge(replace(sound.run, arms=arms))
    text = conclusion.text(found, 80, unicode=True)
    assert "Hooks that do different kinds of work are in no order." in text
    assert "kinds" not in conclusion.text(sound, 80, unicode=True)


def test_an_aa_pair_that_differs_is_a_caveat(tmp_path: Path) -> None:
    found = judge(run_with_controls(tmp_path))
    again = next(one for one in found.comparisons if one.control_kind == "again")
    assert not conclusion.caveats(found.run, (replace(again, verdict="inconclusive"),))
    (said,) = conclusion.caveats(found.run, (replace(again, verdict="higher"),))
    assert said.startswith("Warning: the same arm")
    rows = [
        line for line in conclusion.text(found, 100, unicode=True).splitlines() if SOLID in line
    ]
    assert len(rows) == 3, "controls are no answers"


def test_a_bar_is_as_long_as_its_value_and_light_over_its_interval() -> None:
    rows = [
        Bar(label="a", words="1", value=10, low=9, high=11),
        Bar(label="b", words="2", value=20, low=15, high=25),
        Bar(label="c", words="3", value=5),
        Bar(label="d", words="INVALID"),
        Bar(label="e", words="4", value=12, low=11.99, high=12.01),
    ]
    assert bars(rows, 1 + 2 + 50 + 2 + 1) == [
        f"a  {SOLID * 18}{RANGE * 4}{' ' * 28}  1",
        f"b  {SOLID * 30}{RANGE * 20}  2",
        f"c  {SOLID * 10}{' ' * 40}  3",
        "d  INVALID",
        f"e  {SOLID * 23}{RANGE}{' ' * 26}  4",
    ]
    assert bars([], 80) == []


def test_what_has_no_letter_in_ascii_is_a_question_mark() -> None:
    assert in_ascii("“a” ± 5\u00a0µs … 한") == '"a" +/- 5 us ... ?'


def test_report_says_it_on_stderr_in_ascii_where_the_locale_is(
    testbed: Callable[..., Any], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.nl_langinfo", lambda _: "ANSI_X3.4-1968")
    run = make_run(checkout / "results")
    said = testbed("report", run.name)
    assert said.out.endswith("report.html\n") and "#" not in said.out
    (row,) = (line for line in said.err.splitlines() if line.startswith("XDP program, generic"))
    assert "####" in row and said.err.isascii()
