# SPDX-License-Identifier: Apache-2.0
"""Runs of schema 2, in which the gate's files have other names, are read as any other."""

import json
import shutil
from pathlib import Path

from testbed.analysis.page.report import render_report
from testbed.analysis.reading.run import load_run
from testbed.model.run_files import gate_record, gated
from tests.unit.factories.run_factory import RunRecipe, make_run, seal


def make_old(run: Path) -> None:
    """Give the files of a run's gate the names that they had, and the run its schema."""
    (run / "gate").rename(run / "oracle")
    for path in (run / "oracle").glob("*/gate.json"):
        path.rename(path.with_name("oracle.json"))
    for name in ("plan.json", "manifest.json"):
        document = json.loads((run / name).read_text())
        assert document["schema"] == 3
        (run / name).write_text(json.dumps({**document, "schema": 2}))
    seal(run)


def test_an_old_run_gives_the_same_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, RunRecipe(arms=("none", "xdp")))
    new = render_report(load_run(run))["report.html"]
    shutil.copytree(run, tmp_path / "old" / run.name)
    old = tmp_path / "old" / run.name
    make_old(old)
    loaded = load_run(old)
    assert set(loaded.gate) == gated(old) == {"none", "xdp"}
    assert (loaded.edited, loaded.added) == ((), ())
    assert render_report(loaded)["report.html"] == new


def test_a_file_too_many_is_noticed_in_either_folder(tmp_path: Path) -> None:
    run = make_run(tmp_path, RunRecipe(arms=("none", "xdp")))
    make_old(run)
    (run / "oracle/xdp/more.pcap.gz").write_bytes(b"x")
    assert load_run(run).added == ("oracle/xdp/more.pcap.gz",)


def test_a_run_that_went_on_with_a_newer_version_has_both(tmp_path: Path) -> None:
    (tmp_path / "oracle/none").mkdir(parents=True)
    (tmp_path / "oracle/none/oracle.json").write_text("{}")
    (tmp_path / "gate/xdp").mkdir(parents=True)
    assert gated(tmp_path) == {"none"}
    (tmp_path / "gate/xdp/gate.json").write_text("{}")
    assert gated(tmp_path) == {"none", "xdp"}
    assert gate_record(tmp_path, "none") == "oracle/none/oracle.json"
