# SPDX-License-Identifier: Apache-2.0
"""The page of a run with a count: two answers beside each other, and neither hangs on the other."""

import json
import re
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from bench.sample import write_sample
from testbed.analysis.page.figures import Figures
from testbed.analysis.page.judged import Judged, judge
from testbed.analysis.page.report import render_report
from testbed.analysis.plots.style import Drawing
from testbed.analysis.reading.run import load_run
from testbed.analysis.receipt.answer import NOT_TIME
from testbed.analysis.receipt.judged import judge_count
from testbed.analysis.receipt.lane import Lane, lane_of
from tests.unit.factories.count_runs import (
    ARMS,
    close,
    count_run,
    put_beside,
    put_failed,
)
from tests.unit.factories.run_factory import RunRecipe, make_run
from tests.unit.factories.sketches import sketch

pytestmark = pytest.mark.usefixtures("sketched")

EXACT = "generic XDP executes 888 instructions more than the Netfilter module"
FIRST, SECOND = "20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb"
RUNS = {
    "conclusive": (RunRecipe(cost_us={"xdp": 9.0, "netfilter": 6.0}),
                   "CPU time: “XDP program, generic mode” took 1."),
    "inconclusive": (RunRecipe(spread=0.4), "CPU time: inconclusive on this machine"),
    "INVALID": (RunRecipe(delivered_share={"xdp": 0.5}),
                "CPU time: no answer; the trials are INVALID."),
    "unfinished": (RunRecipe(complete=False, trials_done=4),
                   "CPU time: no answer, because the run did not finish."),
}  # fmt: skip
COUNTS: dict[str, tuple[Callable[[], Lane | None], str]] = {
    "whole": (lambda: Lane(judge_count(count_run())), EXACT),
    "INVALID": (
        lambda: Lane(judge_count(count_run(gate=dict.fromkeys(ARMS, False)))),
        "Exact: no answer; the count is INVALID.",
    ),
    "of one arm": (
        lambda: Lane(judge_count(count_run(gate={"none": True, "netfilter": False, "xdp": False}))),
        "Exact, over a packet’s whole life: 9,358 instructions without a hook.",
    ),
    "impossible": (
        lambda: Lane(None, "gcc is not installed", "install gcc"),
        "Exact: not counted (gcc is not installed).",
    ),
    "damaged": (
        lambda: Lane(None, "count/x is cut off", "get it back", damaged=True),
        "Exact: no answer; the count is INVALID.",
    ),
    "absent": (lambda: None, ""),
}


@cache
def judged(name: str) -> Judged:
    with TemporaryDirectory() as folder:
        return judge(load_run(make_run(Path(folder), RUNS[name][0])))


def with_count(of: Judged, lane: Lane | None) -> Judged:
    return Judged(run=of.run, findings=of.findings, comparisons=of.comparisons,
                  opening=of.opening, lane=lane)  # fmt: skip


def files_of(one: Judged) -> dict[str, str | bytes]:
    """The page's files, with a stand-in for each drawing."""
    names = {arm.name: () for arm in one.run.arms}
    of_count = one.lane is not None and one.lane.judged is not None
    drawn = tuple(Drawing(name=f"count-1000{tail}", alternative="", svg="<svg></svg>", png=b"")
                  for tail in ("", "-narrow") if of_count)  # fmt: skip
    figures = Figures(comparison=(), ledger=(), ledger_narrow=(), cpu_time=names, per_cpu=names,
                      beside=None, count=drawn)  # fmt: skip
    return render_report(one.run, judged=one, figures=lambda: figures)


def text_of(page: Any) -> str:
    page = re.sub(r"(?s)<style.*?</style>", "", str(page))
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("run", RUNS)
def test_the_page_opens_with_both_answers(run: str, count: str) -> None:
    make, exact = COUNTS[count]
    one = with_count(judged(run), make())
    files = files_of(one)
    page, markdown = text_of(files["report.html"]), str(files["report.md"])
    found = json.loads(str(files["derived/findings.json"]))
    assert found["status"] == judged(run).opening.status, "the count changed the other verdict"
    if count == "absent":
        assert files == files_of(judged(run))
        assert "count" not in found and "Exact" not in page and "Exact" not in markdown
        return
    for said in (page, markdown):
        words = [exact, RUNS[run][1], f"Exact count: {found['count']['status']}",
                 f"CPU time: {found['status']}"]  # fmt: skip
        places = [said.index(word) for word in words]
        assert places == sorted(places), "both answers first, then each with its verdict"
    assert exact in found["count"]["both"]["exact"]
    assert (NOT_TIME in page) == ("derived/count.json" in files) == (one.lane.judged is not None)
    assert ('id="count"' in str(files["report.html"])) == ("plots/count-1000.svg" in files)
    assert found["answers"] == list(judged(run).opening.answers)


def test_an_invalid_run_keeps_its_exact_answer_and_an_invalid_count_the_cpu_time() -> None:
    count = Lane(judge_count(count_run()))
    assert not count.is_invalid
    assert count.as_json()["typical_instructions"] == {
        "none": 9358, "netfilter": 9705, "xdp": 10593,
    }  # fmt: skip
    void = Lane(judge_count(count_run(gate=dict.fromkeys(ARMS, False))))
    assert void.is_invalid and void.as_json()["typical_instructions"] == {}
    assert with_count(judged("conclusive"), void).comparisons == judged("conclusive").comparisons
    assert not Lane(None, "no gcc").is_invalid, "what was not counted is not INVALID"


def test_a_doubtful_answer_says_so() -> None:
    one = with_count(judged("inconclusive"), Lane(judge_count(count_run(gate=None))))
    assert one.both is not None
    assert one.both.exact.endswith("bytes more (SUSPECT).")


