# SPDX-License-Identifier: Apache-2.0
"""A frame has the numbers of the files in `derived/`; what they refuse, it refuses."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import testbed
from testbed.analysis.conclusions.csv_and_json import COLUMNS
from testbed.analysis.page.judged import judge
from testbed.analysis.page.report import findings_json, trials_csv
from testbed.analysis.reading.run import load_run
from testbed.notebook import NotebookError, OpenRun, frames
from tests import PROJECT
from tests.unit.factories.run_factory import RunRecipe, make_run

HOPS = {
    "client NIC tx": "client_nic_tx", "server NIC rx": "server_nic_rx", "hook hits": "hook_data",
    "forwarded": "forwarded", "veth tx": "veth_tx", "veth rx": "veth_rx",
    "UDP delivered": "udp_delivered",
}  # fmt: skip
REFUSED = {
    "lost packets": (RunRecipe(delivered_share={"xdp": 0.5}), "delivery"),
    "unfinished": (RunRecipe(complete=False, trials_done=4), "complete"),
}


def document(path: Path) -> dict[str, Any]:
    judged = judge(load_run(path))
    text = findings_json(judged.run, judged.findings, judged.comparisons, judged.opening)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture
def damaged(tmp_path: Path) -> OpenRun:
    """A run one trial of which lacks the server's record."""
    return testbed.open_run(make_run(tmp_path, RunRecipe(missing=("raw/02-xdp/server.json",))))


def test_trials_are_those_of_the_file_in_the_sample() -> None:
    found = testbed.open_run(PROJECT / "results/sample").trials
    recorded = pd.read_csv(PROJECT / "results/sample/derived/trials.csv")
    again = found.rename(columns={new: old for old, new in frames.IDLE_RATE.items()})
    assert list(again.columns) == list(recorded.columns) == list(COLUMNS)
    pd.testing.assert_frame_equal(again, recorded, check_dtype=False, check_exact=True)


def test_what_a_trial_does_not_know_is_missing_and_never_0(damaged: OpenRun) -> None:
    found = damaged.trials.query("block == 2 and arm == 'xdp'").iloc[0]
    assert all(found[["delivered", "cost_us", "delivered_share", "udp_delivered"]].isna())
    assert pd.isna(damaged.trials.query("arm == 'none'")["hook_hits"]).all()
    recorded = pd.read_csv(io.StringIO(trials_csv(load_run(damaged.path))))
    assert (damaged.trials.isna().to_numpy() == recorded.isna().to_numpy()).all()


def test_a_columns_type_does_not_depend_on_the_run(damaged: OpenRun) -> None:
    sample = testbed.open_run(PROJECT / "results/sample")
    for name in ("trials", "ledger", "findings", "comparisons"):
        one, other = getattr(sample, name).dtypes, getattr(damaged, name).dtypes
        assert one.equals(other), name
    assert set(sample.trials.dtypes.map(str)) == {"Int64", "float64", "string"}
    assert set(COLUMNS) >= frames.FRACTIONS


def test_the_ledger_is_the_hops_of_every_trial(tmp_path: Path) -> None:
    run = testbed.open_run(make_run(tmp_path, RunRecipe(delivered_share={"xdp": 0.5})))
    wide = run.ledger.pivot(index=["block", "arm"], columns="hop", values="data_packets")
    trials = run.trials.set_index(["block", "arm"]).sort_index()
    for hop, column in HOPS.items():
        pd.testing.assert_series_equal(
            wide[hop].sort_index(), trials[column], check_names=False, check_dtype=False
        )
    lost = run.ledger.query("arm == 'xdp'").groupby("block")["lost_packets"].sum()
    of_xdp = trials.query("arm == 'xdp'").reset_index().set_index("block")
    assert (lost == of_xdp["offered"] - of_xdp["delivered"]).all()
    where = run.ledger.query("lost_packets > 0")
    assert set(where["since_hop"]) == {"client NIC tx"}
    assert set(where["hop"]) == {"server NIC rx"}


def test_findings_and_their_evidence_are_those_of_the_file(tmp_path: Path) -> None:
    path = make_run(tmp_path, RunRecipe(delivered_share={"xdp": 0.5}))
    run, recorded = testbed.open_run(path), document(path)["findings"]
    assert list(run.findings["code"]) == [one["code"] for one in recorded]
    assert list(run.findings["statement"]) == [one["statement"] for one in recorded]
    assert list(run.findings["scope"]) == [one["scope"]["kind"] for one in recorded]
    assert list(run.evidence["observed"]) == [
        one["observed"] for finding in recorded for one in finding["evidence"]
    ]
    assert "INVALID" in set(run.evidence.query("code == 'delivery'")["verdict"])


def test_comparisons_are_those_of_the_file_in_the_sample() -> None:
    found = testbed.open_run(PROJECT / "results/sample").comparisons
    path = PROJECT / "results/sample/derived/findings.json"
    recorded = json.loads(path.read_text(encoding="utf-8"))["comparisons"]
    for name in ("arm", "reference", "verdict", "ratio", "low", "high", "blocks", "headline"):
        assert list(found[name]) == [one[name] for one in recorded], name
    assert found["why"].isna().all()


@pytest.mark.parametrize("kind", REFUSED)
def test_a_run_that_is_void_has_verdicts_and_no_ratio(tmp_path: Path, kind: str) -> None:
    recipe, code = REFUSED[kind]
    found = testbed.open_run(make_run(tmp_path, recipe)).comparisons
    assert len(found) == 3
    assert set(found["verdict"]) == {"invalid"}
    assert found[["ratio", "low", "high", "blocks"]].isna().all(axis=None)
    assert all(code in why for why in found["why"])


def test_an_arm_that_is_excluded_has_no_ratio_and_the_others_do(tmp_path: Path) -> None:
    run = testbed.open_run(make_run(tmp_path, RunRecipe(mode={"xdp": "native"})))
    by_arms = run.comparisons.set_index(["arm", "reference"])
    assert pd.isna(by_arms.loc[("xdp", "none"), "ratio"])
    assert "mode" in by_arms.loc[("xdp", "none"), "why"]
    assert by_arms.loc[("netfilter", "none"), "ratio"] > 0
    assert pd.isna(by_arms.loc[("netfilter", "none"), "why"])


def test_two_arms_at_different_rates_have_their_rates_and_no_ratio(tmp_path: Path) -> None:
    judged = judge(load_run(make_run(tmp_path)))
    first, *_ = judged.comparisons
    apart = replace(first, ratio=None, verdict="no answer", rates=(2400.0, 3600.0))
    found = frames.comparisons(replace(judged, comparisons=(apart,))).iloc[0]
    assert pd.isna(found["ratio"])
    assert tuple(found[["verdict", "arm_rate_pps", "reference_rate_pps"]]) == (
        "no answer", 2400.0, 3600.0,
    )  # fmt: skip


def test_a_table_is_the_readers_own(tmp_path: Path) -> None:
    run = testbed.open_run(make_run(tmp_path))
    mine = run.trials
    mine["cost_us"] = 0.0
    assert (run.trials["cost_us"] > 0).all()


def test_what_opens_a_run_says_what_to_do_when_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match=r"there is no run 'nope'\n→ the last ones: .*sample"):
        testbed.open_run("nope")
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(NotebookError, match=r"(?s)plan\.json.*\n→ the run is damaged there"):
        testbed.open_run(tmp_path)
