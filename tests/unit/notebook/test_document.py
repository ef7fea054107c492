# SPDX-License-Identifier: Apache-2.0
"""docs/notebook.ipynb runs as it stands, and docs/notebook.md names what it uses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.conclusions.csv_and_json import COLUMNS
from testbed.notebook import count_frames, frames
from tests import PROJECT

NOTEBOOK = PROJECT / "docs/notebook.ipynb"
CELL_KEYS = {
    "markdown": {"cell_type", "id", "metadata", "source"},
    "code": {"cell_type", "id", "metadata", "source", "execution_count", "outputs"},
}


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return found


def code_of(notebook: dict[str, Any]) -> list[str]:
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


def test_it_is_a_notebook_of_format_4_without_outputs(notebook: dict[str, Any]) -> None:
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        assert set(cell) == CELL_KEYS[cell["cell_type"]]
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", one) for one in ids)


def test_its_cells_run_on_the_sample(
    notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the folder that a notebook runs in, one after the other, drawing on no screen."""
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    monkeypatch.chdir(NOTEBOOK.parent)
    names: dict[str, Any] = {}
    for number, cell in enumerate(code_of(notebook), start=1):
        exec(compile(cell, f"cell {number}", "exec"), names)
    run, axes = names["run"], names["axes"]
    said = capsys.readouterr().out
    assert said.startswith(f"{run.status}: {run.headline}")
    assert all(answer in said for answer in run.answers)
    assert "µs" in axes.get_ylabel()
    drawn = sorted(y for line in axes.lines for y in line.get_ydata())
    assert drawn == sorted(run.trials["cost_us"])
    pyplot.close("all")


def test_it_explains_every_verdict(notebook: dict[str, Any]) -> None:
    text = "".join("".join(cell["source"]) for cell in notebook["cells"])
    for verdict in ("lower", "higher", "no difference larger than", "inconclusive", "invalid",
                    "no answer"):  # fmt: skip
        assert f"*{verdict}" in text or f"or *{verdict}" in text, verdict


def test_the_page_names_every_column() -> None:
    page = (PROJECT / "docs/notebook.md").read_text(encoding="utf-8")
    trials = (PROJECT / "docs/run-directory.md").read_text(encoding="utf-8")
    counting = (PROJECT / "docs/counting.md").read_text(encoding="utf-8")
    old = {new: name for name, new in count_frames.RENAMED.items()}
    parts = {name for name in count_frames.COUNTS if name.removesuffix("_instructions") in
             (*count_frames.OWN, count_frames.WAKE_UP)}  # fmt: skip
    for table in (frames.LEDGER, frames.FINDINGS, frames.EVIDENCE, frames.COMPARISONS,
                  count_frames.STAGES, count_frames.FUNCTIONS):  # fmt: skip
        assert [name for name in table if f"`{name}`" not in page] == []
    assert [name for name in COLUMNS if f"`{name}`" not in trials] == []
    assert [
        name
        for name in count_frames.COUNTS
        if name not in parts and f"`{old.get(name, name)}`" not in page + counting
    ] == []


def test_the_command_line_pays_nothing_for_it() -> None:
    """pandas takes longer to import than most verbs take."""
    asks = (
        "import sys, testbed; testbed.open_run; "
        "print({'pandas', 'numpy', 'jinja2', 'testbed.notebook'} & set(sys.modules))"
    )
    argv = [sys.executable, "-c", asks]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=True, cwd=Path(PROJECT), env=dict(os.environ)
    )
    assert done.stdout == "set()\n"
