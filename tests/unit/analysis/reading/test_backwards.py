# SPDX-License-Identifier: Apache-2.0
"""Counters of a trial that ran backwards, or faster than time: no measurement, and said where."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.findings import Verdict
from testbed.analysis.page.judged import Judged, judge
from testbed.analysis.reading.run import load_run
from tests.unit.factories.run_factory import RunRecipe, make_run, seal

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("sound"), RunRecipe(arms=("none", "xdp")))


def judged_with(sound: Path, tmp_path: Path, name: str, edit: Edit) -> Judged:
    run = tmp_path / sound.name
    shutil.copytree(sound, run)
    path = run / "raw/02-xdp" / name
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    seal(run)
    return judge(load_run(run))


def less(text: str, line: str, column: int, by: int) -> str:
    """The text with a smaller number in a column of the line that begins so."""
    rows = [row.split(" ") for row in text.split("\n")]
    for row in rows:
        if row[0] == line:
            row[column] = str(int(row[column]) - by)
    return "\n".join(" ".join(row) for row in rows)


def lower_idle(by: int, edge: str = "after") -> Edit:
    def edit(document: dict[str, Any]) -> None:
        snap = document["trials"][0][edge]
        snap["stat"] = less(snap["stat"], "cpu", 4, by)

    return edit


def raise_idle_of_the_idle_window(document: dict[str, Any]) -> None:
    snap = document["idle_window"]["before"]
    snap["stat"] = less(snap["stat"], "cpu", 4, 500)


BACKWARDS: dict[str, tuple[str, Edit, str, str]] = {
    "500 ticks less idle": (
        "server.json", lower_idle(800), "cost",
        r"trials\[0\]\.after\.stat, line cpu: idle ran backwards, from [\d,]+ to [\d,]+ ticks",
    ),
    "idle faster than time": (
        "server.json", raise_idle_of_the_idle_window, "cost",
        r"idle_window\.after\.stat: [\d.]+ CPU-s of idle time, and no more than [\d.]+ CPU-s",
    ),
    "hits": (
        "hook-before.json", lambda d: d.update(hits=[10**9] * len(d["hits"])), "complete",
        r"^raw/02-xdp/hook-after\.json: hits\[\d\] ran backwards, from 1,000,000,000 to [\d,]+$",
    ),
    "the kernel log": (
        "after.json", lambda d: d.update(kmsg_sequence=3), "complete",
        r"^raw/02-xdp/after\.json: kmsg_sequence ran backwards, from [\d,]+ to 3$",
    ),
    "a counter of the NIC": (
        "after.json",
        lambda d: d["ethtool"]["lab0"].update(dict.fromkeys(d["ethtool"]["lab0"], 0)), "complete",
        r"^raw/02-xdp/after\.json: ethtool\.lab0: \w+ ran backwards, from [\d,]+ to 0$",
    ),
    "the host's clock": (
        "host.json", lambda d: d["readings"]["end"].update(monotonic_ns=[5, 6]), "complete",
        r"^raw/02-xdp/host\.json: readings\.end: monotonic_ns ran backwards, from [\d,]+ to 5$",
    ),
    "the server's clock": (
        "host.json", lambda d: d["clocks"]["after"].update(guest_uptime_s=1.5), "complete",
        r"^raw/02-xdp/host\.json: clocks\.after: guest_uptime_ms ran backwards, .* to 1,500$",
    ),
    "the program's clock": (
        "server.json", lambda d: d["trials"][0]["after"].update(stat_monotonic_ns=[7, 8]),
        "complete", r"^raw/02-xdp/server\.json: CPU readings: monotonic_ns ran backwards, .* to 7$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BACKWARDS)
def test_what_ran_backwards_is_no_measurement(sound: Path, tmp_path: Path, case: str) -> None:
    name, edit, code, said = BACKWARDS[case]
    judged = judged_with(sound, tmp_path, name, edit)
    mine = [f for f in judged.findings if f.code == code and f.verdict is Verdict.INVALID]
    assert mine
    assert {(f.scope.arm, f.scope.block) for f in mine} == {("xdp", 2)}
    assert any(re.search(said, f.statement) for f in mine), [f.statement for f in mine]
    assert not any(comparison.ratio for comparison in judged.comparisons)


def test_iowait_may_become_idle(sound: Path, tmp_path: Path) -> None:
    """An interval that is still open: the kernel counts it anew when the waiting task went away."""

    def move(document: dict[str, Any]) -> None:
        for edge in ("before", "after"):
            document["idle_window"][edge]["stat"] = more_iowait(
                document["idle_window"][edge]["stat"]
            )
        document["trials"][0]["before"]["stat"] = more_iowait(
            document["trials"][0]["before"]["stat"]
        )

    def more_iowait(text: str) -> str:
        rows = [row.split(" ") for row in text.split("\n")]
        for row in rows:
            if row[0].startswith("cpu"):
                row[4], row[5] = str(int(row[4]) - 40), str(int(row[5]) + 40)
        return "\n".join(" ".join(row) for row in rows)

    judged = judged_with(sound, tmp_path, "server.json", move)
    assert not [f for f in judged.findings if f.verdict is Verdict.INVALID]
