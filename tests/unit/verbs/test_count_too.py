# SPDX-License-Identifier: Apache-2.0
"""`bench` counts its arms when the last trial is done; whatever happens then, the run is whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.files.store import RunDir
from testbed.lab.counting.arm import PACKETS
from testbed.lab.machines.box import Box, BoxStore
from testbed.model.errors import ArmError, HostError, Interrupted, TestbedError, UsageError
from testbed.verbs.measuring import count_too
from tests.unit.factories.count_runs import RECORDED
from tests.unit.factories.fakes import World

WORDS = ("--xdp", "--trials", "2", "--seed", "7")
Bench = Callable[..., Any]


class Counter:
    """In place of the counting machine: writes recorded files, or fails as it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], list[int], int, dict[str, bool]]] = []
        self.failure: BaseException | None = None
        self.seen: set[str] = set()

    def __call__(
        self, _: Any, sources: Any, arms: Any, payloads: list[int], packets: int, run_dir: RunDir,
        *, gate: dict[str, bool],
    ) -> None:  # fmt: skip
        names = [arm.name for arm in arms]
        assert set(names) <= set(sources.arms), "the sources are those that the trials had"
        self.asked.append((names, payloads, packets, gate))
        self.seen = {str(p.relative_to(run_dir.path)) for p in run_dir.path.rglob("*")}
        shutil.copytree(RECORDED / "none-1000", run_dir.path / "count/none-1000")
        if self.failure is not None:
            raise self.failure
        run_dir.write_json("count/count.json", {"schema": 1, "arms": names})


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch, bench_line: Bench) -> Counter:
    """The counting that `bench` does, pretended; the box is there."""
    made = Counter()
    box = Box("0123456789ab", Path("/nowhere"), 1, "2026", "6.1.0", "00")
    monkeypatch.setattr(BoxStore, "find", lambda _: box)
    monkeypatch.setattr(count_too, "record_of", made)
    monkeypatch.setattr("testbed.verbs.measuring.experiment.count_too", count_too.count_too)
    return made


def run_of(checkout: Path) -> Path:
    return (checkout / "results/latest").resolve()


def json_of(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def test_the_arms_are_counted_once_all_is_measured(
    bench_line: Bench, counter: Counter, checkout: Path
) -> None:
    said = bench_line(World(), *WORDS)
    assert (said.status, said.err) == (0, "")
    run = run_of(checkout)
    assert counter.asked == [(["none", "xdp"], [1000], PACKETS, {})]
    assert {"raw/01-xdp/trial.json", "raw/02-none/trial.json", "facts/server-after.json",
            } <= counter.seen  # fmt: skip
    assert "manifest.json" not in counter.seen
    files = json_of(run, "manifest.json")["files"]
    assert {"count/count.json", "count/none-1000/facts.json"} <= files.keys()
    assert json_of(run, "plan.json")["request"]["count"] is True


def test_controls_are_not_counted(bench_line: Bench, counter: Counter) -> None:
    bench_line(World(), "--xdp", "--controls", "--trials", "2")
    assert counter.asked[0][0] == ["none", "xdp"]


@pytest.mark.parametrize("words", [("--no-count", *WORDS), ("--profile", "original")])
def test_what_is_not_counted(
    bench_line: Bench, counter: Counter, checkout: Path, words: tuple[str, ...]
) -> None:
    assert bench_line(World(), *words).status == 0
    assert counter.asked == []
    assert not (run_of(checkout) / "count").exists()
    assert json_of(run_of(checkout), "plan.json")["request"]["count"] is False


@pytest.mark.parametrize(
    "error",
    [
        HostError("gcc is not installed", hint="install gcc", detail="its own words"),
        UsageError("counting knows the interrupt of e1000, and nic_model is virtio"),
        ArmError("arm xdp: packet 4 never came to an end", hint="the last words are above",
                 detail="a panic\nof many lines"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_said_in_a_line_and_kept(
    bench_line: Bench, counter: Counter, checkout: Path, error: TestbedError
) -> None:
    counter.failure = error
    said = bench_line(World(), *WORDS)
    assert said.status == 0
    (line,) = said.err.splitlines()
    assert line.startswith(f"! no exact count ({error.message})")
    assert line.endswith("The trials are whole without it")
    run = run_of(checkout)
    assert json_of(run, "manifest.json")["status"] == "complete"
    assert [path.name for path in (run / "count").iterdir()] == ["count.json"], "half a count stays"
    left = json_of(run, "count/count.json")["not_counted"]
    assert left["why"] == error.message
    assert "above" not in left["hint"] + line, "nothing stands above it here"
    log = (run / "testbed.log").read_text()
    assert all(words in log for words in error.detail.splitlines())
    assert (error.hint in left["hint"]) == ("above" not in error.hint)


def test_without_a_box_none_is_built_for_it(
    bench_line: Bench, counter: Counter, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoxStore, "find", lambda _: None)
    assert "`testbed up` builds it" in bench_line(World(), *WORDS).err
    assert counter.asked == []


@pytest.mark.parametrize(
    ("failure", "status", "why"),
    [(Interrupted(), 130, "it was interrupted"), (ZeroDivisionError(), 1, "the testbed failed")],
)
def test_a_count_that_is_cut_off_costs_no_trial(
    bench_line: Bench, counter: Counter, checkout: Path, failure: BaseException, status: int,
    why: str,
) -> None:  # fmt: skip
    counter.failure = failure
    assert bench_line(World(), *WORDS).status == status
    run = run_of(checkout)
    assert json_of(run, "manifest.json")["status"] == "complete"
    assert json_of(run, "count/count.json")["not_counted"]["why"].startswith(why)


def test_a_run_that_is_resumed_is_counted_at_its_end(
    bench_line: Bench, counter: Counter, checkout: Path
) -> None:
    rehearsal = World()
    bench_line(rehearsal, *WORDS)
    run_of(checkout).rename(checkout / "rehearsed")
    counter.asked.clear()
    last = [step for step in rehearsal.steps if step.line.startswith("<testbed-mpstat>")][-1]
    assert bench_line(World(rehearsal.fault_at(last, "lost")), *WORDS).status == 5
    run = run_of(checkout)
    assert (counter.asked, (run / "count").exists()) == ([], False)
    assert bench_line(World(), "--resume", "latest").status == 0
    assert len(counter.asked) == 1
    assert "count/count.json" in json_of(run, "manifest.json")["files"]


def test_a_run_that_was_killed_while_it_counted_is_counted_anew(
    bench_line: Bench, counter: Counter, checkout: Path
) -> None:
    bench_line(World(), *WORDS)
    run = run_of(checkout)
    (run / "manifest.json").unlink()
    (run / "count/count.json").unlink()
    (run / "count/xdp-1000").mkdir()
    world = World()
    assert bench_line(world, "--resume", "latest").status == 0
    assert not [step for step in world.steps if step.line.startswith("<testbed-mpstat>")]
    assert len(counter.asked) == 2
    assert not (run / "count/xdp-1000").exists()
    assert json_of(run, "manifest.json")["status"] == "complete"
