# SPDX-License-Identifier: Apache-2.0
"""Counts as tables: the numbers of derived/count.json, and no difference that it refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest

import testbed
from testbed.analysis.receipt.count_run import load_count
from testbed.analysis.receipt.judged import judge_count
from testbed.notebook import NotebookError
from tests import PROJECT
from tests.unit.factories.count_runs import put_beside, put_count, put_failed
from tests.unit.factories.run_factory import make_run

NAME = "20261128T051600Z-aaaaaa"
GATE = {"none": True, "netfilter": True, "xdp": False}


def test_a_counts_numbers_are_those_of_its_file(tmp_path: Path) -> None:
    path = put_count(tmp_path, NAME)
    run, recorded = testbed.open_run(path), json.loads(judge_count(load_count(path)).as_json())
    counts = run.counts.set_index("arm")
    for one in recorded["arms"]:
        for key in ("typical_instructions", "mean_instructions", "bytes_copied", "cache_lines"):
            assert counts.loc[one["arm"], key] == one[key]
        parts = {part: counts.loc[one["arm"], f"{part}_instructions"] for part in one["parts"]}
        assert parts == {part: both["typical"] for part, both in one["parts"].items()}
    assert list(counts["over_none_instructions"][["netfilter", "xdp"]]) == [9705 - 9358, 1235]
    assert pd.isna(counts.loc["none", "over_none_instructions"])
    assert (run.status, run.count_status, run.plan) == ("VALID", "VALID", {})
    assert set(run.findings["verdict"]) == {"VALID"} == set(run.count_findings["verdict"])


def test_stages_and_functions_add_up_to_the_typical_packet(tmp_path: Path) -> None:
    run = testbed.open_run(put_count(tmp_path, NAME))
    typical = run.counts.set_index("arm")["typical_instructions"]
    by_stage = run.count_stages.groupby("arm")["instructions"].sum()
    own = run.count_functions.query("part != 'wake_up'").groupby("arm")["instructions"].sum()
    assert dict(by_stage) == dict(own) == dict(typical)


def test_a_count_that_may_not_be_compared_has_no_difference(tmp_path: Path) -> None:
    run = testbed.open_run(put_count(tmp_path, NAME, gate=GATE))
    counts = run.counts.set_index("arm")
    assert (run.status, run.count_status) == ("INVALID", "INVALID")
    assert pd.isna(counts.loc["xdp", "over_none_instructions"])
    assert list(counts["may_be_compared"][["netfilter", "xdp"]]) == [True, False]
    assert counts.loc["netfilter", "over_none_instructions"] == 9705 - 9358


def test_a_run_of_trials_has_both(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    put_beside(path)
    run = testbed.open_run(path)
    assert (run.count_status, len(run.trials), len(run.counts)) == ("VALID", 15, 3)
    assert any("888 instructions more" in answer for answer in run.count_answers)
    assert repr(run) == f"<run {run.run_id}: VALID, 15 trials, count VALID>"


def test_a_count_has_no_trials(tmp_path: Path) -> None:
    run = testbed.open_run(put_count(tmp_path, NAME))
    for name in ("trials", "ledger", "comparisons"):
        with pytest.raises(NotebookError, match="holds a count and no trials\n→ ask it for counts"):
            getattr(run, name)


def test_a_run_without_a_count_says_so(tmp_path: Path) -> None:
    run = testbed.open_run(PROJECT / "results/sample")
    assert (run.count_status, run.count_answers) == ("NOT COUNTED", ())
    with pytest.raises(NotebookError, match="without one\n→ `testbed count`"):
        _ = run.counts
    path = make_run(tmp_path)
    put_failed(path, "gcc is not installed", "install gcc")
    with pytest.raises(NotebookError, match="no count: gcc is not installed\n→ install gcc"):
        _ = testbed.open_run(path).count_functions


def test_a_count_that_cannot_be_read_is_no_count_that_is_missing(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    put_beside(path)
    (path / "count/count.json").write_text("{")
    run = testbed.open_run(path)
    assert (run.status, run.count_status) == ("VALID", "INVALID")
    with pytest.raises(NotebookError, match=r"has no count: .*count\.json"):
        _ = run.counts
