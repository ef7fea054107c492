# SPDX-License-Identifier: Apache-2.0
"""A session of several trials (profile original) is one record: sums, and the outer edges."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.findings import check_run
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from tests.unit.factories.run_factory import RunRecipe, make_run

S = 1_000_000_000


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def session(tmp_path: Path) -> Run:
    """Block 1 of an arm with the programs' trials of blocks 1 to 3 in it, two seconds apart."""
    root = make_run(tmp_path, RunRecipe(arms=("none", "xdp"), trials=3))
    folders = [root / f"raw/{block:02d}-xdp" for block in (1, 2, 3)]
    for name in ("client.json", "server.json"):
        document = read(folders[0] / name)
        document["trials"] = [read(folder / name)["trials"][0] for folder in folders]
        (folders[0] / name).write_text(json.dumps(document))
    for block in (2, 3):
        shutil.rmtree(root / f"raw/{block:02d}-xdp")
    return load_run(root)


def test_counts_are_sums_and_edges_the_outer_ones(session: Run) -> None:
    trial = session.trials_of("xdp")[0]
    assert trial.client is not None
    assert trial.server is not None
    assert (trial.client.offered, trial.server.unique) == (42_000, 42_000)
    assert trial.server.uniques == (14_000,) * 3
    assert len(trial.client.durations_ms) == 3
    assert trial.client.duration_ms == pytest.approx(sum(trial.client.durations_ms))
    assert trial.server.traffic_s is not None
    assert 4.1 < trial.server.traffic_s < 4.4
    wall_s = (trial.server.after.monotonic_ns - trial.server.before.monotonic_ns) / S
    assert wall_s > 2 * trial.server.traffic_s


def test_the_idle_seconds_between_are_in_its_cpu_window(session: Run) -> None:
    trial = session.trials_of("xdp")[0]
    found = [f for f in check_run(session) if f.code == "window" and f.scope.arm == "xdp"]
    assert [f.scope.block for f in found][:1] == [1]
    assert found[0].verdict.value == "INVALID"
    assert "of the CPU window" in found[0].statement
    cost = cost_of(trial)
    assert cost is not None
    assert cost.traffic.wall_s > 10
