# SPDX-License-Identifier: Apache-2.0
"""A run that was cut off goes on: in its order, with what was finished, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.machines import host_facts
from tests.unit.factories.fakes import World

HOST = {"schema": 1, "accelerator": "emulation", "kernel": "6.1.0"}
Bench = Callable[..., Any]


WORDS = ("--xdp", "--trials", "3", "--seed", "7")


def trials_in(world: World) -> list[Any]:
    """Return the steps that begin a trial's measuring."""
    return [step for step in world.steps if step.line.startswith("<testbed-mpstat>")]


def cut_off(bench: Bench, checkout: Path, block: int) -> Path:
    """Run `bench` until the connection breaks in the second trial of a block; return the run."""
    rehearsal = World()
    bench(rehearsal, *WORDS)
    latest = checkout / "results/latest"
    latest.resolve().rename(checkout / "rehearsed")
    second = trials_in(rehearsal)[2 * (block - 1) + 1]
    assert bench(World(rehearsal.fault_at(second, "lost")), *WORDS).status == 5
    return latest.resolve()


def raw(run: Path) -> dict[str, int]:
    """Return when each trial's own file was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in run.glob("raw/*/trial.json")}


@pytest.fixture
def bench(bench_line: Bench) -> Bench:
    """A function that runs `testbed bench` in a world."""
    return bench_line


def test_finished_blocks_stay_and_the_rest_is_done(bench: Bench, checkout: Path) -> None:
    run = cut_off(bench, checkout, 2)
    plan, before = json.loads((run / "plan.json").read_text()), raw(run)
    assert len(before) == 3  # of the second block one trial is there
    world = World()
    said = bench(world, "--resume", "latest")
    assert (said.status, said.err) == (0, "")
    after = raw(run)
    assert len(after) == 6
    assert all(after[name] == before[name] for name in before if name.startswith("01-"))
    assert len(trials_in(world)) == 4
    now, manifest = (json.loads((run / f"{n}.json").read_text()) for n in ("plan", "manifest"))
    assert (now["blocks"], now["seed"]) == (plan["blocks"], plan["seed"])
    assert (manifest["status"], manifest["command"]) == ("complete", plan["command"])
    assert [one["block"] for one in manifest["resumed"]] == [2]
    assert manifest["parts"] == now["parts"]
    first, second = manifest["parts"]
    assert (first["block"], second["block"]) == (1, 2)
    assert manifest["started_utc"] == first["started_utc"] == plan["parts"][0]["started_utc"]
    assert manifest["ended_utc"] == second["ended_utc"]
    assert first["ended_utc"] is not None and first["length_s"] > 0
    assert manifest["durations"]["total_s"] == pytest.approx(
        first["length_s"] + second["length_s"], abs=0.002
    )
    again = bench(World(), "--resume", run.name)
    assert again.status == 2
    assert again.err.startswith(f"testbed: {run.name} is complete: there is nothing to resume\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sources", "the sources of the guests' programs or of the arms changed"),
        ("config", "[network] match_port: 8080, now 9090"),
        ("host", "kernel: 6.1.0, now 6.2.0"),
    ],
)
def test_another_experiment_does_not_go_on_in_it(
    bench: Bench, checkout: Path, monkeypatch: pytest.MonkeyPatch, change: str, said: str
) -> None:
    monkeypatch.setattr(host_facts, "collect", lambda _: HOST)
    run = cut_off(bench, checkout, 2)
    before = raw(run)
    if change == "sources":
        (checkout / "guest/client.py").write_text("changed\n")
    elif change == "config":
        with (checkout / "testbed.toml").open("a") as file:
            file.write("[network]\nmatch_port = 9090\n")
    else:
        monkeypatch.setattr(host_facts, "collect", lambda _: HOST | {"kernel": "6.2.0"})
    told = bench(World(), "--resume", "latest")
    assert told.status == 2
    assert said in told.err
    assert "cannot go on: it would not be one experiment" in told.err
    assert raw(run) == before
    assert not (run / "manifest.json").exists()


def test_other_objects_from_the_same_sources_do_not_go_on_in_it(
    bench: Bench, checkout: Path
) -> None:
    run = cut_off(bench, checkout, 2)
    plan = json.loads((run / "plan.json").read_text())
    assert plan["built"]["xdp"].keys() == {"object"}
    plan["built"]["xdp"]["object"] = "0" * 64
    (run / "plan.json").write_text(json.dumps(plan))
    told = bench(World(), "--resume", "latest")
    assert told.status == 2
    assert "the arms' builds came to other files than when the run began" in told.err


def test_a_plan_of_an_earlier_version_goes_on(bench: Bench, checkout: Path) -> None:
    """It has neither parts nor built files; its folder's name tells when it began."""
    run = cut_off(bench, checkout, 2)
    plan = json.loads((run / "plan.json").read_text())
    del plan["parts"], plan["built"]
    (run / "plan.json").write_text(json.dumps(plan))
    assert bench(World(), "--resume", "latest").status == 0
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["started_utc"].replace("-", "").replace(":", "")[:15] == run.name[:15]
    assert len(manifest["parts"]) == 2


def test_a_part_without_a_trial_has_no_known_length(bench: Bench, checkout: Path) -> None:
    run = cut_off(bench, checkout, 1)
    for path in run.glob("raw/*/trial.json"):
        path.unlink()
    assert bench(World(), "--resume", "latest").status == 0
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["parts"][0]["length_s"] is None
    assert manifest["durations"] == {"total_s": None, "trials_s": None}


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_plan_that_tells_too_little(bench: Bench, checkout: Path, content: str) -> None:
    run = cut_off(bench, checkout, 1)
    (run / "plan.json").write_text(content)
    told = bench(World(), "--resume", "latest")
    assert told.status == 2
    assert "its plan.json does not tell enough to go on" in told.err


def test_resume_takes_no_other_option(bench: Bench) -> None:
    told = bench(World(), "--resume", "latest", "--trials", "9")
    assert told.status == 2
    assert "--resume takes no other option: --trials" in told.err


def test_an_interrupted_run_says_how_it_goes_on(bench: Bench, checkout: Path) -> None:
    rehearsal = World()
    bench(rehearsal, *WORDS)
    third = trials_in(rehearsal)[2]
    said = bench(World(rehearsal.fault_at(third, "lost")), *WORDS)
    run = (checkout / "results/latest").resolve().name
    words = f"! {run} is incomplete: 1 of 3 blocks are done, and `testbed bench --resume latest`"
    assert words in said.err
    assert said.err.index(words) < said.err.index("\ntestbed: server: ")


def test_a_trial_in_which_this_computer_slept_is_none(
    bench: Bench, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lid was closed: both clocks of the trial stood still, so that no finding would tell."""
    asleep_s = iter([0.0, 0.0] * 2 + [0.0, 300.0])  # two trials, and the third
    monkeypatch.setattr("testbed.lab.experiment.trial_record.time_asleep_s", lambda: next(asleep_s))
    said = bench(World(), *WORDS)
    assert said.status == 3
    assert "this computer slept for 300 s in the middle of a trial" in said.err
    run = (checkout / "results/latest").resolve()
    assert sorted(path.name[:2] for path in run.glob("raw/*") if path.name[0] == "0") == ["01"] * 2
    assert not (run / "manifest.json").exists()
