# SPDX-License-Identifier: Apache-2.0
"""Findings for people: causes first, a matter once, no SUSPECT twin of an INVALID finding."""

from pathlib import Path

import pytest

from testbed.analysis.conclusions.grouping import CAUSES_FIRST, grouped, without_twins
from testbed.analysis.findings import ORDER, Finding, Verdict
from testbed.analysis.findings.finding import WHOLE_RUN, of_arm
from testbed.analysis.findings.finding import Scope as At
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from tests.unit.factories.run_factory import RunRecipe, make_run

INVALID, SUSPECT = Verdict.INVALID, Verdict.SUSPECT


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run"), RunRecipe(trials=3)))


def trial(
    arm: str, block: int, code: str = "contention", verdict: Verdict = SUSPECT, *,
    degree: float = 0.0, cause: str = "", said: str = "",
) -> Finding:  # fmt: skip
    at = At(arm=arm, block=block)
    words = said or f"waited {degree}"
    return at.finding(code, verdict, words, degree=degree, cause=cause, advice=f"mend {cause}")


def test_every_check_has_its_place_among_causes() -> None:
    assert sorted(CAUSES_FIRST) == sorted(ORDER)


def test_causes_come_before_what_follows_from_them(run: Run) -> None:
    codes = ("replication", "batch", "generator", "contention", "state")
    found = tuple(WHOLE_RUN.finding(code, SUSPECT, code) for code in codes)
    assert [group.code for group in grouped(run, found)] == list(reversed(codes))
    graver = (*found, WHOLE_RUN.finding("aa", INVALID, "aa"))
    assert grouped(run, graver)[0].code == "aa"


def test_one_matter_over_all_arms_is_one_bullet_with_the_worst(run: Run) -> None:
    found = tuple(
        trial(arm, block, degree=block + 0.5)
        for arm in ("none", "xdp") for block in (1, 2)
    )  # fmt: skip
    (group,) = grouped(run, found)
    assert group.lines == (
        "No hook, 2 of 3 trials (1, 2); XDP program, generic mode, 2 of 3 trials (1, 2); "
        "the worst, No hook, trial 2: waited 2.5",
    )
    assert group.sentence == "In 4 of 9 trials, the worst No hook, trial 2: waited 2.5."


def test_every_trial_of_every_arm_is_said_so(run: Run) -> None:
    found = tuple(
        trial(arm, block, said="it is so") for arm in ("none", "netfilter", "xdp")
        for block in (1, 2, 3)
    )  # fmt: skip
    assert grouped(run, found)[0].lines == ("All arms, all 9 trials: it is so",)


def test_two_causes_of_one_check_are_two_matters_with_their_own_advice(run: Run) -> None:
    found = (trial("xdp", 1, cause="others"), trial("none", 2, cause="machines"))
    assert [group.advice for group in grouped(run, found)] == ["mend others", "mend machines"]


def test_a_suspect_twin_is_left_out_and_other_arms_stay(run: Run) -> None:
    grave = trial("xdp", 1, "generator", INVALID)
    twin, of_run = trial("xdp", 2, "generator"), WHOLE_RUN.finding("generator", SUSPECT, "apart")
    other, elsewhere = trial("none", 2, "generator"), trial("xdp", 2, "batch")
    assert without_twins((twin, grave, of_run, other, elsewhere)) == [grave, other, elsewhere]


def test_another_cause_is_no_twin(run: Run) -> None:
    grave = trial("xdp", 1, verdict=INVALID, cause="others")
    unknown = of_arm("xdp").unknown("contention", "steal")
    assert without_twins((grave, unknown)) == [grave, unknown]


def test_a_run_that_is_invalid_has_no_suspect_twins(tmp_path: Path) -> None:
    from testbed.analysis.findings import check_run

    lossy = load_run(make_run(tmp_path, RunRecipe(delivered_share={"xdp": 0.5})))
    groups = grouped(lossy, check_run(lossy))
    invalid = {(group.code) for group in groups if group.verdict is INVALID}
    assert "delivery" in invalid
    assert not [g for g in groups if g.verdict is SUSPECT and g.code == "delivery"]
