# SPDX-License-Identifier: Apache-2.0
"""Run directories that are not what they should be: told, never believed, never a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.findings import Verdict, check_run, worst
from testbed.analysis.page.report import render_report
from testbed.analysis.reading.run import load_run
from testbed.model.errors import RunError
from tests.unit.factories.run_factory import RunRecipe, make_run

pytestmark = pytest.mark.usefixtures("sketched")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("sound"), RunRecipe(arms=("none", "xdp")))


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    copy = tmp_path / sound.name
    shutil.copytree(sound, copy)
    return copy


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


MANIFEST = (
    "schema", "run_id", "status", "command", "started_utc", "ended_utc", "versions", "git",
    "accelerator", "files", "exit_code", "durations",
)  # fmt: skip


@pytest.mark.parametrize("null", [False, True], ids=["missing", "null"])
@pytest.mark.parametrize("key", MANIFEST)
def test_a_manifest_without_a_member(run: Path, key: str, *, null: bool) -> None:
    def change(document: dict[str, Any]) -> None:
        del document[key]
        if null:
            document[key] = None

    edit(run / "manifest.json", change)
    try:
        loaded = load_run(run)
    except RunError as error:
        assert key in ("schema", "status")
        assert error.message.startswith(f"manifest.json: {key}: ")
        return
    page = render_report(loaded)["report.html"]
    assert "None" not in page.replace("None of", "")
    if key == "files":
        assert worst(check_run(loaded)) is Verdict.INVALID


def codes(run: Path, verdict: Verdict = Verdict.INVALID) -> dict[str, str]:
    findings = check_run(load_run(run))
    return {f.code: f.statement for f in findings if f.verdict is verdict}


def test_an_edited_number_is_found_by_its_checksum(run: Path) -> None:
    edit(run / "raw/02-xdp/server.json", lambda d: d["trials"][0].update(unique=13_999))
    assert "raw/02-xdp/server.json" in codes(run)["edited"]


def test_one_trial_missing_of_five(run: Path) -> None:
    shutil.rmtree(run / "raw/03-xdp")
    found = codes(run)
    assert found["complete"] == "raw/03-xdp: no files"
    assert "edited" in found
    page = render_report(load_run(run))["report.html"]
    assert "INVALID" in page


def test_a_trial_more_than_was_planned_is_not_counted(run: Path) -> None:
    shutil.copytree(run / "raw/05-xdp", run / "raw/06-xdp")
    assert len(load_run(run).trials) == 10


def test_an_incomplete_run_compares_nothing(run: Path) -> None:
    (run / "manifest.json").unlink()
    shutil.rmtree(run / "raw/05-xdp")
    loaded = load_run(run)
    page = render_report(loaded)["report.html"]
    assert "This run did not finish: 9 of 10 planned trials have files." in page
    assert "times the CPU time" not in page


@pytest.mark.parametrize("name", ["plan.json", "manifest.json"])
@pytest.mark.parametrize("schema", [1, 4])
def test_another_schema_is_refused(run: Path, name: str, schema: int) -> None:
    edit(run / name, lambda document: document.update(schema=schema))
    with pytest.raises(RunError) as caught:
        load_run(run)
    assert caught.value.message == (
        f"{name}: schema {schema}, and this version reads schemas 2 and 3"
    )
    assert "the version of testbed that wrote the run" in caught.value.hint


def test_another_machines_run_is_read_here(run: Path) -> None:
    """Nothing of the page comes from this computer."""
    edit(run / "facts/host.json", lambda d: d.update(cpu_model="Somebody's CPU"))
    edit(run / "manifest.json", lambda d: d["files"].pop("facts/host.json"))
    assert "Somebody&#39;s CPU" in render_report(load_run(run))["report.html"]
