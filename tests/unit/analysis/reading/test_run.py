# SPDX-License-Identifier: Apache-2.0
"""Loading a run directory: sound, interrupted, damaged."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.sample import write_sample
from testbed.analysis.findings import check_run
from testbed.analysis.page.method import method
from testbed.analysis.page.report import render_report
from testbed.analysis.plots import style
from testbed.analysis.reading.environment import details
from testbed.analysis.reading.run import load_run
from testbed.model.errors import ParseError, RunError
from tests.unit.factories.run_factory import RunRecipe, make_run
from tests.unit.factories.sketches import EVERY, sketched

pytestmark = pytest.mark.usefixtures("sketched")


def test_a_sound_run(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path))
    assert run.complete
    assert run.reasons == ()
    assert [arm.name for arm in run.arms] == ["none", "netfilter", "xdp"]
    assert len(run.trials) == 15
    assert all(trial.problems == () for trial in run.trials)
    trial = run.trials_of("xdp")[0]
    assert (trial.number, trial.mode, trial.hook_hits) == (1, "generic", 14_003)
    assert trial.delivered_share == 1.0
    assert run.trials_of("none")[0].hook_hits is None


def test_a_directory_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no plan\.json") as caught:
        load_run(tmp_path)
    assert "testbed bench" in caught.value.hint


def test_an_interrupted_run_lists_what_was_not_run(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(complete=False, trials_done=7)))
    assert not run.complete
    assert len(run.trials) == 7
    assert run.reasons[0] == "manifest.json is missing: the run did not finish"
    assert len(run.reasons) == 9
    assert all(reason.endswith(": not run") for reason in run.reasons[1:])


def test_a_missing_file_is_a_problem_and_not_a_zero(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(missing=("raw/02-xdp/server.json",))))
    trial = run.trials_of("xdp")[1]
    assert trial.problems == ("raw/02-xdp/server.json: missing",)
    assert trial.server is None
    assert trial.delivered_share is None


@pytest.mark.parametrize(
    "name", ["server.json", "client.json", "mpstat.json", "trial.json", "before.json"]
)
def test_a_truncated_file_is_a_problem_with_its_line(tmp_path: Path, name: str) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(truncated=(f"raw/03-netfilter/{name}",))))
    (problem,) = run.trials_of("netfilter")[2].problems
    assert problem.startswith(f"raw/03-netfilter/{name}: line ")


def test_a_server_that_died_leaves_a_named_gap(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    path = root / "raw/01-xdp/server.json"
    document = json.loads(path.read_text())
    document["complete"] = False
    document["trials"][0]["after"] = None
    path.write_text(json.dumps(document))
    (problem,) = load_run(root).trials_of("xdp")[0].problems
    assert problem == "raw/01-xdp/server.json: trials[0].after: missing"


def test_a_trial_whose_folder_is_gone(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    for file in (root / "raw/04-none").iterdir():
        file.unlink()
    assert load_run(root).trials_of("none")[3].problems == ("raw/04-none: no files",)


def test_the_recorded_error_of_a_trial_is_its_problem(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    path = root / "raw/01-xdp/trial.json"
    document = json.loads(path.read_text()) | {"error": {"message": "the client died"}}
    path.write_text(json.dumps(document))
    assert load_run(root).trials_of("xdp")[0].problems == (
        "raw/01-xdp/trial.json: error: the client died",
    )


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("plan.json", {"schema": 9}, "plan.json: schema 9"),
        ("plan.json", {"blocks": None}, "plan.json: blocks: missing"),
        ("plan.json", {"blocks": [["ipvs"]]}, "blocks[0]: arm 'ipvs' has no manifest"),
        ("plan.json", {"arms": [{"name": "../x"}]}, "arms[0].name: not an arm's name"),
        ("manifest.json", {"status": "odd"}, "manifest.json: status: expected"),
        ("manifest.json", {"schema": None}, "manifest.json: schema: missing"),
    ],
)
def test_plan_and_manifest_must_hold_what_they_should(
    tmp_path: Path, file: str, change: dict[str, object], message: str
) -> None:
    root = make_run(tmp_path)
    document = json.loads((root / file).read_text()) | change
    (root / file).write_text(json.dumps(document))
    with pytest.raises(RunError) as caught:
        load_run(root)
    assert message in caught.value.message


def test_a_truncated_manifest_names_its_line(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    text = (root / "manifest.json").read_text()
    (root / "manifest.json").write_text(text[:40])
    with pytest.raises(ParseError, match=r"manifest\.json: line"):
        load_run(root)


def test_a_sample_is_small_and_gives_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RunRecipe(log_lines={"xdp": 500})
    root, sample = make_run(tmp_path, recipe), tmp_path / "sample"
    write_sample(root, sample)
    monkeypatch.setattr(style, "png_of", lambda _: b"")  # of the same figure as the SVG
    with sketched(EVERY):
        whole, thinned = render_report(load_run(root)), render_report(load_run(sample))
    assert {k: v for k, v in thinned.items() if k.startswith("plots/")} == {
        k: v for k, v in whole.items() if k.startswith("plots/")
    }
    assert thinned["derived/trials.csv"] == whole["derived/trials.csv"]
    assert "a copy for the repository" in thinned["report.html"]
    assert "a copy for the repository" not in whole["report.html"]
    manifest = json.loads((sample / "manifest.json").read_text())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((sample / name).read_bytes()).hexdigest() == digest
    files = [p for p in sample.rglob("*") if p.is_file()]
    assert len(manifest["files"]) == len(files) - 1
    assert sum(p.stat().st_size for p in files) < 400_000
    codes = [(f.code, f.verdict) for f in check_run(load_run(root))]
    assert [(f.code, f.verdict) for f in check_run(load_run(sample))] == codes


def test_a_sample_has_no_warm_up_and_of_the_probe_pass_what_it_timed(tmp_path: Path) -> None:
    root, sample = make_run(tmp_path), tmp_path / "sample"
    shutil.copytree(root / "raw/01-none", root / "raw/warm-up-1-none")
    shutil.copytree(root / "raw/01-xdp", root / "raw/probe-xdp")
    write_sample(root, sample)
    assert not (sample / "raw/warm-up-1-none").exists()
    assert [p.name for p in (sample / "raw/probe-xdp").iterdir()] == ["hook-after.json"]
    assert load_run(sample).edited == ()


def test_a_file_that_was_changed_is_named(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    (root / "raw/01-xdp/client.txt").write_text("Trial 1: Succeed with 1.00 ms\n")
    (root / "raw/02-none/server.txt").unlink()
    assert load_run(root).edited == ("raw/01-xdp/client.txt", "raw/02-none/server.txt")


def test_a_file_that_came_later_is_named(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    shutil.copytree(root / "raw/01-xdp", root / "raw/99-xdp")
    (root / "facts/more.json").write_text("{}")
    (root / "raw/01-xdp/client.json.new").write_text("left by a write that was cut off")
    (root / "notes.txt").write_text("mine")
    run = load_run(root)
    assert run.edited == ()
    names = {"facts/more.json", *(f"raw/99-xdp/{p.name}" for p in (root / "raw/99-xdp").iterdir())}
    assert set(run.added) == names
    (finding,) = (f for f in check_run(run) if f.code == "edited")
    assert finding.statement.startswith("added since it was measured: facts/more.json, raw/99-xdp/")


def test_pages_that_an_older_manifest_lists_may_be_made_again(tmp_path: Path) -> None:
    """`report` during `bench` wrote them before the run was closed."""
    root = make_run(tmp_path)
    manifest = json.loads((root / "manifest.json").read_text())
    derived = ("report.html", "report.md", "derived/findings.json", "plots/ledger.svg")
    manifest["files"] |= dict.fromkeys(derived, "0" * 64)
    (root / "manifest.json").write_text(json.dumps(manifest))
    (root / "report.html").write_text("made again")
    run = load_run(root)
    assert (run.edited, run.added) == ((), ())
    assert [f.verdict.value for f in check_run(run) if f.code == "edited"] == ["VALID"]


def test_the_files_that_builds_made_are_on_the_page(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    plan = json.loads((root / "plan.json").read_text())
    plan["built"] = {"none": {}, "xdp": {"loader": "ab" * 32, ".loader.cmd": "cd" * 32}}
    (root / "plan.json").write_text(json.dumps(plan))
    run = load_run(root)
    assert run.built["xdp"]["loader"] == "ab" * 32
    assert ("Built in the server, SHA-256", [("xdp/loader", "ab" * 32)]) in details(run)
    assert "ab" * 32 in render_report(run)["report.html"]
    del plan["built"]
    (root / "plan.json").write_text(json.dumps(plan))
    assert load_run(root).built == {}


def with_parts(root: Path, *parts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the rows on the run's length, when plan.json has these parts."""
    plan = json.loads((root / "plan.json").read_text())
    (root / "plan.json").write_text(json.dumps(plan | {"parts": list(parts)}))
    return [row for row in method(load_run(root)) if row[0] == "Length"]


def test_a_run_in_parts_says_when_each_began_and_how_long_all_took(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    first = {"block": 1, "started_utc": "2025-12-06T05:46:40+00:00", "length_s": 60.4}
    second = {"block": 3, "started_utc": "2025-12-06T09:00:00+00:00", "length_s": 90.0}
    assert with_parts(root) == []
    assert with_parts(root, first) == [("Length", "60 s")]
    said = (
        "2.5 min, in 2 parts: from 2025-12-06T05:46:40+00:00 60 s; "
        "from 2025-12-06T09:00:00+00:00 90 s"
    )
    assert with_parts(root, first, second) == [("Length", said)]
    lost = first | {"started_utc": None, "length_s": None}
    ((_, said),) = with_parts(root, lost, second)
    assert said.startswith("unknown, in 2 parts: from unknown unknown; from 2025-12-06T09")