def test_several_comparisons_are_not_one_answer(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(arms=("none", "netfilter", "xdp", "nft"),
                                                spread=0.4)))  # fmt: skip
    both = judge(run, Lane(None, "no gcc")).both
    assert both is not None
    assert "of 3 comparisons" in both.cpu_time or "settled" in both.cpu_time


# From the files


def put(checkout: Path, name: str, recipe: RunRecipe | None = None) -> Path:
    path = checkout / "results" / name
    path.parent.mkdir(exist_ok=True)
    return make_run(checkout / "made", recipe).rename(path)


def test_the_terminal_has_both_answers_first(
    testbed: Any, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sketch(monkeypatch, ("count-1000", "count-1000-narrow"))
    path = put_beside(put(checkout, FIRST, RunRecipe(trials=2)))
    said = testbed("report", FIRST)
    assert said.status == 0
    lines = [line for line in said.err.splitlines() if "page of" not in line]
    assert EXACT in lines[0]
    assert lines[1].startswith("CPU time: ")
    assert lines[2].startswith("Count VALID: ")
    assert any(line.startswith("CPU time SUSPECT: ") for line in lines)
    once = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert {path / f"plots/count-1000{tail}" for tail in (".svg", "-narrow.png")} <= once.keys()
    testbed("report", FIRST)
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == once, "not the same bytes"
    listed = testbed("runs").out
    assert "SUSPECT     2 x none, netfilter, xdp  xdp/netfilter" in listed
    assert "none 9,358 instructions; netfilter 9,705 instructions; xdp 10,593" in listed
    (row,) = json.loads(testbed("runs", "--json").out)["runs"]
    assert (row["kind"], row["counted"][0]) == ("trials", "none 9,358 instructions")
    assert "xdp 10,593 instructions" in (checkout / "results/index.html").read_text()


def test_an_invalid_count_ends_with_7_and_leaves_the_cpu_time(testbed: Any, checkout: Path) -> None:
    put_beside(put(checkout, FIRST, RunRecipe(trials=2)), gate=dict.fromkeys(ARMS, False))
    said = testbed("report", FIRST)
    assert said.status == 7
    assert "Count INVALID: Nothing is compared" in said.err
    assert "CPU time SUSPECT" in said.err
    assert "count INVALID" in testbed("runs").out


def test_what_was_not_counted_is_told_and_is_no_failure(testbed: Any, checkout: Path) -> None:
    put_failed(put(checkout, FIRST, RunRecipe(trials=2)), "gcc is not installed", "install gcc")
    said = testbed("report", FIRST)
    assert said.status == 0
    assert "Exact: not counted (gcc is not installed)." in said.err
    assert "Gcc is not installed: install gcc." in said.err
    assert testbed("runs").out.endswith("; not counted\n")


@pytest.mark.parametrize("name", ["count/count.json", "count/xdp-1000/paths.bin.xz"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\0" * 99])
def test_damaged_count_files_are_the_counts_own_matter(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = put_beside(make_run(tmp_path, RunRecipe(trials=1)))
    (path / name).unlink() if content is None else (path / name).write_bytes(content)
    run = load_run(path)
    assert run.edited == ()
    lane = lane_of(path, run.manifest)
    assert lane is not None and lane.is_invalid
    assert Path(name).parent.name in lane.opening.reasons[0]


def test_an_edited_count_is_invalid_and_edited_trials_leave_it(tmp_path: Path) -> None:
    path = put_beside(make_run(tmp_path, RunRecipe(trials=1)))
    facts = path / "count/none-1000/facts.json"
    whole = facts.read_text()
    facts.write_text(whole + "\n")
    run = load_run(path)
    lane = lane_of(path, run.manifest)
    assert lane is not None and lane.is_invalid and run.edited == ()
    facts.write_text(whole)
    (path / "facts/host.json").write_text("{}")
    run = load_run(path)
    lane = lane_of(path, run.manifest)
    assert lane is not None and not lane.is_invalid
    assert run.edited == ("facts/host.json",)


def test_a_reason_that_was_edited_is_none(tmp_path: Path) -> None:
    path = put_beside(make_run(tmp_path, RunRecipe(trials=1)))
    (path / "count/count.json").write_text('{"not_counted": {"why": "nothing to see", "hint": ""}}')
    lane = lane_of(path, load_run(path).manifest)
    assert lane is not None and lane.is_invalid
    assert "is not the file that was recorded" in lane.opening.reasons[0]


def test_a_sample_keeps_the_count(tmp_path: Path) -> None:
    path = put_beside(make_run(tmp_path, RunRecipe(trials=1)))
    write_sample(path, tmp_path / "sample")
    lane = lane_of(tmp_path / "sample", load_run(tmp_path / "sample").manifest)
    assert lane is not None and EXACT in lane.exact and lane.opening.status == "VALID"


def test_a_run_from_before_has_no_count(tmp_path: Path) -> None:
    path = make_run(tmp_path, RunRecipe(trials=1))
    assert lane_of(path, load_run(path).manifest) is None


def test_counts_of_runs_with_trials_are_set_beside_a_count(testbed: Any, checkout: Path) -> None:
    put_beside(put(checkout, FIRST, RunRecipe(trials=1)))
    count = put(checkout, SECOND, RunRecipe(trials=1))
    put_beside(count)
    for name in ("plan.json", "manifest.json"):
        (count / name).unlink()
    close(count)
    said = testbed("compare", FIRST, SECOND)
    assert said.status == 0, said.err
    assert "10,593    10,593        0" in said.out
