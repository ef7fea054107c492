# SPDX-License-Identifier: Apache-2.0
"""`testbed runs`, results/index.html and `testbed report RUN…`: many runs, in any state."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from testbed.analysis.page import figures
from testbed.edge.computer import aside
from testbed.model.errors import UsageError
from tests.conftest import Said
from tests.unit.factories.run_factory import RunRecipe, make_run

pytestmark = pytest.mark.usefixtures("sketched")
Testbed = Callable[..., Said]


def put_run(checkout: Path, name: str, recipe: RunRecipe | None = None) -> Path:
    """A run below results/ under a name of its own."""
    root = make_run(checkout / "made", recipe)
    path = checkout / "results" / name
    path.parent.mkdir(exist_ok=True)
    return Path(shutil.move(root, path))


@pytest.fixture
def three(checkout: Path) -> list[Path]:
    """A sound run, one of a single arm, and one that did not finish."""
    return [
        put_run(checkout, "20250101T000000Z-aaaaaa", RunRecipe(trials=2)),
        put_run(checkout, "20250102T000000Z-bbbbbb", RunRecipe(arms=("none", "xdp"), trials=2)),
        put_run(
            checkout, "20250103T000000Z-cccccc", RunRecipe(trials=2, complete=False, trials_done=3)
        ),
    ]


def test_several_runs_are_rendered_at_once(testbed: Testbed, three: list[Path]) -> None:
    said = testbed("report", *(path.name for path in three))
    assert said.out.splitlines() == [str(path / "report.html") for path in three]
    assert said.status == 7  # the third is INCOMPLETE, which is INVALID
    assert all((path / "report.md").is_file() for path in three)
    assert testbed("report", three[0].name, three[1].name).status == 0


def test_a_name_that_is_no_run_stops_before_anything_is_written(
    testbed: Testbed, three: list[Path]
) -> None:
    said = testbed("report", three[0].name, "nonsense")
    assert said.status == 2
    assert "there is no run 'nonsense'" in said.err
    assert not (three[0] / "report.html").exists()


def test_json_of_several_runs_is_a_document_a_run(testbed: Testbed, three: list[Path]) -> None:
    out = testbed("report", three[0].name, three[1].name, "--json").out
    first, end = json.JSONDecoder().raw_decode(out)
    second = json.loads(out[end:])
    assert [first["status"], second["status"]] == ["SUSPECT", "SUSPECT"]
    assert first["answers"] and first["headline"]


def test_the_table_has_verdict_and_answer_of_each_run(testbed: Testbed, three: list[Path]) -> None:
    testbed("report", *(path.name for path in three))
    lines = testbed("runs").out.splitlines()
    number = r"\d\.\d+"
    assert re.fullmatch(
        rf"20250101T000000Z-aaaaaa  SUSPECT     2 x none, netfilter, xdp  xdp/netfilter {number} "
        rf"\({number} to {number}\)",
        lines[0],
    )
    assert re.search(rf"SUSPECT     2 x none, xdp +xdp/none {number} \(", lines[1])
    assert re.fullmatch(r"20250103T000000Z-cccccc  INCOMPLETE  2 x none, netfilter, xdp", lines[2])


def test_a_run_that_was_not_rendered_since_it_ended_has_no_verdict(
    testbed: Testbed, checkout: Path
) -> None:
    path = put_run(checkout, "20250101T000000Z-aaaaaa", RunRecipe(trials=2))
    manifest = (path / "manifest.json").read_text()
    (path / "manifest.json").unlink()
    testbed("report", path.name)  # while it still runs
    assert "INCOMPLETE" in testbed("runs").out
    (path / "manifest.json").write_text(manifest)
    assert "complete" in testbed("runs").out
    listed = json.loads(testbed("runs", "--json").out)["runs"]
    assert (listed[0]["status"], listed[0]["answers"]) == ("complete", [])


def test_report_and_runs_renew_the_index(testbed: Testbed, checkout: Path) -> None:
    index = checkout / "results/index.html"
    first = put_run(checkout, "20250101T000000Z-aaaaaa", RunRecipe(trials=2))
    testbed("report", first.name)
    assert 'href="20250101T000000Z-aaaaaa/report.html"' in index.read_text()
    second = put_run(checkout, "20250102T000000Z-bbbbbb", RunRecipe(trials=2))
    said = testbed("runs")
    assert str(index) in said.err
    page = index.read_text()
    assert page.index(second.name) < page.index(first.name), "the newest first"
    assert f'href="{second.name}/report.html"' not in page, "no link to a page that is not there"


def test_an_index_of_nothing_says_how_to_make_a_run(testbed: Testbed, checkout: Path) -> None:
    (checkout / "results").mkdir()
    assert "`testbed bench --both` makes one" in testbed("runs").err
    assert "testbed bench --both" in (checkout / "results/index.html").read_text()


@pytest.mark.parametrize("comparisons", ["", "3", "[3]", '[{"ratio": "x"}]'])
def test_findings_that_are_none_do_not_hide_the_run(
    testbed: Testbed, checkout: Path, comparisons: str
) -> None:
    path = put_run(checkout, "20250101T000000Z-aaaaaa", RunRecipe(trials=1))
    (path / "derived").mkdir()
    (path / "derived/findings.json").write_text(
        f'{{"complete": true, "status": "VALID", "answers": [], "comparisons": {comparisons}}}'
    )
    said = testbed("runs")
    assert path.name in said.out
    assert not (checkout / "testbed-bug.txt").exists()


def test_a_thousand_runs_are_listed_in_no_time(testbed: Testbed, checkout: Path) -> None:
    """bench/speeds.py times the whole command; here it must not read the trials."""
    path = put_run(checkout, "20250101T000000Z-aaaaaa", RunRecipe(trials=2))
    testbed("report", path.name)
    for number in range(1, 1000):
        copy = path.with_name(f"20250102T{number:06d}Z-aaaaaa")
        (copy / "derived").mkdir(parents=True)
        for name in ("plan.json", "manifest.json", "derived/findings.json"):
            (copy / name).symlink_to(path / name)
    start = time.process_time()
    said = testbed("runs")
    assert len(said.out.splitlines()) == 1000
    assert time.process_time() - start < 2


def test_what_is_asked_for_is_made(testbed: Testbed, checkout: Path) -> None:
    path = put_run(checkout, "20250101T000000Z-aaaaaa", RunRecipe(trials=2))
    testbed("report", path.name)
    plain = {p.name for p in (path / "plots").iterdir()}
    assert not (path / "report.pdf").exists()
    assert not [name for name in plain if name.startswith(("per-cpu", "beside"))]
    assert testbed("report", path.name, "--per-cpu", "--published", "--pdf").status == 0
    assert (path / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert {p.name for p in (path / "plots").iterdir()} - plain == {
        *(f"per-cpu-{arm}.{end}" for arm in ("none", "netfilter", "xdp") for end in ("svg", "png")),
        "beside-published.svg", "beside-published.png",
    }  # fmt: skip


@pytest.mark.parametrize("forks", [True, False])
def test_what_goes_wrong_in_drawing_is_said_as_ever_and_nothing_is_written(
    testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch, forks: bool
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise UsageError("no colours left", hint="buy some")

    path = put_run(checkout, "20250101T000000Z-aaaaaa", RunRecipe(trials=2))
    there = sorted(path.rglob("*"))
    monkeypatch.setattr(aside, "can_fork", lambda: forks)
    monkeypatch.setattr(figures, "draw_ledger", refuse)
    said = testbed("-q", "report", path.name)
    assert (said.status, said.out) == (2, "")
    assert said.err == "testbed: no colours left\n  → buy some\n"
    assert sorted(path.rglob("*")) == there


def test_the_published_tables_are_a_run_like_any_other(testbed: Testbed, checkout: Path) -> None:
    (checkout / "results").mkdir()
    said = testbed("report", "published")
    assert said.status == 7
    assert said.out.strip() == str(checkout / "results/published/report.html")
